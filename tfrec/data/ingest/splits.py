"""Splits as prefixes of each user's time-ordered sequence, and the check that training sees no future."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Window:
    """One held-out split: row `q` is a user with targets.

    Attributes:
        user: int64 `[queries]`, row of the sequences. history_length: int64 `[queries]`, events before the window.
        position: int64 `[targets]`, where each distinct target first occurs in the flat sequences.
        query: int64 `[targets]`, its query. cold: bool `[targets]`, first seen in the window.
    """

    user: Ints
    history_length: Ints
    position: Ints
    query: Ints
    cold: NDArray[np.bool_]


@dataclass(frozen=True)
class Split:
    """Training prefix lengths int64 `[users]`, and the two windows. `cuts`: event times where they begin."""

    train_length: Ints
    valid: Window
    test: Window
    cuts: dict[str, int]


def leave_one_out(h: Histories) -> Split:
    """Last target event is test, the one before it valid; users with fewer than three targets train only."""
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
    """Cut at two quantiles of event time (the higher of two neighbours); an event at a cut is after it.

    Raises:
        InvalidInput: There is no clock, the quantiles are not rising, or training or a window would be empty.
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
                f"global-time leaves no {name} events: too many share one time. "
                "Choose other data.valid_quantile and data.test_quantile, or --split leave-one-out."
            )
    return _by_part(h, part, {schema.VALID: int(cuts[0]), schema.TEST: int(cuts[1])})


def given(h: Histories, part: NDArray[np.int8]) -> Split:
    """The split column decides: 0 train, 1 valid, 2 test an event.

    Raises:
        InvalidInput: A user's training event lies after a held-out one, or a split is empty.
    """
    for index, name in enumerate((schema.TRAIN, schema.VALID, schema.TEST)):
        if not (part == index).any():
            raise InvalidInput(f"The split column has no {name!r} event. Each of train, valid and test is needed.")
    same_user = np.repeat(np.arange(len(h)), h.lengths)
    back = np.flatnonzero((np.diff(part) < 0) & (np.diff(same_user) == 0))
    if len(back):
        users = np.unique(same_user[back])
        raise InvalidInput(
            f"The given split leaks: {len(users)} users have events of an earlier split after those of a later one, "
            f"e.g. {_examples(h, users)}. Within a user, time must run train, valid, test."
        )
    return _by_part(h, part, {})


def _by_part(h: Histories, part: NDArray[np.int8], cuts: dict[str, int]) -> Split:
    user = np.repeat(np.arange(len(h), dtype=np.int32), h.lengths)
    first_part = np.full(int(h.items.max(initial=0)) + 1, 3, np.int8)
    for index in (2, 1, 0):
        first_part[h.items[part == index]] = index

    def before(index: int) -> Ints:
        seen = np.concatenate([[0], np.cumsum(part < index)])
        return seen[h.offsets[1:]] - seen[h.offsets[:-1]]

    def window(index: int) -> Window:
        position = np.flatnonzero((part == index) & h.is_target)
        key = user[position] * np.int64(len(first_part)) + h.items[position]
        position = position[np.sort(np.unique(key, return_index=True)[1])]  # each user's distinct items, in time order
        users, query = np.unique(user[position].astype(np.int64), return_inverse=True)
        return Window(users, before(index)[users], position, query, first_part[h.items[position]] == index)

    return Split(before(1), window(1), window(2), cuts)


def hold_out(h: Histories, split: Split, num_items: int, share: float) -> tuple[Split, NDArray[np.bool_]]:
    """Marks targets among a seeded share of the items with events as cold; returns the items, bool `[num_items]`."""
    occurring = np.flatnonzero(np.bincount(h.items, minlength=num_items))
    held = np.zeros(num_items, bool)
    held[np.random.default_rng(0).permutation(occurring)[: round(share * len(occurring))]] = True

    def window(one: Window) -> Window:
        return replace(one, cold=one.cold | held[h.items[one.position]])

    return replace(split, valid=window(split.valid), test=window(split.test)), held


def in_training(h: Histories, train_length: Ints) -> NDArray[np.bool_]:
    """Bool `[events]`: whether an event is among the first `train_length[i]` of its user i."""
    steps = np.zeros(len(h.items) + 1, np.int8)
    users = np.flatnonzero(train_length)
    steps[h.offsets[users]] = 1
    steps[h.offsets[users] + train_length[users]] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).astype(bool)


def check_leakage(dataset: PreparedDataset) -> None:
    """Verifies from what is on disk that no history reaches into what is held out.

    Raises:
        InvalidInput: Naming how many users or items are wrong, with examples.
    """
    import polars as pl

    h = dataset.histories()
    train = pl.read_parquet(dataset.path / "splits" / "train.parquet")
    length = np.zeros(len(h), np.int64)
    length[train[schema.USER].to_numpy()] = train[schema.HISTORY_LENGTH].to_numpy()
    before = length
    for name in (schema.VALID, schema.TEST):
        frame = pl.read_parquet(dataset.path / "splits" / f"{name}.parquet")
        users, lengths = frame[schema.USER].to_numpy(), frame[schema.HISTORY_LENGTH].to_numpy()
        late = users[before[users] > lengths]
        _fail(h, late, f"the {name} history is shorter than what was trained on")
        before = before.copy()
        before[users] = lengths
        rows = frame.select(schema.TARGET_ITEMS, schema.COLD_TARGET_ITEMS).rows()
        absent = [
            user
            for user, n, (warm, cold) in zip(users, lengths, rows)
            if not {*warm, *cold} <= set(h.items[h.offsets[user] + n : h.offsets[user + 1]].tolist())
        ]
        _fail(h, np.array(absent, np.int64), f"a {name} target does not lie after its history")
        if (cut := dataset.manifest["cuts"].get(name)) is not None:
            ends = (h.offsets[users] + lengths)[lengths > 0] - 1
            _fail(h, users[lengths > 0][h.timestamps[ends] >= cut], f"the {name} history passes the time cut")
    _check_training(dataset, h, length)


def _check_training(dataset: PreparedDataset, h: Histories, length: Ints) -> None:
    users = np.flatnonzero(length)
    cut = dataset.manifest["cuts"].get(schema.VALID)
    if cut is not None:
        _fail(h, users[h.timestamps[h.offsets[users] + length[users] - 1] >= cut], "training passes the time cut")
    counts = np.bincount(dataset.training().items, minlength=dataset.num_items)
    wrong = np.flatnonzero(counts != dataset.items[schema.TRAIN_COUNT].to_numpy())
    if len(wrong):
        raise InvalidInput(
            f"Leakage: train_count of {len(wrong)} items does not count the training events alone, "
            f"e.g. {dataset.item_ids[wrong[:3]].tolist()}. Prepare the data again."
        )


def _fail(h: Histories, users: Ints, what: str) -> None:
    if len(users):
        raise InvalidInput(
            f"Leakage: for {len(users)} users {what}, e.g. {_examples(h, users)}. Prepare the data again."
        )


def _examples(h: Histories, users: Ints) -> str:
    return ", ".join(repr(user) for user in h.user_ids[users[:3]])
