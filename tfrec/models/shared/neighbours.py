"""Item-to-item neighbours: items that occur near an item in histories, and items with similar text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from tfrec.data.histories import Histories
from tfrec.models.shared.pair_counts import count_pairs_in_parts
from tfrec.retrieval.unit_vectors import unit_vectors

TEMPERATURE = 0.3
"""Width of the kernel exp((cos − 1) / 0.3) for softly whitened text vectors.

Whitening spreads the cosines, so the kernel is three times as wide as the one of raw vectors in the baselines. The
weight of text neighbours is searched on validation, which makes up for a width that does not suit the data.
"""

_LEAST_VARIANCE = 1e-3
"""Lower limit on a component's variance, relative to the mean variance, so that whitening does not amplify noise."""

_VECTORS_AT_ONCE = 2**16
"""Vectors that are whitened together."""

_BLOCK = 1024
"""Items compared with the whole catalogue at a time, to bound memory."""


def history_neighbours(
    histories: Histories,
    num_items: int,
    k: int,
    window: int,
    counted: np.ndarray | None = None,
    *,
    decay: float = 1.0,
    backward: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """The `k` items that occur near each item most often in the histories, with their counts.

    Args:
        histories: The training sequences.
        num_items: int. Items in the catalogue.
        k: int. Neighbours per item.
        window: int. Maximum distance between two events.
        counted: bool `[events]`, events whose pairs count. None for all.
        decay, backward: See `count_pairs`.

    Returns:
        indices: int32 `[num_items, k]`, descending by count, ties by index; padded with −1 if there are fewer
            than k.
        counts: float32 `[num_items, k]`, 0 at padding. No item is its own neighbour.

    Example:
        >>> import numpy as np
        >>> one = np.zeros(4, np.int64)
        >>> histories = Histories(np.array(["u"]), np.array([0, 4]), np.array([0, 1, 0, 2]), one, one, one, one == 0)
        >>> history_neighbours(histories, num_items=4, k=2, window=1)[0].tolist()
        [[1, 2], [0, -1], [0, -1], [-1, -1]]
    """
    indices, values = np.full((num_items, k), -1, np.int32), np.zeros((num_items, k), np.float32)
    options = {"decay": decay, "backward": backward}
    for pairs in count_pairs_in_parts(histories, num_items, window, counted, **options):
        item, other, counts = _best_pairs(*pairs, num_items)
        place = np.arange(len(item)) - np.searchsorted(item, item)
        kept = place < k
        indices[item[kept], place[kept]] = other[kept]
        values[item[kept], place[kept]] = counts[kept]
    return indices, values


def _best_pairs(keys: np.ndarray, counts: np.ndarray, num_items: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Items, others and counts of the pairs of two items, by item, and descending by count; pairs are in order."""
    item, other = np.divmod(keys, num_items)
    proper = item != other
    item, other, counts = item[proper], other[proper], counts[proper]
    order = np.lexsort((-counts, item))  # stable: equal counts stay in the order of the others
    return item[order], other[order], counts[order]


def rarity(frequencies: np.ndarray) -> np.ndarray:
    """How rare each item is compared with the item of a typical event.

    Args:
        frequencies: int `[num_items]`, events per item.

    Returns:
        float32 `[num_items]`: the mean log frequency over all events minus the item's log frequency; 0 for an item that
        never occurs.

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
    """The `k` items with the highest cosine c to each item's text vector, with the weights exp((c − 1) / 0.3).

    Args:
        vectors: float `[num_items, dim]`, `softly_whitened` text vectors. A zero vector, as for an item without text,
            has no neighbours.
        k: int. Neighbours per item.
        where: Pairs of a group of items and the items, ascending, among which to search for the group's neighbours. The
            groups must partition the catalogue. None searches the whole catalogue for every item.

    Returns:
        indices: int32 `[num_items, k]`, padded with −1 if there are fewer than k others.
        values: float32 `[num_items, k]` in 0…1, descending, 0 at padding. No item is its own neighbour.

    Example:
        >>> indices, values = text_neighbours(np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), k=1)
        >>> indices.tolist()[:2], values.tolist()[:2]
        ([[1], [0]], [[1.0], [1.0]])
    """
    unit = unit_vectors(vectors)
    num_items = len(unit)
    indices, values = np.full((num_items, k), -1, np.int32), np.zeros((num_items, k), np.float32)
    empty = np.abs(unit).sum(axis=1) == 0
    for rows, others in _catalogue_blocks(num_items) if where is None else where:
        width = min(k, len(others) - 1)
        if width < 1:
            continue
        cosine = unit[rows] @ unit[others].T
        cosine[:, empty[others]] = -np.inf
        cosine[rows[:, None] == others] = -np.inf
        best = np.argpartition(-cosine, width - 1, axis=1)[:, :width]
        cosine = np.take_along_axis(cosine, best, axis=1)
        order = np.lexsort((best, -cosine), axis=1)
        best, cosine = np.take_along_axis(best, order, axis=1), np.take_along_axis(cosine, order, axis=1)
        real = np.isfinite(cosine) & ~empty[rows, None]
        indices[rows, :width] = np.where(real, others[best], -1)
        values[rows, :width] = np.where(real, kernel_of(cosine), 0)
    return indices, values


def _catalogue_blocks(num_items: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    catalogue = np.arange(num_items)
    for start in range(0, num_items, _BLOCK):
        yield catalogue[start : start + _BLOCK], catalogue


def softly_whitened(vectors: np.ndarray, by: np.ndarray | None = None) -> np.ndarray:
    """Centres text vectors and divides each principal component by the square root of its standard deviation.

    The first principal components of an encoder's vectors capture what all texts of a catalogue have in common, and
    they dominate the cosines of the raw vectors. (Compare All-but-the-top, Mu & Viswanath 2018,
    https://arxiv.org/abs/1702.01417, and whitening, Su et al. 2021, https://arxiv.org/abs/2103.15316; this is halfway
    to full whitening, which is enough.)

    Args:
        vectors: float `[n, dim]`. Zero vectors, as for items without text, stay zero.
        by: float `[num_items, dim]`. Vectors that give the mean and the components; None for `vectors`.

    Returns:
        float32 `[n, dim]`, in the coordinates of the components; all zeros if the vectors do not differ.

    Example:
        >>> whitened = softly_whitened(np.array([[5.0, 16.0], [5.0, -16.0], [6.0, 0.0], [4.0, 0.0], [0.0, 0.0]]))
        >>> whitened.astype(float).round(1).tolist()
        [[0.0, 4.8], [0.0, -4.8], [1.2, 0.0], [-1.2, 0.0], [0.0, 0.0]]
    """
    vectors = np.asarray(vectors, np.float32)
    mean, products, count, square = _moments(vectors if by is None else np.asarray(by, np.float32))
    whitened = np.zeros_like(vectors)
    if not count:
        return whitened
    variances, components = np.linalg.eigh(products / count)
    if variances.sum() <= 1e-9 * square:  # differences are rounding errors
        return whitened
    variances = np.maximum(variances, _LEAST_VARIANCE * variances.mean())
    factors = (components / variances**0.25).astype(np.float32)
    for rows in _row_blocks(vectors):
        np.matmul(vectors[rows] - mean, factors, out=whitened[rows])
        whitened[rows][_is_zero(vectors[rows])] = 0
    return whitened


def _moments(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray, int, float]:
    """Mean, sum of the products of the centred columns, number, and mean square length of the vectors that are not 0.

    Block by block: all vectors of a large catalogue are as large as half of a machine.
    """

    def present() -> Iterator[np.ndarray]:
        return (vectors[rows][~_is_zero(vectors[rows])] for rows in _row_blocks(vectors))

    count = sum(map(len, present()))
    if not count:
        return np.zeros(vectors.shape[1]), np.zeros((vectors.shape[1],) * 2), 0, 0.0
    mean = sum(block.sum(axis=0) for block in present()) / count
    products = sum(((block - mean).T @ (block - mean)).astype(np.float64) for block in present())
    return mean, products, count, float(sum(np.square(block).sum() for block in present())) / count


def _row_blocks(vectors: np.ndarray) -> list[slice]:
    return [slice(start, start + _VECTORS_AT_ONCE) for start in range(0, len(vectors), _VECTORS_AT_ONCE)]


def _is_zero(vectors: np.ndarray) -> np.ndarray:
    return np.abs(vectors).sum(axis=1) == 0


def kernel_of(cosines: np.ndarray) -> np.ndarray:
    """exp((c − 1) / 0.3), in 0…1."""
    return np.exp((np.minimum(cosines, 1) - 1) / TEMPERATURE)
