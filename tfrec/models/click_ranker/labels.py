"""Labels of ClickRanker's heads: what a user did with an item."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, Queries, concatenate_ranges, row_numbers
from tfrec.data.pair_set import pair_keys


def implied_behaviours(event_kinds: Sequence[str], behaviours: Sequence[str]) -> np.ndarray:
    """float32 `[event kinds, behaviours]`: 1 if an event of the kind is the behaviour or implies it (`schema.FUNNEL`).

    Example:
        >>> implied_behaviours(["purchase", "rating", "view"], ["view", "purchase", "rating"]).astype(int).tolist()
        [[1, 1, 0], [0, 0, 1], [1, 0, 0]]
    """
    depth = {kind: place for place, kind in enumerate(schema.FUNNEL)}
    table = np.zeros((len(event_kinds), len(behaviours)), np.float32)
    for i, kind in enumerate(event_kinds):
        for j, behaviour in enumerate(behaviours):
            table[i, j] = kind == behaviour or depth.get(behaviour, 99) < depth.get(kind, -1)
    return table


def labels_ahead(histories: Histories, at: np.ndarray, table: np.ndarray, horizon: int) -> np.ndarray:
    """Labels of events: what the user does with the event's item in that event and the following ones.

    Args:
        histories: Histories without impressions.
        at: int `[n]`, flat positions of the events.
        table: The result of `implied_behaviours`.
        horizon: int. Number of events that count, the one `at` included.

    Returns:
        float32 `[n, behaviours]`.
    """
    ends = histories.offsets[1:][histories.rows[at]]
    labels = np.zeros((len(at), table.shape[1]), np.float32)
    for step in range(horizon):
        inside = np.flatnonzero(at + step < ends)
        there = at[inside] + step
        acted = (histories.items[there] == histories.items[at[inside]]) & histories.is_target[there]
        labels[inside[acted]] = np.maximum(labels[inside[acted]], table[histories.events[there[acted]]])
    return labels


def labels_of_impressions(
    groups: np.ndarray, items: np.ndarray, shown: np.ndarray, acts: np.ndarray, num_items: int
) -> np.ndarray:
    """Labels of impressions: what the user does with the item after it was shown and before it is shown again.

    Args:
        groups: int `[events]`, user of each event; each user's events are in temporal order.
        items: int `[events]`.
        shown: bool `[events]`, true at impressions.
        acts: float32 `[events, behaviours]`, the behaviours that each event implies.
        num_items: int. Items in the catalogue.

    Returns:
        float32 `[impressions, behaviours]`.
    """
    key = pair_keys(groups, items, num_items)
    order = np.argsort(key, kind="stable")
    number = np.cumsum(shown[order])  # impressions so far, in order of user and item
    first = np.flatnonzero(np.diff(key[order], prepend=-1))
    before = np.repeat(number[first] - shown[order][first], np.diff(np.append(first, len(key))))
    after_one = number > before  # actions before the first impression belong to none
    labels = np.zeros((int(shown.sum()), acts.shape[1]), np.float32)
    np.maximum.at(labels, number[after_one] - 1, acts[order][after_one])
    in_event_order = np.zeros_like(labels)
    rank = np.cumsum(shown) - 1
    in_event_order[rank[order[shown[order]]]] = labels
    return in_event_order


def target_windows(dataset: PreparedDataset, split: str, queries: Queries) -> tuple[np.ndarray, np.ndarray]:
    """Flat start and stop, int64 `[queries]` each, of the part of the full histories that each query is to predict."""
    whole = dataset.histories()
    row_of = {user: row for row, user in enumerate(whole.user_ids)}
    rows = np.array([row_of[user] for user in queries.user_ids], np.int64)
    starts = whole.offsets[rows] + queries.history.lengths
    stops = whole.offsets[rows + 1].copy()
    if split == schema.VALID:
        for name in ("warm", "cold_items", "cold_users"):
            later = dataset.queries(schema.TEST, name)
            until = dict(zip(later.user_ids, later.history.lengths))
            for query, user in enumerate(queries.user_ids):
                if user in until:
                    stops[query] = whole.offsets[rows[query]] + until[user]
    return starts, stops


def concatenated_windows(starts: np.ndarray, stops: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All flat positions of the windows, one window after another, and the number of the window of each.

    Example:
        >>> [values.tolist() for values in concatenated_windows(np.array([3, 9]), np.array([5, 10]))]
        [[3, 4, 9], [0, 0, 1]]
    """
    lengths = np.maximum(stops - starts, 0)
    return concatenate_ranges(starts, lengths), row_numbers(lengths)
