"""Item-to-item neighbours: what stands near an item in people's histories, and what reads like it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tfrec.data.histories import Histories
from tfrec.data.pair_set import pair_keys
from tfrec.retrieval.unit_vectors import unit_vectors

TEMPERATURE = 0.3
"""Width of the kernel exp((cos − 1) / 0.3) of text vectors that are softly whitened."""

_LEAST_VARIANCE = 1e-3
"""Of a component, as a share of their mean: what texts hardly differ in is not blown up."""

_BLOCK = 1024
"""Items whose texts are compared with all others at a time, so that memory stays bounded."""


def count_pairs(histories: Histories, num_items: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """How often two items stand within `window` events of each other in a history, in either order.

    Args:
        histories: The sequences.
        num_items: int. Items in the catalogue.
        window: int. Largest distance; 1 is neighbouring events.

    Returns:
        keys: int64 `[pairs]`, `i * num_items + j`, rising. counts: float64 `[pairs]`. Symmetric; an item that is near
        itself counts twice, once in each order.
    """
    items = histories.items.astype(np.int64)
    user = histories.rows
    keys, counts = np.empty(0, np.int64), np.empty(0, np.int64)
    for distance in range(1, min(window, len(items)) + 1):
        same = user[:-distance] == user[distance:]
        first, second = items[:-distance][same], items[distance:][same]
        pairs = np.concatenate([pair_keys(first, second, num_items), pair_keys(second, first, num_items)])
        new_keys, new_counts = np.unique(pairs, return_counts=True)
        keys, place = np.unique(np.concatenate([keys, new_keys]), return_inverse=True)
        counts = np.bincount(place, weights=np.concatenate([counts, new_counts]), minlength=len(keys))
    return keys, counts


def history_neighbours(histories: Histories, num_items: int, k: int, window: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` items that stand near each item most often in the histories, and how often.

    Args:
        histories: The training sequences.
        num_items: int. Items in the catalogue.
        k: int. Neighbours an item.
        window: int. Largest distance between two events that counts.

    Returns:
        indices: int32 `[num_items, k]`, descending by count, ties by index; −1 where there are fewer than k.
        counts: float32 `[num_items, k]`, 0 there. No item is its own neighbour.

    Example:
        >>> import numpy as np
        >>> one = np.zeros(4, np.int64)
        >>> histories = Histories(np.array(["u"]), np.array([0, 4]), np.array([0, 1, 0, 2]), one, one, one, one == 0)
        >>> history_neighbours(histories, num_items=4, k=2, window=1)[0].tolist()
        [[1, 2], [0, -1], [0, -1], [-1, -1]]
    """
    keys, counts = count_pairs(histories, num_items, window)
    item, other = np.divmod(keys, num_items)
    proper = item != other
    item, other, counts = item[proper], other[proper], counts[proper]
    order = np.lexsort((other, -counts, item))
    item, other, counts = item[order], other[order], counts[order]
    place = np.arange(len(item)) - np.searchsorted(item, item)
    kept = place < k
    indices, values = np.full((num_items, k), -1, np.int32), np.zeros((num_items, k), np.float32)
    indices[item[kept], place[kept]] = other[kept]
    values[item[kept], place[kept]] = counts[kept]
    return indices, values


def rarity(frequencies: np.ndarray) -> np.ndarray:
    """float32 `[num_items]`: log of the frequency that a typical event's item has, over the item's own; 0 for an item
    that never occurs.

    Example:
        >>> rarity(np.array([4, 4, 1, 0])).round(2)
        array([-0.15, -0.15,  1.23,  0.  ], dtype=float32)
    """
    log = np.log(np.maximum(np.asarray(frequencies, np.float64), 1))
    typical = float((frequencies * log).sum() / max(frequencies.sum(), 1))
    return np.where(np.asarray(frequencies) > 0, typical - log, 0).astype(np.float32)


