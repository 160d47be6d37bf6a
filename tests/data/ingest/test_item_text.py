import polars as pl
import pytest

from tfrec.data import behaviour_text, normalise_text
from tfrec.data.ingest.item_text import render_texts
from tfrec.data.ingest.text_columns import text_columns
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
     "price": [2, None], "maker": ["Ann", "Bo"]}
)  # fmt: skip


def test_the_default_text_is_every_column_with_words_the_title_first():
    assert render_texts(CATALOGUE, None, True) == ["Tea hot, green Ann", "Bo"]
    assert text_columns(CATALOGUE.select("maker", "tags", "title")) == ["title", "maker", "tags"]


@pytest.mark.parametrize(
    "values",
    [
        ["https://a.b/c", "//img.c/d.jpg"], ["12", "1,234"], ["1", "2.5"], ["0012345678905", "0098765432109"],
        ["tt0114709", "B004756YJA"], ["85123A", "22752"], ["S", "0"], ["01-Jan-1995", "02-Feb-1996"],
        ['[{"Label": "x"}]', "[]"], ["a1b2c3d4e5f6a7b8c9d0", "ffffffffffffffff"], ["2024-01-01", "2024-01-02"],
        [{"a": "x"}, {"a": "y"}], [True, False],
    ],
)  # fmt: skip
def test_what_has_no_words_is_no_text(values):
    assert text_columns(pl.DataFrame({"item_id": ["1", "2"], "x": values, "title": ["Tea", "Pot"]})) == ["title"]


@pytest.mark.parametrize("values", [["1995", "2003"], ["Action", "Drama"], ["OPI Nail Lacquer, 0.5 oz", "E55 polish"]])
def test_words_and_years_are_text(values):
    assert text_columns(pl.DataFrame({"item_id": ["1", "2"], "x": values})) == ["x"]


@pytest.mark.parametrize("name", ["title", "Book-Title", "movie_title", "name"])
def test_a_title_is_text_whatever_it_looks_like_and_however_it_is_stored(name):
    for titles in (
        pl.Series(["1984", "300"]),
        pl.Series(["1984", "300"], dtype=pl.Categorical),
        pl.Series([1984, 300]),
    ):
        items = pl.DataFrame({"item_id": ["1", "2"], "genre": ["Novel", "Film"], name: titles})
        assert render_texts(items, None, True) == ["1984 Novel", "300 Film"]


def test_lists_are_joined_and_the_other_columns_keep_their_order():
    items = pl.DataFrame(
        {"item_id": ["1"], "features": [["organic", None, "green"]], "description": [["Green leaves", "from Uji"]],
         "title": ["Tea"], "sizes": [[1, 2]], "image_embedding": [[0.5, 1.0]]}
    )  # fmt: skip
    assert render_texts(items, None, True) == ["Tea organic, green Green leaves, from Uji"]


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


def test_durations_are_text_too():
    from datetime import timedelta

    from tfrec.data.ingest.text_columns import as_text

    hours = pl.Series("length", [timedelta(hours=2), None])
    assert as_text(hours).to_list() == ["2:00:00", ""]
    assert as_text(pl.Series("lengths", [[timedelta(hours=1)], None])).to_list()[1] == ""
