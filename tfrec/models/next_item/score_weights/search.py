"""How much each part of a NextItemModel's score counts, chosen on validation after the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tfrec.data.histories import Queries
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.decomposition import ScoreParts
from tfrec.models.next_item.score_weights.weights import Balance

QUERIES = 2000
FEWEST = 50
"""Queries without which nothing is moved, however many targets they have: the error of a gain is one over queries. On
MovieLens-100K by time, what is found with 20 or 40 of the validation queries makes the rest of them worse."""
TARGETS = 100
CELLS = 40_000_000
ROUNDS = 6
# What is tried, coarse on purpose: a finer grid would fit the noise of 2,000 queries.
FACTORS = (0.25, 0.5, 0.7, 1.4, 2.0)
STEPS = (-4.0, -1.5, -0.5, 0.5, 1.5, 4.0)
DECAYS = (0.6, 0.8, 0.9, 0.95, 0.98, 0.99)
DISCOUNTS = (0.0, 0.15, 0.3, 0.45, 0.6)
POPULARITIES = (-0.5, -0.1, 0.1, 0.3, 0.6, 1.2)
STARTS = (1.0, 0.5, 0.25, 0.1)
"""Factors on the network that `balances` starts from."""


def balance(
    model: NextItemModel,
    queries: Queries,
    *,
    exclude_seen: bool = False,
    seed: int = 0,
    names: Sequence[str] | None = None,
    rounds: int = ROUNDS,
) -> Balance:
    """The strengths with the best NDCG@10 on validation queries; the model is left as it was.

    The fit learns the strengths for the very next event of each training sequence, with the sequence's own pairs taken
    out of the memory. What is asked of the model is another question: a list for a later window, after the longest
    history that can be read. So one strength after the other is moved, while a move gains more than one paired standard
    error, which keeps a small validation set from being fitted. (Coordinate ascent on the metric itself: Metzler &
    Croft 2007, https://doi.org/10.1007/s10791-006-9019-z.)

    Args:
        model: The fitted model.
        queries: Validation queries; at most 2,000 are used, drawn with `seed`, and as few as keep the scores within
            40 million numbers. With fewer than 50, or than 100 targets, as for catalogues above 400,000 items, nothing
            is moved.
        exclude_seen: Whether seen items are masked.
        seed: int. Of the draw.
        names: Strengths that are moved; None for all that the model has.
        rounds: int. How often each is tried, at most.

    Returns:
        The strengths found; those of the model where no move gains.
    """
    parts, current = _parts(model, queries, exclude_seen, seed), Balance.of(model)
    return current if parts is None else _ascend(parts, current, names, rounds)


def balances(model: NextItemModel, queries: Queries, *, exclude_seen: bool = False, seed: int = 0) -> list[Balance]:
    """What `balance` finds from each of four loudnesses of the network, each once; all else as there.

    With few people to learn from a network is far too loud, and then no strength gains that is moved alone. Which is
    best should be judged by other queries too than these were found with.
    """
    parts, current = _parts(model, queries, exclude_seen, seed), Balance.of(model)
    if parts is None:
        return [current]
    starts = (replace(current, cosine=current.cosine * factor) for factor in STARTS)
    return list(dict.fromkeys(_ascend(parts, start, None, ROUNDS) for start in starts))


def _parts(model: NextItemModel, queries: Queries, exclude_seen: bool, seed: int) -> ScoreParts | None:
    """The parts of the scores of the queries that are used; None where these are too few to tell anything."""
    count = min(len(queries), QUERIES, CELLS // model.num_items)
    rows = np.sort(np.random.default_rng(seed).choice(len(queries), count, replace=False))
    targets = int((queries.target_offsets[rows + 1] - queries.target_offsets[rows]).sum())
    if count < FEWEST or targets < TARGETS:
        return None
    rows = rows[np.argsort(queries.history.lengths[rows], kind="stable")]  # so that little of a block is padding
    return ScoreParts(model, queries, rows, exclude_seen)


def _ascend(parts: ScoreParts, current: Balance, names: Sequence[str] | None, rounds: int) -> Balance:
    """Moves one strength after the other, while a move gains more than one paired standard error."""
    best = parts.ndcg(current)
    moved_names = [name for name in parts.names if names is None or name in names]
    for _ in range(rounds):
        before = current
        for name in moved_names:
            for moved in _moves(current, name):
                found = parts.ndcg(moved)
                gain = found - best
                if gain.mean() > gain.std() / np.sqrt(len(gain)):
                    current, best = moved, found
        if current == before:
            break
    return current


def _moves(start: Balance, name: str) -> list[Balance]:
    value = getattr(start, name)
    if name in ("decay", "discount"):
        values = [other for other in (DECAYS if name == "decay" else DISCOUNTS) if not np.isclose(other, value)]
    elif name in ("cosine", "weight", "text_weight"):
        values = [value * factor for factor in FACTORS]
    elif name == "popularity":
        values = [max(value + step, 0.0) for step in POPULARITIES]
    else:
        values = [value + step for step in STEPS]
    return [replace(start, **{name: moved}) for moved in values]
