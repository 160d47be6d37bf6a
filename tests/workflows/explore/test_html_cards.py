"""Cards: what they say, that they sum up, and that no text of a catalogue becomes markup."""

import re
from html.parser import HTMLParser

from tfrec.reporting.html_element import Html
from tfrec.workflows.explore.answers import Card, Reason, Recommendation
from tfrec.workflows.explore.html_cards import change_badges, compared_cards, recommendation_cards, similar_cards
from tfrec.workflows.explore.list_comparison import compare_lists

HOSTILE = '<img src=x onerror="alert(1)">'


def item(name, title=None, **facts):
    return Card(name, title or name, facts, 1, place=int(name[1:]), category=2)


def recommended(*parts, because=(), without=(), **card):
    return Recommendation(item("i7", **card), 1, sum(parts), dict(zip("nmp", parts)), because, without, False, False)


def no_picture(place):
    return None


class Page(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data


def test_texts_of_the_catalogue_are_shown_not_read():
    because = (Reason(item("i3", HOSTILE), 2, -0.25, 0.125),)
    place = recommended(1.0, because=because, without=(item("i3", HOSTILE),), title=HOSTILE, maker=HOSTILE)
    page = Page(recommendation_cards([place], no_picture))
    assert page.text.count(HOSTILE) == 4 and not [tag for tag, _ in page.tags if tag == "img"]
    assert "(+0.125; 2 times near it in training, similarity −0.25)" in page.text
    assert f"Not in the list without {HOSTILE}" in page.text and "Against it" not in page.text


def test_what_lowers_a_score_is_said_to_speak_against_it():
    because = (Reason(item("i3", "Tea"), 0, 0.5, -0.5),)
    page = Page(recommendation_cards([recommended(1.0, because=because)], no_picture))
    assert "Against it Tea (−0.500; similarity 0.50)" in page.text and "Because of" not in page.text


def test_the_bars_of_a_list_share_a_scale_and_sum_to_the_score():
    page = recommendation_cards([recommended(3.0, -1.0, 0.0), recommended(1.0, 0.5, 0.5)], no_picture)
    widths = re.findall(r'class="fill( down)?" style="left:([\d.]+)%;width:([\d.]+)%"', page)
    assert [float(width) for _, _, width in widths] == [75, 25, 25, 12.5, 12.5]
    assert [float(left) for down, left, _ in widths] == [25, 0, 25, 25, 25] and widths[1][0]
    amounts = [float(text.replace("−", "-")) for text in re.findall(r'class="amount[^"]*">([^<]+)', page)]
    totals = [float(total) for total in re.findall(r"<span>(\d[\d.]*)</span></p>", page)]
    assert totals == [sum(amounts[:3]), sum(amounts[3:])] == [2.0, 2.0]


def test_a_picture_lies_over_the_initials_that_stand_in_for_it():
    page = Page(similar_cards([(item("i5", "Red Shoe"), 0.5)], lambda place: f"data:{place}"))
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert [image["src"] for image in images] == ["data:5"] and images[0]["alt"] == "" and "RS" in page.text
    assert any("hue-2" in attributes.get("class", "") for _, attributes in page.tags)
    assert "<img" not in similar_cards([(item("i5"), 0.5)], no_picture)


def test_popular_items_have_no_bars():
    place = Recommendation(item("i1"), 1, 12.0, {}, (), (), seen=True, fallback=True)
    page = Page(recommendation_cards([place], no_picture))
    assert "bars" not in str(page.tags) and "seen" in page.text and "Because" not in page.text


def test_two_lists_say_what_changed():
    gone, moved = change_badges(compare_lists(["a", "b", "c"], ["b", "d", "a"]))
    words = {item: re.sub("<[^>]*>", "", badge) for item, badge in moved.items()}
    assert words == {"b": "up 1", "d": "new", "a": "down 2"} and "gone" in gone["c"]
    page = Page(compared_cards([recommended(1.5)], {"i7": Html("<b>mark</b>")}, no_picture))
    assert "mark" in page.text and "score 1.500" in page.text
