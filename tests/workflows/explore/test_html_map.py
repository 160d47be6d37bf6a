"""The map as it is drawn: every item once, marks for the history and the list, titles for who points at them."""

import re
from html import unescape
from types import SimpleNamespace

import numpy as np

from tfrec.workflows.explore.answers import Card, Recommendation
from tfrec.workflows.explore.html_map import map_of_items
from tfrec.workflows.explore.item_categories import Categories
from tfrec.workflows.explore.item_map import ItemMap


def explorer(categories=None):
    positions = np.array([[0, 0], [1, 1], [0.2, 0.9], [0.5, 0.5], [0.8, 0.1]], np.float32)
    titles = ["a", 'b "<i>"', "c", "d", "e"]
    return SimpleNamespace(
        ids=list("abcde"),
        titles=titles,
        counts=np.arange(5),
        categories=categories,
        map=ItemMap(positions, 0.125),
        place=lambda item: "abcde".index(item) if item in "abcde" else None,
    )


def recommended(name, rank):
    return Recommendation(Card(name, name, {}, 0, "abcde".index(name), None), rank, 1.0, {}, (), (), False, False)


def test_history_and_list_are_marked_and_the_rest_are_dots():
    page = map_of_items(explorer(), ["c", "gone", "d", "c"], [recommended("b", 1), recommended("d", 2)])
    points = re.findall(
        r'<i class="([^"]*)" style="left:([\d.]+)%;bottom:([\d.]+)%" data-title="([^"]*)"([^>]*)>', page
    )
    found = {unescape(title): (look, float(left), float(up)) for look, left, up, title, _ in points}
    assert found == {
        "e": ("dot hue-none flip", 78.5, 12.0),
        "a": ("dot hue-none", 2.5, 2.5),
        "history: c": ("mark past under", 21.5, 88.0),
        '1. b "<i>"': ("mark pick flip under", 97.5, 97.5),
        "2. d": ("mark pick", 50.0, 50.0),
    }
    focusable = [unescape(title) for *_, title, rest in points if 'tabindex="0"' in rest]
    assert focusable == ["history: c", '1. b "<i>"', "2. d"] and "5 of 5 items" in page and "show 12%" in page


def test_dots_have_the_colour_of_their_category():
    kinds = Categories("kind", ["x", "y"], np.array([0, 1, -1, 0, 1], np.int8))
    page = map_of_items(explorer(kinds), [], [])
    assert re.findall(r'hue-(\w+)[^>]*data-title="(\w)', page) == [
        ("1", "e"), ("0", "d"), ("none", "c"), ("1", "b"), ("0", "a"),
    ]  # fmt: skip
    assert re.findall(r'class="dot hue-(\d)"></i>(\w)', page) == [("0", "x"), ("1", "y")]
