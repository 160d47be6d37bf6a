"""Spherical k-means with a maximum cluster size, for the lists of the inverted-file index."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tfrec.retrieval.unit_vectors import unit_vectors

SAMPLE = 40
"""Training items per centre, about the minimum that Faiss recommends (39). More hardly improve the centres."""

FLAT = 1024
"""Largest number of centres trained directly. Above it, training starts from a hierarchical clustering, as the cost of
a round grows with the square of the number of centres."""

LAST_STEPS = 3
"""Rounds of training after a hierarchical start, which is already close."""

_BLOCK = 8192  # vectors compared with the centres at a time


def cluster(
    vectors: np.ndarray, lists: int, *, most: int | None = None, steps: int = 10, seed: int = 0
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Spherical k-means (Dhillon & Modha 2001, https://doi.org/10.1023/A:1007612920971); long lists are halved.

    More than `FLAT` centres are initialised hierarchically, like a vocabulary tree (Nistér & Stewénius 2006,
    https://doi.org/10.1109/CVPR.2006.264): by a clustering into √`lists` parts and one inside each part. Then
    `LAST_STEPS` rounds over all centres are enough.

    Args:
        vectors: float32 `[items, dim]`; only their directions count.
        lists: int. Number of centres to train. Empty lists are dropped, and halving long lists adds more.
        most: int. Maximum length of a list; None for no limit.
        steps: int. Rounds of training, on a sample of `SAMPLE` items per list.
        seed: int. Seed of the sample and of the initial centres.

    Returns:
        centres: float32 `[clusters, dim]`, unit vectors. members: the item indices of each centre, ascending; every
        item occurs exactly once. Without items there are no clusters.

    Example:
        >>> centres, members = cluster(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]], np.float32), lists=2)
        >>> sorted(m.tolist() for m in members)
        [[0, 2], [1]]
    """
    unit = unit_vectors(vectors)
    if not len(unit):
        return unit, []
    rng = np.random.default_rng(seed)
    lists = min(max(lists, 1), len(unit))
    sample = unit[np.sort(rng.choice(len(unit), min(len(unit), SAMPLE * lists), replace=False))]
    if lists <= FLAT:
        centres = _train(sample, sample[np.sort(rng.choice(len(sample), lists, replace=False))], steps, rng)
    else:
        centres = _train(sample, _hierarchical_centres(sample, lists, steps, rng), min(steps, LAST_STEPS), rng)
    nearest = _nearest_centre(unit, centres)
    order = np.argsort(nearest, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(nearest, minlength=len(centres)))[:-1])
    members = [part for group in groups if len(group) for part in _halve(unit, group, most or len(unit))]
    return unit_vectors(np.stack([unit[part].mean(axis=0) for part in members])), members


def neighbourhoods(vectors: np.ndarray, *, probes: int = 32, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Partitions the items and yields, for each part, the candidates for its nearest neighbours.

    For catalogues that are too large to compare every pair of items.

    Args:
        vectors: float32 `[items, dim]`; only their directions count.
        probes: int. Number of lists, of about 4 · √items, whose items are the candidates of one list.
        seed: int. Seed of the clustering.

    Yields:
        items: int64, the items of one list of `cluster`, ascending; together the lists contain every item once.
        candidates: int64, the items of the `probes` lists with the nearest centres, including this list, ascending.

    Example:
        >>> parts = neighbourhoods(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]], np.float32), probes=1)
        >>> sorted((items.tolist(), candidates.tolist()) for items, candidates in parts)
        [([0], [0]), ([1], [1]), ([2], [2])]
    """
    lists = 4 * int(len(vectors) ** 0.5)
    centres, members = cluster(vectors, lists, most=max(2 * len(vectors) // max(lists, 1), 8), seed=seed)
    for start in range(0, len(members), FLAT):
        near = centres[start : start + FLAT] @ centres.T
        near[np.arange(len(near)), start + np.arange(len(near))] = np.inf
        width = min(probes, len(members))
        for items, row in zip(members[start:], np.argpartition(-near, width - 1, axis=1)[:, :width], strict=False):
            yield items, np.sort(np.concatenate([members[near_list] for near_list in row]))


def _hierarchical_centres(sample: np.ndarray, lists: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """About `lists` centres: each part of a coarse clustering is clustered, with centres in proportion to its items."""
    centres = []
    for part in cluster(sample, round(lists**0.5), steps=steps, seed=int(rng.integers(2**31)))[1]:
        share = max(round(lists * len(part) / len(sample)), 1)
        start = sample[part[np.sort(rng.choice(len(part), share, replace=False))]]
        centres.append(_train(sample[part], start, steps, rng))
    return np.concatenate(centres)


def _train(sample: np.ndarray, centres: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """The centres after `steps` rounds, each of which moves a centre to the mean direction of its nearest items."""
    for _ in range(steps):
        sums = np.zeros_like(centres)
        counts = np.bincount(nearest := _nearest_centre(sample, centres), minlength=len(centres))
        order = np.argsort(nearest, kind="stable")
        filled = np.flatnonzero(counts)
        sums[filled] = np.add.reduceat(sample[order], (np.cumsum(counts) - counts)[filled], axis=0)
        # A centre without items restarts at a random item.
        sums[counts == 0] = sample[rng.choice(len(sample), int((counts == 0).sum()))]
        centres = unit_vectors(sums)
    return centres


def _halve(unit: np.ndarray, group: np.ndarray, most: int) -> list[np.ndarray]:
    """Halves the group along its direction of largest variance until no part is longer than `most`."""
    if len(group) <= most:
        return [group]
    centred = unit[group] - unit[group].mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(centred @ direction, kind="stable")
    halves = group[order[: len(group) // 2]], group[order[len(group) // 2 :]]
    return [part for half in halves for part in _halve(unit, np.sort(half), most)]


def _nearest_centre(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    blocks = [(rows[at : at + _BLOCK] @ centres.T).argmax(axis=1) for at in range(0, len(rows), _BLOCK)]
    return np.concatenate(blocks)
