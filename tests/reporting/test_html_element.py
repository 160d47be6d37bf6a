"""Elements: nothing that came in as text can become markup."""

from html.parser import HTMLParser

from tfrec.reporting.html_element import Html, element, joined

HOSTILE = "<img src=x onerror=\"alert('1')\">&amp;</p><script>"


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts, self.attributes = [], [], {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes |= dict(attrs)

    def handle_data(self, data):
        self.texts.append(data)


def test_texts_and_attributes_are_escaped():
    found = Tags(element("p", HOSTILE, title=HOSTILE))
    assert found.tags == ["p"] and "".join(found.texts) == HOSTILE and found.attributes == {"title": HOSTILE}
    assert Tags(joined(HOSTILE)).tags == []


def test_elements_inside_are_not_escaped_again():
    assert element("p", element("b", "a & b"), " < c") == "<p><b>a &amp; b</b> &lt; c</p>"
    assert isinstance(joined(element("b", "x"), "y"), Html)


def test_elements_without_content_have_no_end():
    assert element("img", alt="", src="a.png") == '<img alt="" src="a.png">'