def text_neighbours(
    vectors: np.ndarray, k: int, where: Iterable[tuple[np.ndarray, np.ndarray]] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` items whose vectors have the highest cosine c to each item's, and exp((c − 1) / 0.3).

    Args:
        vectors: float `[num_items, dim]`, text vectors, `softly_whitened`. A vector of zeros, as of an item without
            text, has no neighbours.
        k: int. Neighbours an item.
        where: Parts of the items, and the items, rising, that their neighbours are looked for among; together the parts
            hold every item once. None compares each with each.

    Returns:
        indices: int32 `[num_items, k]`, −1 where there are fewer than k others. values: float32 `[num_items, k]` in
        0…1, descending, 0 there. No item is its own neighbour.

    Example:
        >>> indices, values = text_neighbours(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), k=1)
        >>> indices.tolist()[:2], values.tolist()[:2]
        ([[1], [0]], [[1.0], [1.0]])
    """
    unit = unit_vectors(vectors)
    num_items = len(unit)
    indices, values = np.full((num_items, k), -1, np.int32), np.zeros((num_items, k), np.float32)
    empty = np.abs(unit).sum(axis=1) == 0
    for rows, others in _whole(num_items) if where is None else where:
        width = min(k, len(others) - 1)
        if width < 1:
            continue
        cosine = unit[rows] @ unit[others].T
        cosine[:, empty[others]] = -np.inf
        cosine[rows[:, None] == others] = -np.inf
        best = np.argpartition(-cosine, width - 1, axis=1)[:, :width]
        found = np.take_along_axis(cosine, best, axis=1)
        order = np.lexsort((best, -found), axis=1)
        best, found = np.take_along_axis(best, order, axis=1), np.take_along_axis(found, order, axis=1)
        real = np.isfinite(found) & ~empty[rows, None]
        indices[rows, :width] = np.where(real, others[best], -1)
        values[rows, :width] = np.where(real, kernel_of(found), 0)
    return indices, values


def _whole(num_items: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    everything = np.arange(num_items)
    for start in range(0, num_items, _BLOCK):
        yield everything[start : start + _BLOCK], everything


def softly_whitened(vectors: np.ndarray, by: np.ndarray | None = None) -> np.ndarray:
    """Text vectors, centred, with each principal component divided by the root of its standard deviation.

    The first components of an encoder's vectors say what all texts of a catalogue have in common; cosines of the
    vectors as they are hear little else. (All-but-the-top, Mu & Viswanath 2018, https://arxiv.org/abs/1702.01417, and
    whitening, Su et al. 2021, https://arxiv.org/abs/2103.15316; half of it is enough.)

    Args:
        vectors: float `[n, dim]`. Vectors of zeros, as of items without text, stay.
        by: float `[num_items, dim]`. Mean and components are those of these; None for `vectors`.

    Returns:
        float32 `[n, dim]`, in the coordinates of the components. Where all vectors are the same, zeros.

    Example:
        >>> found = softly_whitened(np.array([[5.0, 16.0], [5.0, -16.0], [6.0, 0.0], [4.0, 0.0], [0.0, 0.0]]))
        >>> found.astype(float).round(1).tolist()
        [[0.0, 4.8], [0.0, -4.8], [1.2, 0.0], [-1.2, 0.0], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, np.float32)
    by = vectors if by is None else np.asarray(by, np.float32)
    by = by[np.abs(by).sum(axis=1) > 0]
    if not len(by):
        return np.zeros_like(vectors)
    mean = by.mean(axis=0)
    centred = by - mean
    variances, components = np.linalg.eigh((centred.T @ centred).astype(np.float64) / len(by))
    if variances.sum() <= 1e-9 * np.square(by).sum(axis=1).mean():  # they differ by rounding alone
        return np.zeros_like(vectors)
    variances = np.maximum(variances, _LEAST_VARIANCE * variances.mean())
    found = (vectors - mean) @ (components / variances**0.25).astype(np.float32)
    found[np.abs(vectors).sum(axis=1) == 0] = 0
    return found


def kernel_of(cosines: np.ndarray) -> np.ndarray:
    """exp((c − 1) / 0.3), in 0…1."""
    return np.exp((np.minimum(cosines, 1) - 1) / TEMPERATURE)
