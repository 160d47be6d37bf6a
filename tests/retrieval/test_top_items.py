"""Lists for users, and the rule that decides whether they contain seen items."""

from dataclasses import dataclass

import numpy as np
import pytest

from tfrec import InvalidInput
from tfrec.data.histories import Histories, Queries
from tfrec.retrieval import recommend, should_exclude_seen
from tfrec.retrieval.top_items import seen_items

IDS = ["a", "b", "c", "d"]


def histories(**sequences):
    flat = np.array([item for items in sequences.values() for item in items], np.int32)
    zeros = np.zeros(len(flat))
    return Histories(
        user_ids=np.array(list(sequences), dtype=object),
        offsets=np.cumsum([0, *map(len, sequences.values())]),
        items=flat,
        events=zeros.astype(np.int16),
        timestamps=zeros.astype(np.int64),
        values=zeros.astype(np.float32),
        is_target=np.ones(len(flat), bool),
    )


class ByIndex:
    """Scores items by their index, the same for all users."""

    name, num_items = "by index", len(IDS)

    def scores(self, histories, rows):
        return np.tile(np.arange(self.num_items, dtype=np.float32), (len(rows), 1))


LOG = histories(u=[3, 3, 0], v=[], w=[0, 1, 2, 3])


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_each_user_gets_the_best_items_in_order(batch_size):
    frame = recommend(ByIndex(), LOG, item_ids=IDS, k=2, exclude_seen=False, batch_size=batch_size)
    assert frame.columns == ["user_id", "item_id", "rank", "score"]
    assert frame.rows() == [(u, i, r, s) for u in "uvw" for i, r, s in (("d", 1, 3.0), ("c", 2, 2.0))]


def test_seen_items_are_excluded_and_lists_may_be_short():
    frame = recommend(ByIndex(), LOG, item_ids=IDS, k=3, exclude_seen=True)
    assert frame.rows() == [
        ("u", "c", 1, 2.0),
        ("u", "b", 2, 1.0),
        ("v", "d", 1, 3.0),
        ("v", "c", 2, 2.0),
        ("v", "b", 3, 1.0),
    ]


def test_users_keep_the_requested_order():
    frame = recommend(ByIndex(), LOG, item_ids=IDS, k=1, users=["w", "u"], exclude_seen=False)
    assert frame["user_id"].to_list() == ["w", "u"]


def test_only_allowed_items_are_returned():
    frame = recommend(ByIndex(), LOG, item_ids=IDS, k=3, users=["u"], exclude_seen=True, allow=["d", "b"])
    assert frame["item_id"].to_list() == ["b"]


def test_k_above_the_catalogue_returns_the_catalogue():
    assert recommend(ByIndex(), LOG, item_ids=IDS, k=9, users=["v"], exclude_seen=False).height == 4


def test_no_users_give_an_empty_frame_with_the_same_columns():
    frame = recommend(ByIndex(), LOG, item_ids=IDS, users=[], exclude_seen=True)
    assert frame.is_empty() and frame.columns == ["user_id", "item_id", "rank", "score"]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"users": ["u", "x"]}, "1 of 2 users.*'x'"),
        ({"allow": ["z"]}, "allowed items.*'z'"),
        ({"k": 0}, "at least 1"),
        ({"item_ids": IDS[:2]}, "ranks 4 items, received 2"),
    ],
)
def test_wrong_arguments_are_named(wrong, message):
    with pytest.raises(InvalidInput, match=message):
        recommend(ByIndex(), LOG, **{"item_ids": IDS, "exclude_seen": False, **wrong})


def test_seen_items_are_padded_with_minus_one():
    assert seen_items(LOG, np.array([1, 0])).tolist() == [[-1, -1, -1], [3, 3, 0]]
    assert seen_items(LOG, np.array([1])).shape == (1, 0)


@dataclass
class Validation:
    """A stand-in for a PreparedDataset with one validation query per target."""

    targets: list
    num_items: int = 1000

    def queries(self, split):
        assert split == "valid"
        history = histories(**{f"u{i}": [i] for i in range(len(self.targets))})
        return Queries(history, np.arange(len(self.targets) + 1), np.array(self.targets, np.int32))


def test_seen_items_are_excluded_if_fewer_than_one_percent_of_targets_repeat():
    new = [500 + i for i in range(200)]
    assert should_exclude_seen(Validation(new))
    assert should_exclude_seen(Validation([0, *new[1:]]))  # 1 of 200
    assert not should_exclude_seen(Validation([0, 1, *new[2:]]))  # 2 of 200: exactly 1%
    assert should_exclude_seen(Validation([1, 0, *new[2:]]))  # another user's item is no repeat
    assert should_exclude_seen(Validation([]))


def test_more_items_than_there_are_is_all_of_them():
    frame = recommend(ByIndex(), LOG, item_ids=IDS, k=10**12, exclude_seen=False)
    assert frame.equals(recommend(ByIndex(), LOG, item_ids=IDS, k=4, exclude_seen=False))
