"""Lists of items that point the same way: spherical k-means, with no list longer than allowed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

SAMPLE = 40
"""Items a list that the centres are learned from; more make them hardly better."""

FLAT = 1024
"""Centres learned at once; more of them start where those of parts of the vectors are."""

LAST_STEPS = 3

_BLOCK = 8192


def cluster(
    vectors: np.ndarray, lists: int, *, most: int | None = None, steps: int = 10, seed: int = 0
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Spherical k-means (Dhillon & Modha 2001, https://doi.org/10.1023/A:1007612920971), long lists cut in halves.

    More than `FLAT` centres start from those of a clustering into √`lists` parts and of one inside each part, as of a
    tree (Nistér & Stewénius 2006, https://doi.org/10.1109/CVPR.2006.264), and need only `LAST_STEPS` rounds together.

    Args:
        vectors: float32 `[items, dim]`; their directions count.
        lists: int. Centres to learn; cutting may make more, empty ones are dropped.
        most: int. Longest list allowed; None for none.
        steps: int. Rounds of learning, on a sample of `SAMPLE` items a list.
        seed: int. Of the sample and the first centres.

    Returns:
        centres: float32 `[found, dim]` of unit length. members: for each centre the item indices, rising; together
        every item once. No items give no lists.

    Example:
        >>> centres, members = cluster(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]], np.float32), lists=2)
        >>> sorted(m.tolist() for m in members)
        [[0, 2], [1]]
    """
    unit = _unit(np.asarray(vectors, np.float32))
    if not len(unit):
        return unit, []
    rng = np.random.default_rng(seed)
    lists = min(max(lists, 1), len(unit))
    sample = unit[np.sort(rng.choice(len(unit), min(len(unit), SAMPLE * lists), replace=False))]
    if lists <= FLAT:
        centres = _learned(sample, sample[np.sort(rng.choice(len(sample), lists, replace=False))], steps, rng)
    else:
        centres = _learned(sample, _of_parts(sample, lists, steps, rng), min(steps, LAST_STEPS), rng)
    nearest = _nearest(unit, centres)
    order = np.argsort(nearest, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(nearest, minlength=len(centres)))[:-1])
    members = [part for group in groups if len(group) for part in _halved(unit, group, most or len(unit))]
    return _unit(np.stack([unit[part].mean(axis=0) for part in members])), members


def neighbourhoods(vectors: np.ndarray, *, probes: int = 32, seed: int = 0) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Where the nearest neighbours of all items are looked for, when there are too many to compare each with each.

    Args:
        vectors: float32 `[items, dim]`; their directions count.
        probes: int. Lists that are looked through for the items of one, of about 4 · √items.
        seed: int. Of the clustering.

    Returns:
        For each list of a clustering (`cluster`) its items, and those of the lists whose centres are nearest to its
        own, itself first; int64, both rising. Together the first ones hold every item once.

    Example:
        >>> found = neighbourhoods(np.array([[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]], np.float32), probes=1)
        >>> sorted((items.tolist(), near.tolist()) for items, near in found)
        [([0], [0]), ([1], [1]), ([2], [2])]
    """
    lists = 4 * int(len(vectors) ** 0.5)
    centres, members = cluster(vectors, lists, most=max(2 * len(vectors) // max(lists, 1), 8), seed=seed)
    for start in range(0, len(members), FLAT):
        near = centres[start : start + FLAT] @ centres.T
        near[np.arange(len(near)), start + np.arange(len(near))] = np.inf
        width = min(probes, len(members))
        for items, row in zip(members[start:], np.argpartition(-near, width - 1, axis=1)[:, :width], strict=False):
            yield items, np.sort(np.concatenate([members[one] for one in row]))


def _of_parts(sample: np.ndarray, lists: int, steps: int, rng: np.random.Generator) -> np.ndarray:
    """About as many centres as `lists`: of clusterings of the parts of a clustering, by how many items these have."""
    found = []
    for part in cluster(sample, round(lists**0.5), steps=steps, seed=int(rng.integers(2**31)))[1]:
        share = max(round(lists * len(part) / len(sample)), 1)
        start = sample[part[np.sort(rng.choice(len(part), share, replace=False))]]
        found.append(_learned(sample[part], start, steps, rng))
    return np.concatenate(found)


def _learned(sample: np.ndarray, centres: np.ndarray, steps: int, rng: np.random.Generator) -> np.ndarray:
    """The centres after so many rounds: each the mean direction of the items nearest to it."""
    for _ in range(steps):
        sums = np.zeros_like(centres)
        counts = np.bincount(nearest := _nearest(sample, centres), minlength=len(centres))
        order = np.argsort(nearest, kind="stable")
        filled = np.flatnonzero(counts)
        sums[filled] = np.add.reduceat(sample[order], (np.cumsum(counts) - counts)[filled], axis=0)
        # A centre without items starts again at an item.
        sums[counts == 0] = sample[rng.choice(len(sample), int((counts == 0).sum()))]
        centres = _unit(sums)
    return centres


def _halved(unit: np.ndarray, group: np.ndarray, most: int) -> list[np.ndarray]:
    """The group, cut at the middle of its longest direction until no part is longer than `most`."""
    if len(group) <= most:
        return [group]
    centred = unit[group] - unit[group].mean(axis=0)
    direction = np.linalg.eigh(centred.T @ centred)[1][:, -1]
    order = np.argsort(centred @ direction, kind="stable")
    halves = group[order[: len(group) // 2]], group[order[len(group) // 2 :]]
    return [part for half in halves for part in _halved(unit, np.sort(half), most)]


def _nearest(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    blocks = [(rows[at : at + _BLOCK] @ centres.T).argmax(axis=1) for at in range(0, len(rows), _BLOCK)]
    return np.concatenate(blocks)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
