"""Groups of targets by whether training had the step to them: what can be remembered, and what has to be generalised.

(After Ding et al. 2026, How well does generative recommendation generalize?, https://arxiv.org/abs/2603.19809.)
"""

from __future__ import annotations

import numpy as np

from tfrec.data.histories import Histories, Queries, row_numbers
from tfrec.data.pair_set import PairSet, pair_keys

ONE_HOP, TWO_HOPS, NEVER = "one hop", "two hops", "never"

_PAIRS_AT_ONCE = 1024
"""Pairs whose middle items are listed at a time: at most as many times the catalogue, which is some tens of MiB."""


def transition_groups(
    training: Histories,
    queries: Queries,
    num_items: int,
    taken_in_training: np.ndarray | None = None,
    taken_in_histories: np.ndarray | None = None,
) -> np.ndarray:
    """Groups targets by the training steps that lead to them from the newest item of the history.

    A step from i to j is a training sequence that has j right after i. A target is "one hop" if there is a step to it
    from the newest item, "two hops" if there is a step to an item that has a step to it, and "never" otherwise. What
    counts steps, such as co-occurrence with a window of one, can only rank targets of the first group.

    Args:
        training: The training sequences.
        queries: The evaluated queries.
        num_items: int. Items in the catalogue.
        taken_in_training: bool `[events]`, the events of `training` that count (`taken`); None for all.
        taken_in_histories: bool `[events]`, the events of `queries.history` that count; None for all.

    Returns:
        object `[targets]`, group names.

    Example:
        >>> def histories(*rows):
        ...     items, zeros = np.concatenate(rows), np.zeros(sum(map(len, rows)), np.int64)
        ...     offsets = np.cumsum([0, *map(len, rows)])
        ...     return Histories(np.arange(len(rows)), offsets, items, zeros, zeros, zeros, zeros == 0)
        >>> queries = Queries(histories([9, 0]), np.array([0, 3]), np.array([1, 2, 9]))
        >>> transition_groups(histories([0, 1, 2], [2, 9, 0]), queries, num_items=10).tolist()
        ['one hop', 'two hops', 'never']
    """
    steps = _steps(training, num_items, taken_in_training)
    start = _newest_items(queries.history, taken_in_histories)[queries.target_rows]
    groups = np.full(len(start), NEVER, object)
    known = np.flatnonzero(start >= 0)
    pairs, place = np.unique(pair_keys(start[known], queries.target_items[known], num_items), return_inverse=True)
    first, last = np.divmod(pairs, num_items)
    one = steps.contains(first, last)
    groups[known] = np.where(one, ONE_HOP, np.where(_in_two_steps(steps, first, last), TWO_HOPS, NEVER))[place]
    return groups


def _steps(histories: Histories, num_items: int, counted: np.ndarray | None) -> PairSet:
    """The distinct steps, as pairs of an item and the next."""
    chosen = slice(None) if counted is None else counted
    items, rows = histories.items[chosen], histories.rows[chosen]
    same = rows[1:] == rows[:-1]
    return PairSet(items[:-1][same], items[1:][same], num_items)


def _newest_items(histories: Histories, counted: np.ndarray | None) -> np.ndarray:
    """The newest item of each history, int64 `[rows]`; −1 if none counts."""
    chosen = slice(None) if counted is None else counted
    newest = np.full(len(histories), -1, np.int64)
    newest[histories.rows[chosen]] = histories.items[chosen]  # the last of a row stays
    return newest


def _in_two_steps(steps: PairSet, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Whether a step from `first` leads to an item with a step to `last`: bool `[pairs]`."""
    found = np.zeros(len(first), bool)
    for start in range(0, len(first), _PAIRS_AT_ONCE):
        here = slice(start, start + _PAIRS_AT_ONCE)
        middle, offsets = steps.items_of_rows(first[here])
        pair = row_numbers(np.diff(offsets))
        found[start + pair[steps.contains(middle, last[here][pair])]] = True
    return found
