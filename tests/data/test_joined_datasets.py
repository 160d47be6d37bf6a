"""Several prepared datasets as one: what is joined, what is kept apart, what is refused."""

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from tfrec.data import prepare
from tfrec.data.joined_datasets import JoinedDatasets, load_datasets
from tfrec.errors import InvalidInput


def shop(folder, ids, kinds, users=3, split="leave-one-out"):
    """Prepared data in which users called u0, u1… take all items in turn; the kinds of their events alternate."""
    rows = [
        (f"u{user}", ids[(user + step) % len(ids)], kinds[step % len(kinds)], step)
        for user in range(users)
        for step in range(5)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame(
        {"item_id": ids, "title": [f"{folder.name} {item}" for item in ids], "price": [1.0] * len(ids)}
    )
    return prepare(events, items, folder, split=split)


@pytest.fixture(scope="module")
def shops(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shops")
    books = shop(folder / "books", ["1", "2", "3"], ["view", "purchase"])
    return books, shop(folder / "toys", ["9", "2", "1", "4"], ["purchase", "rating"], users=2)


def test_equal_ids_in_two_domains_are_two_items_and_two_users(shops):
    joined = JoinedDatasets(shops)
    assert joined.item_ids.tolist() == ["books:1", "books:2", "books:3", "toys:9", "toys:2", "toys:1", "toys:4"]
    assert joined.histories().user_ids.tolist() == ["books:u0", "books:u1", "books:u2", "toys:u0", "toys:u1"]
    assert joined.domains == {"books": 3, "toys": 4} and shops[0].domains == {}
    assert joined.texts[4].startswith("toys 2") and joined.num_items == 7


@pytest.mark.parametrize("part", ["histories", "training", "valid", "test"])
def test_every_event_keeps_its_item_kind_and_time(shops, part):
    def rows(data):
        if part in ("valid", "test"):
            queries = data.queries(part)
            targets = [
                data.item_ids[queries.target_items[start:stop]].tolist()
                for start, stop in zip(queries.target_offsets[:-1], queries.target_offsets[1:], strict=True)
            ]
            return events(data, queries.history), targets
        return events(data, getattr(data, part)()), []

    def events(data, histories):
        ids, kinds = data.item_ids[histories.items], np.array(data.event_kinds)[histories.events]
        whole = list(zip(ids, kinds, histories.timestamps, histories.is_target, strict=True))
        return [whole[histories.row(row)] for row in range(len(histories))]

    joined_events, joined_targets = rows(JoinedDatasets(shops))
    expected_events, expected_targets = [], []
    for shop in shops:
        of_shop, targets = rows(shop)
        expected_events += [[(f"{shop.path.name}:{i}", *rest) for i, *rest in row] for row in of_shop]
        expected_targets += [[f"{shop.path.name}:{item}" for item in row] for row in targets]
    assert joined_events == expected_events and joined_targets == expected_targets


def test_kinds_of_the_same_name_are_one_kind(shops):
    joined = JoinedDatasets(shops)
    assert sorted(joined.event_kinds) == ["purchase", "rating", "view"]
    assert_array_equal(np.unique(joined.histories().events), [0, 1, 2])


def test_folders_of_one_name_are_numbered(tmp_path):
    first, second = (shop(tmp_path / place / "data", ids, ["view"]) for place, ids in (("a", ["1"]), ("b", ["1", "2"])))
    assert list(JoinedDatasets([first, second]).domains) == ["data", "data-2"]


def test_the_fingerprint_is_that_of_all_datasets_in_their_order(shops):
    prints = {JoinedDatasets(given).manifest["fingerprint"] for given in (shops, shops[::-1], shops[:1])}
    assert len(prints) == 3


def test_what_cannot_be_joined_is_refused(shops, tmp_path):
    with pytest.raises(InvalidInput, match="books is given twice"):
        JoinedDatasets([shops[0], shops[1], shops[0]])
    given = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["1", "2", "3"], "split": ["train", "valid", "test"]})
    other = prepare(given.with_columns(timestamp=pl.Series([1, 2, 3])), None, tmp_path / "given", split="given")
    with pytest.raises(InvalidInput, match="books by leave-one-out, given by given"):
        JoinedDatasets([shops[0], other])
    with pytest.raises(InvalidInput, match="at least one prepared dataset"):
        load_datasets([])
