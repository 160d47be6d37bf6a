"""Splits as prefixes of each user's time-ordered sequence, and a check for leakage from the future."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.data.impressions import taken
from tfrec.errors import InvalidInput

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """A held-out split. Each query is a user with at least one target.

    Attributes:
        user: int64 `[queries]`, the user's row in the histories.
        history_length: int64 `[queries]`, number of the user's events before the window.
        position: int64 `[targets]`, flat position of the first occurrence of each distinct target in the window.
        query: int64 `[targets]`, the query that each target belongs to.
        cold: bool `[targets]`, whether the item is first seen in the window.
    """

    user: Ints
    history_length: Ints
    position: Ints
    query: Ints
    cold: NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """A training prefix per user, and the two windows.

    Attributes:
        train_length: int64 `[users]`, number of training events of each user.
        valid: The validation window.
        test: The test window.
        cuts: Start of each window in a global-time split, by name, in microseconds; otherwise empty.
    """

    train_length: Ints
    valid: Window
    test: Window
    cuts: dict[str, int]


def leave_one_out(h: Histories) -> Split:
    """Each user's last target event is the test, the one before it the validation target.

    Users with fewer than three target events are used for training only.
    """
    target = np.flatnonzero(h.is_target)
    seen = np.concatenate([[0], np.cumsum(h.is_target)])
    first, last = seen[h.offsets[:-1]], seen[h.offsets[1:]]
    users = np.flatnonzero(last - first >= 3)
    test, valid = target[last[users] - 1], target[last[users] - 2]
    train_length = h.lengths.copy()
    train_length[users] = valid - h.offsets[users]

    def window(position: Ints) -> Window:
        query = np.arange(len(users))
        return Window(users, position - h.offsets[users], position, query, np.zeros(len(users), bool))

    return Split(train_length, window(valid), window(test), {})


def global_time(h: Histories, valid_quantile: float, test_quantile: float) -> Split:
    """Splits at two quantiles of event time (rounded up to an event). An event at a cut belongs to the later part.

    Args:
        h: The histories.
        valid_quantile: Where the validation window starts, in 0…1.
        test_quantile: Where the test window starts, above `valid_quantile`.

    Raises:
        InvalidInput: The log has no clock, the quantiles do not increase, or a part would be empty.
    """
    if not h.clock:
        raise InvalidInput(
            "global-time needs a clock, but the timestamps are order numbers. "
            "Use --split leave-one-out, or set data.timestamp_unit to s, ms or us."
        )
    if valid_quantile >= test_quantile:
        raise InvalidInput(
            f"data.valid_quantile must be below data.test_quantile; received {valid_quantile} and {test_quantile}."
        )
    cuts = np.quantile(h.timestamps, [valid_quantile, test_quantile], method="higher")
    part = (h.timestamps >= cuts[0]).astype(np.int8) + (h.timestamps >= cuts[1])
    for index, name in enumerate(("training", "validation", "test")):
        if not (part == index).any():
            raise InvalidInput(
                f"global-time leaves no {name} events: too many have the same timestamp. "
                "Choose other data.valid_quantile and data.test_quantile, or --split leave-one-out."
            )
    return _by_part(h, part, {schema.VALID: int(cuts[0]), schema.TEST: int(cuts[1])})


def given(h: Histories, part: NDArray[np.int8]) -> Split:
    """Splits by the given part of each event.

    Args:
        h: The histories.
        part: int8 `[events]`, 0 train, 1 valid, 2 test.

    Raises:
        InvalidInput: A part is empty, or a user has an event of an earlier part after one of a later part.
    """
    for index, name in enumerate((schema.TRAIN, schema.VALID, schema.TEST)):
        if not (part == index).any():
            raise InvalidInput(f"The split column has no {name!r} event. Each of train, valid and test is needed.")
    user = h.rows
    leaks = np.flatnonzero((np.diff(part) < 0) & (np.diff(user) == 0))
    if len(leaks):
        users = np.unique(user[leaks])
        raise InvalidInput(
            f"The given split leaks: {len(users)} users have events of an earlier split after those of a later one, "
            f"e.g. {_examples(h, users)}. Each user's events must be train first, then valid, then test."
        )
    return _by_part(h, part, {})


def _by_part(h: Histories, part: NDArray[np.int8], cuts: dict[str, int]) -> Split:
    user = h.rows.astype(np.int32)
    first_part = np.full(int(h.items.max(initial=0)) + 1, 3, np.int8)
    for index in (2, 1, 0):
        first_part[h.items[part == index]] = index

    def before(index: int) -> Ints:
        seen = np.concatenate([[0], np.cumsum(part < index)])
        return seen[h.offsets[1:]] - seen[h.offsets[:-1]]

    def window(index: int) -> Window:
        position = np.flatnonzero((part == index) & h.is_target)
        key = user[position] * np.int64(len(first_part)) + h.items[position]
        position = position[np.sort(np.unique(key, return_index=True)[1])]  # distinct items per user, in time order
        users, query = np.unique(user[position].astype(np.int64), return_inverse=True)
        return Window(users, before(index)[users], position, query, first_part[h.items[position]] == index)

    return Split(before(1), window(1), window(2), cuts)


def hold_out(h: Histories, split: Split, num_items: int, share: float) -> tuple[Split, NDArray[np.bool_]]:
    """Holds out a random share of the items that have events; targets among them become cold.

    Args:
        h: The histories.
        split: The split to change.
        num_items: int. Items in the catalogue.
        share: float in 0…1. Share of the items with events to hold out. The draw has a fixed seed.

    Returns:
        split: The split with more cold targets. held: bool `[num_items]`, the held-out items.
    """
    occurring = np.flatnonzero(np.bincount(h.items, minlength=num_items))
    held = np.zeros(num_items, bool)
    held[np.random.default_rng(0).permutation(occurring)[: round(share * len(occurring))]] = True

    def with_cold(window: Window) -> Window:
        return replace(window, cold=window.cold | held[h.items[window.position]])

    return replace(split, valid=with_cold(split.valid), test=with_cold(split.test)), held


def in_training(h: Histories, train_length: Ints) -> NDArray[np.bool_]:
    """Whether each event is among the first `train_length[i]` events of its user i, bool `[events]`."""
    steps = np.zeros(len(h.items) + 1, np.int8)
    users = np.flatnonzero(train_length)
    steps[h.offsets[users]] = 1
    steps[h.offsets[users] + train_length[users]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def check_leakage(dataset: PreparedDataset) -> None:
    """Verifies, from the files on disk, that no history overlaps with held-out events.

    Raises:
        InvalidInput: There is leakage; the message gives the number of users or items, with examples.
    """
    h = dataset.histories()
    train = dataset.stored.parquet("splits/train.parquet")
    length = np.zeros(len(h), np.int64)
    length[train[schema.USER].to_numpy()] = train[schema.HISTORY_LENGTH].to_numpy()
    before = length
    for name in (schema.VALID, schema.TEST):
        frame = dataset.stored.parquet(f"splits/{name}.parquet")
        users, lengths = frame[schema.USER].to_numpy(), frame[schema.HISTORY_LENGTH].to_numpy()
        late = users[before[users] > lengths]
        _raise_if_any(h, late, f"the {name} history is shorter than the training history")
        before = before.copy()
        before[users] = lengths
        rows = frame.select(schema.TARGET_ITEMS, schema.COLD_TARGET_ITEMS).rows()
        absent = [
            user
            for user, n, (warm, cold) in zip(users, lengths, rows)
            if not {*warm, *cold} <= set(h.items[h.offsets[user] + n : h.offsets[user + 1]].tolist())
        ]
        _raise_if_any(h, np.array(absent, np.int64), f"a {name} target does not lie after its history")
        if (cut := dataset.manifest["cuts"].get(name)) is not None:
            ends = (h.offsets[users] + lengths)[lengths > 0] - 1
            _raise_if_any(h, users[lengths > 0][h.timestamps[ends] >= cut], f"the {name} history passes the time cut")
    _check_training(dataset, h, length)


def _check_training(dataset: PreparedDataset, h: Histories, length: Ints) -> None:
    users = np.flatnonzero(length)
    cut = dataset.manifest["cuts"].get(schema.VALID)
    if cut is not None:
        late = users[h.timestamps[h.offsets[users] + length[users] - 1] >= cut]
        _raise_if_any(h, late, "training passes the time cut")
    training = dataset.training()
    counts = np.bincount(training.items[taken(training, dataset.event_kinds)], minlength=dataset.num_items)
    wrong = np.flatnonzero(counts != dataset.items[schema.TRAIN_COUNT].to_numpy())
    if len(wrong):
        raise InvalidInput(
            f"Leakage: train_count of {len(wrong)} items does not equal their number of training events, "
            f"e.g. {dataset.item_ids[wrong[:3]].tolist()}. Prepare the data again."
        )


def _raise_if_any(h: Histories, users: Ints, what: str) -> None:
    if len(users):
        raise InvalidInput(
            f"Leakage: for {len(users)} users {what}, e.g. {_examples(h, users)}. Prepare the data again."
        )


def _examples(h: Histories, users: Ints) -> str:
    return ", ".join(repr(user) for user in h.user_ids[users[:3]])
