"""Deletion and insertion: what happens to a score when the events that a method names go, or are all there is."""

from __future__ import annotations

import numpy as np

from tfrec.explanation.deletions import DeletionScorer, total
from tfrec.explanation.faithfulness.attributions import Asked

SIZES = (1, 3, 5)
"""Numbers of events that are named."""


def named_events(weights: np.ndarray, lengths: np.ndarray, most: int) -> np.ndarray:
    """The events with the largest weights, the largest first; ties go to the newest.

    Args:
        weights: float `[n, events]`.
        lengths: int `[n]`, events of each row.
        most: int.

    Returns:
        int `[n, most]`, −1 where a row has fewer events.
    """
    there = np.arange(weights.shape[1]) < lengths[:, None]
    newest_first = np.where(there, weights, -np.inf)[:, ::-1]
    order = weights.shape[1] - 1 - np.argsort(-newest_first, axis=1, kind="stable")[:, :most]
    named = np.full([len(weights), most], -1)
    named[:, : order.shape[1]] = np.where(np.take_along_axis(there, order, axis=1), order, -1)
    return named


def curves(
    deletions: DeletionScorer, rescored: DeletionScorer, asked: Asked, named: dict[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """The measures of each method for each user, all methods in two calls.

    Args:
        deletions: Exact scores after deletions.
        rescored: The same for variants that keep only a few events.
        asked: Users and items.
        named: From the name of a method to its events, of `named_events`.

    Returns:
        For each method, float `[n]` by name: `fall@s` is what the score loses without the s events named first, and
        `gain@s` what they add to the score of an empty history; `deletion_area` and `insertion_area` are the means of
        these curves from 0 to 5 events; `comprehensiveness` is the mean fall, and `sufficiency` the mean of what the
        score lacks with the named events alone.
    """
    lengths = np.minimum(asked.histories.lengths[asked.rows], deletions.max_events)
    place = np.arange(max(int(lengths.max(initial=0)), 1))
    first = lengths - asked.lengths  # events that are read and not weighed
    only = [np.zeros([len(lengths), len(place)], bool)]
    for events in named.values():
        at = np.where(events >= 0, events + first[:, None], -1)
        only += [(place[None, None] == at[:, :size, None]).any(axis=1) for size in SIZES]
    kept = np.stack(only, axis=1)
    left, alone = (
        total(scorer.parts(asked.histories, asked.rows, masks, asked.items[:, None]))[..., 0]
        for scorer, masks in ((deletions, ~kept), (rescored, kept))
    )
    full, empty = left[:, :1], alone[:, :1]
    measured = {}
    for number, name in enumerate(named):
        of_method = slice(1 + len(SIZES) * number, 1 + len(SIZES) * (number + 1))
        measured[name] = curve_measures(full, left[:, of_method], empty, alone[:, of_method])
    return measured


def curve_measures(full: np.ndarray, left: np.ndarray, empty: np.ndarray, alone: np.ndarray) -> dict[str, np.ndarray]:
    """The measures of one method, as `curves` returns them.

    Args:
        full: float `[n, 1]`, the score with everything.
        left: float `[n, len(SIZES)]`, the score without what was named first.
        empty: float `[n, 1]`, the score with nothing.
        alone: float `[n, len(SIZES)]`, the score with that alone which was named first.
    """
    falls, gains = full - left, alone - empty
    return {
        **{f"fall@{size}": falls[:, place] for place, size in enumerate(SIZES)},
        **{f"gain@{size}": gains[:, place] for place, size in enumerate(SIZES)},
        "deletion_area": _area(falls),
        "insertion_area": _area(gains),
        "comprehensiveness": falls.mean(axis=1),
        "sufficiency": (full - alone).mean(axis=1),
    }


def _area(values: np.ndarray) -> np.ndarray:
    """The mean height of curves through 0 at no event and float `[n, len(SIZES)]` at `SIZES`."""
    heights = np.concatenate([np.zeros_like(values[:, :1]), values], axis=1)
    area: np.ndarray = ((heights[:, 1:] + heights[:, :-1]) / 2) @ np.diff([0, *SIZES]) / SIZES[-1]
    return area


def events_for_share(weights: np.ndarray, lengths: np.ndarray, share: float = 0.8) -> np.ndarray:
    """Sparsity: how many events have `share` of all that raises the item, int `[n]`; 0 where nothing does."""
    there = np.arange(weights.shape[1]) < lengths[:, None]
    raising = -np.sort(-np.where(there, np.maximum(weights, 0), 0), axis=1)
    whole = raising.sum(axis=1, keepdims=True)
    needed = (np.cumsum(raising, axis=1) < share * whole).sum(axis=1) + 1
    return np.where(whole[:, 0] > 0, needed, 0)


def rank_agreement(first: np.ndarray, second: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Spearman's rank correlation of two methods, float `[n]`; NaN with fewer than 3 events, or equal weights."""
    found = np.full(len(first), np.nan)
    for row, length in enumerate(lengths):
        if length >= 3:
            a, b = (_ranks(values[row, :length]) for values in (first, second))
            if a.std() and b.std():
                found[row] = np.corrcoef(a, b)[0, 1]
    return found


def _ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, float; the mean of their ranks for equal ones."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: np.ndarray = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return ranks
