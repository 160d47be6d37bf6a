import polars as pl
import pytest

from tfrec.data import behaviour_text, normalise_text
from tfrec.data.ingest.item_text import render_texts
from tfrec.errors import InvalidInput
from tfrec.reporting.html_page import Section, render_report


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p>Salt &amp; pepper</p>", "Salt & pepper"),
        ("&lt;b&gt;bold&lt;/b&gt; claim", "bold claim"),
        ("width < 5 and > 3", "width < 5 and > 3"),
        ("<script>alert(1)</script>tea<style>p{}</style>", "tea"),
        ("a\u00a0 \t\n b\x00", "a b"),
        ("e\u0301", "\u00e9"),
        ("<!-- hidden -->shown<br/>twice", "shown twice"),
        ("\u0634\u0627\u064a \U0001f375 \u8336", "\u0634\u0627\u064a \U0001f375 \u8336"),
        ("", ""),
    ],
)
def test_text_is_normalised(raw, clean):
    assert normalise_text(raw) == clean


@pytest.mark.parametrize("piece", ["<", "<a", "&", "<script>", "x", "<!--"])
def test_hostile_text_is_normalised_in_linear_time(piece):
    assert len(normalise_text(piece * 100_000)) <= 100_000 * len(piece)


CATALOGUE = pl.DataFrame(
    {"item_id": ["1", "2"], "title": ["Tea", None], "tags": [["hot", "green"], None],
     "price": [2, None], "maker": ["A", "B"]}
)  # fmt: skip


def test_the_default_text_is_every_string_column_in_order():
    assert render_texts(CATALOGUE, None, True) == ["Tea A", "B"]


def test_a_template_may_name_any_column():
    assert render_texts(CATALOGUE, "{title} ({tags}) for {price}", True) == ["Tea (hot, green) for 2", "() for"]


@pytest.mark.parametrize(("template", "message"), [("{heading}", "heading"), ("{title", "not valid")])
def test_a_wrong_template_is_refused(template, message):
    with pytest.raises(InvalidInput, match=message):
        render_texts(CATALOGUE, template, True)


def test_a_catalogue_without_text_columns_has_empty_texts():
    assert render_texts(pl.DataFrame({"item_id": ["1", "2"]}), None, True) == ["", ""]


def test_behaviour_text_cuts_whole_events_from_the_oldest():
    kinds, texts = ["view", "favourite", "purchase"], ["one two", "three", "four five"]
    assert behaviour_text(kinds, texts) == "viewed: one two; favourited: three; bought: four five"
    assert behaviour_text(kinds, texts, max_words=5) == "favourited: three; bought: four five"
    assert behaviour_text(kinds, texts, max_words=2) == "bought: four"
    assert behaviour_text([], []) == ""


def test_behaviour_text_skips_items_without_text_and_accepts_any_kind():
    assert behaviour_text(["waved at", "view"], ["tea", " "]) == "waved at: tea"


def test_a_report_escapes_what_it_shows_and_fetches_nothing():
    page = render_report("A & B", [Section("<x>", ["1 < 2"], ["n", "s"], [(1234, "<script>")])])
    assert "<title>A &amp; B</title>" in page and "&lt;script&gt;" in page and '<td class="n">1,234</td>' in page
    assert "http" not in page and "<script" not in page and "prefers-color-scheme: dark" in page
