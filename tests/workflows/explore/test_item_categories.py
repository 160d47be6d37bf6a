"""The categories that colours stand for."""

import polars as pl

from tfrec.data.item_groups import facets
from tfrec.workflows.explore.item_categories import COLOURED, categories


def found(**columns):
    number = len(next(iter(columns.values())))
    return categories(facets(pl.DataFrame({"item_id": [str(i) for i in range(number)], **columns})))


def test_numbers_are_no_categories_and_the_first_column_of_words_is():
    got = found(year=["1999", "2001", "n/a"], genre=["War|Drama", "Drama", None], kind=["a", "b", "a"])
    assert (got.column, got.labels, got.of_item.tolist()) == ("genre", ["Drama", "War"], [1, 0, -1])
    assert found(year=[1999, 2001]) is None


def test_rare_values_share_one_colour():
    values = [f"k{i}" for i in range(10) for _ in range(10 - i)]
    got = found(kind=values)
    assert got.labels == [*(f"k{i}" for i in range(COLOURED)), "other"]
    assert got.of_item.min() == 0
    assert [got.labels[place] for place in got.of_item] == [v if int(v[1:]) < COLOURED else "other" for v in values]
