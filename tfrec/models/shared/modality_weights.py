"""How much each modality should count beside the text, found without training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.evaluation.ranking_metrics import ranking_metrics, ranks_of
from tfrec.models.shared.item_features import IMAGE, item_modalities
from tfrec.models.shared.modalities import Modality, fuse, fuse_like, neighbour_vectors
from tfrec.models.shared.neighbours import kernel_of
from tfrec.progress import say
from tfrec.retrieval.unit_vectors import unit_vectors

WEIGHTS = (0.25, 0.5, 0.75, 1.0)
MIN_GAIN = 2.0
"""Paired standard errors that a weight must gain over the best one before it."""
ORDERS = 9
"""Random orders of a modality with which its own is compared."""
MIN_DISTANCE = 3.5
"""Standard deviations by which the gain must lie above the gains in random orders."""
MIN_HISTORIES = 50
MAX_HISTORIES = 1000
MAX_EVENTS = 10
MAX_SCORES = 10_000_000
"""Limit on the histories times the items, and so on time: about a quarter of a minute for each modality."""
_NEWEST = 0.2


def fused_features(
    dataset: PreparedDataset,
    text_vectors: np.ndarray | None,
    image_vectors: np.ndarray | None,
    config: RunConfig,
    like: Sequence[Modality] | None = None,
) -> tuple[np.ndarray | None, tuple[Modality, ...]]:
    """The vectors of all modalities of the items side by side, with the weights that `model.modality_weight` says.

    With a single modality nothing is chosen or scaled, and there are no gates.

    Args:
        dataset: The catalogue and the training sequences.
        text_vectors, image_vectors: As for `item_modalities`.
        config: Sections `model` and `training`.
        like: The modalities of an earlier run, whose weights and scales are kept; None to choose them.

    Returns:
        float32 `[num_items, width]`, None without any modality; and the modalities, none for a single one
        that is no picture.

    Raises:
        InvalidInput: As in `item_modalities`, or the items lack a modality of the earlier run.
    """
    given = item_modalities(dataset, text_vectors, image_vectors)
    if like:
        return fuse_like(given, like).vectors, tuple(like)
    if like is not None:
        given = given[:1]
    if len(given) > 1:
        weight = config.model.modality_weight
        if weight == "auto":
            weights = choose_modality_weights(given, dataset.training(), config.training.seed)
        else:
            weights = (weight,) * (len(given) - 1)
        fused = fuse(given, weights)
        if len(fused.modalities) > 1:
            return fused.vectors, fused.modalities
    if text_vectors is not None or not given:
        return text_vectors, ()
    alone = fuse(given[:1], ())
    return alone.vectors, alone.modalities if given[0][0] == IMAGE else ()


def choose_modality_weights(
    given: Sequence[tuple[str, np.ndarray]], training: Histories, seed: int = 0
) -> tuple[float, ...]:
    """Weights with which modalities make items alike that the same people take; 0 for one that adds nothing.

    The newest fifth of each training history is looked for by the similarity of items to the newest ten before it,
    which learns nothing from events. For a modality to count at all, the NDCG@10 must rise clearly, and more than with
    the same vectors in random orders: frozen vectors of pictures often hurt more than they help, and some orders of
    them help by chance, as all people take the same popular items. Modalities are tried one after the other, each
    together with those chosen before.

    Args:
        given: Name and float `[num_items, width]` of each modality, as for `fuse`; the first has weight 1.
        training: The training sequences.
        seed: int. Which of many histories are used.

    Returns:
        A weight for each modality after the first; 0 for all if there are fewer than `MIN_HISTORIES` histories.
    """
    queries = _queries(training, len(given[0][1]), seed)
    if len(queries) < MIN_HISTORIES:
        say(f"{len(queries)} training histories are too few to choose by: items are known by {given[0][0]} alone")
        return (0.0,) * (len(given) - 1)
    units = [unit_vectors(neighbour_vectors(*_alone(vectors))) for _, vectors in given]
    chosen = [1.0]
    for name, _ in given[1:]:
        trials = np.array([[*chosen, weight] for weight in (0.0, *WEIGHTS)])
        ndcg = _ndcg(units[: len(chosen) + 1], trials, queries)
        best = _best_trial(ndcg)
        if best:
            by_chance = _ndcg_in_random_orders(units[: len(chosen) + 1], trials[best], queries, seed)
            if ndcg[best].mean() <= by_chance.mean() + MIN_DISTANCE * by_chance.std(ddof=1):
                best = 0
        chosen.append(float(trials[best, -1]))
        change = f"NDCG@10 of similar items {ndcg[0].mean():.4f} → {ndcg[best].mean():.4f}" if best else "no clear gain"
        say(f"Weight of {name} beside {given[0][0]}: {chosen[-1]:g} ({change} on {len(queries)} training histories)")
    return tuple(chosen[1:])


def _best_trial(ndcg: np.ndarray) -> int:
    """The row of float `[trials, queries]` that gains most, each clearly over the best before it."""
    best = 0
    for trial, result in enumerate(ndcg):
        gain = result - ndcg[best]
        if gain.mean() > MIN_GAIN * gain.std() / np.sqrt(len(gain)):
            best = trial
    return best


def _alone(vectors: np.ndarray) -> tuple[np.ndarray, tuple[Modality, ...]]:
    fused = fuse([("", vectors)], ())
    return fused.vectors, fused.modalities


def _queries(training: Histories, num_items: int, seed: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Newest items of the history, all of its items, and the targets of some users."""
    users = np.flatnonzero(training.lengths >= 2)
    most = min(MAX_HISTORIES, max(1, MAX_SCORES // num_items))
    if len(users) > most:
        users = np.sort(np.random.default_rng(seed).choice(users, most, replace=False))
    queries = []
    for user in users:
        items = training.items[training.offsets[user] : training.offsets[user + 1]]
        cut = min(len(items) - 1, max(1, round(len(items) * (1 - _NEWEST))))
        targets = np.setdiff1d(items[cut:], items[:cut])
        if len(targets):
            queries.append((items[max(0, cut - MAX_EVENTS) : cut], items[:cut], targets))
    return queries


def _ndcg_in_random_orders(
    units: Sequence[np.ndarray],
    weights: np.ndarray,
    queries: list[tuple[np.ndarray, np.ndarray, np.ndarray]],
    seed: int,
) -> np.ndarray:
    """Mean NDCG@10 with the last modality in each of `ORDERS` random orders among the items that have it."""
    *others, last = units
    rows, means = np.flatnonzero(np.any(last != 0, axis=1)), []
    for order in range(ORDERS):
        shuffled = last.copy()
        shuffled[rows] = last[np.random.default_rng([seed, order]).permutation(rows)]
        means.append(_ndcg([*others, shuffled], weights[None], queries).mean())
    return np.array(means)


def _ndcg(
    units: Sequence[np.ndarray], trials: np.ndarray, queries: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> np.ndarray:
    """NDCG@10 of each query by the similarity of its newest items, float64 `[trials, queries]`.

    Args:
        units: float32 `[num_items, width]` of each modality: unit vectors, 0 for an item without it.
        trials: float `[trials, modalities]`, the weights to compare.
        queries: Of `_queries`.
    """
    squares = np.square(trials)
    present = np.stack([np.any(unit != 0, axis=1) for unit in units], axis=1)
    lengths = np.sqrt(np.maximum(squares @ present.T, 1e-12)).astype(np.float32)  # of what an item has, by trial
    results = np.zeros((len(trials), len(queries)))
    for column, (newest, history, targets) in enumerate(queries):
        cosines = np.stack([unit[newest] @ unit.T for unit in units])
        for row, weights in enumerate(squares.astype(np.float32)):
            fused = np.tensordot(weights, cosines, 1) / (lengths[row, newest, None] * lengths[row])
            scores = kernel_of(fused).sum(axis=0)
            scores[history] = -np.inf
            not_below = (scores[None, :] >= scores[targets, None]).sum(axis=1)
            ranks = ranks_of(scores[targets], not_below, np.array([0, len(targets)]))
            results[row, column] = ranking_metrics(ranks, np.array([0, len(targets)]), 10)["ndcg"][0]
    return results
