"""An inverted-file (IVF) index: items in lists around centres, of which a search scans only the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.retrieval.approximate.int8_index import select_top_k
from tfrec.retrieval.approximate.kmeans import cluster
from tfrec.retrieval.approximate.variable_bytes import variable_bytes
from tfrec.retrieval.chunked_scan import TopKResult, best_columns, top_k_result
from tfrec.retrieval.top_k import exact_top_k

EXTRAS = 1024
"""Boosted items outside the scanned lists that are scored too, those with the highest boosts."""

NUMBERS = 2**21
"""Vector components gathered at a time: 8 MB of float32, to stay in the processor's cache."""

OVERHEAD, SCAN, SCAN_A_QUERY = 5000.0, 0.3, 1 / 100
"""Costs relative to scoring one listed item for one query: the fixed cost of a search is `OVERHEAD`, and the exact scan
costs `SCAN` per item plus `SCAN_A_QUERY` per item and query. Measured on two cores with 128 dimensions;
`benchmarks/serve.py` checks them."""


class IvfIndex(tf.Module):
    """An inverted-file index: a search scores only the items in the `probes` lists whose centres are nearest.

    The method comes from video and image search (Sivic & Zisserman 2003; Jégou et al. 2011,
    https://doi.org/10.1109/TPAMI.2010.57). Returned scores are exact, but an item in another list is missed. The
    vectors should have unit length, like those of NextItemModel.

    - Excluded items are never returned.
    - Boosts apply to every scored item. The `EXTRAS` items with the highest boosts are scored even if their list is not
      scanned, so that items lifted by repeats or neighbours are found.
    - With an allow-list for each query the exact scan is used, as the allowed items may be in any list. An allow-list
      for all queries, bool `[items]`, is kept to in the lists that are scanned.
    - Ties among the best 2k scored items go to the item first in the catalogue.
    - If the scanned lists contain fewer than k items, fewer than k are returned, and `count` is lower.
    - For a batch so large that the exact scan, which reads every item only once, is faster, the exact scan is used.
      So a query may get better results in a larger batch.

    Args:
        items: float32 `[items, dim]`.
        lists: int. Approximate number of lists; None for about 8 · √items. More lists make searches faster and building
            slower.
        probes: int. Number of lists that a search scans. It may be changed until the search is traced.
        seed: int. Seed of the clustering.

    Raises:
        InvalidInput: No items, items of another rank than 2, or `lists` or `probes` below 1.

    Example:
        >>> items = np.eye(3, dtype=np.float32)
        >>> IvfIndex(items, lists=3, probes=2).search(items, [[0.1, 0.3, 0.2]], k=2).indices.numpy()
        array([[1, 2]], dtype=int32)
    """

    def __init__(self, items: Any, *, lists: int | None = None, probes: int = 8, seed: int = 0) -> None:
        super().__init__(name="ivf_index")
        items = np.asarray(items, np.float32)
        if probes < 1 or (lists is not None and lists < 1) or items.ndim != 2 or not len(items):
            raise InvalidInput(
                "Expected items of shape [items, dim], at least one, and lists and probes of at least 1, "
                f"received {list(items.shape)}, {lists} and {probes}."
            )
        lists = lists or max(int(8 * len(items) ** 0.5), 1)
        longest = max(-(-3 * len(items) // (2 * lists)), 8)  # at most 1.5 times the mean length
        centres, members = cluster(items, lists, most=longest, seed=seed)
        table = np.full((len(members), max(map(len, members))), -1, np.int32)
        place = np.zeros((len(items), 2), np.int32)
        for number, part in enumerate(members):
            table[number, : len(part)] = part
            place[part, 0], place[part, 1] = number, np.arange(len(part))
        self.centres = tf.Variable(centres, trainable=False, name="centres")
        self.lists = tf.Variable(table, trainable=False, name="lists")
        self.place = tf.Variable(place, trainable=False, name="place")
        self.probes = min(probes, len(members))

    @property
    def num_lists(self) -> int:
        """Number of lists."""
        return int(self.lists.shape[0])

    @property
    def nbytes(self) -> int:
        """Size of the index in bytes, without the float32 vectors."""
        return variable_bytes(self.variables)

    def search(
        self,
        items: Any,
        query: Any,
        k: int,
        *,
        exclude: Any = None,
        allow: Any = None,
        boost: Any = None,
        exact_if_quicker: bool = True,
    ) -> TopKResult:
        """Searches the index.

        Args:
            items: float32 `[items, dim]`, the vectors that the index was made of.
            query: As in `TopK`, like exclude, allow and boost.
            k: int. Number of items to return.
            exclude: As in `TopK`.
            allow: As in `TopK`.
            boost: As in `TopK`.
            exact_if_quicker: Whether to use the exact scan where it is faster. False measures the index itself.
        """
        query = tf.cast(query, tf.float32)
        exclude = None if exclude is None else tf.cast(exclude, tf.int32)
        boost = None if boost is None else (tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32))
        allow = None if allow is None else tf.convert_to_tensor(allow, tf.bool)

        def exact() -> TopKResult:
            return exact_top_k(items, query, k, exclude=exclude, allow=allow, boost=boost)

        def approximate() -> TopKResult:
            return self._search_in_parts(items, query, k, exclude, boost, allow)

        if allow is not None and allow.shape.rank == 2:
            return exact()
        if not exact_if_quicker:
            return approximate()
        read = float(min(self.probes, self.num_lists) * int(self.lists.shape[1]))
        others = float(max(int(items.shape[0]) - self.num_lists, 0))
        if OVERHEAD + read > others * (SCAN + SCAN_A_QUERY) and read > others * SCAN_A_QUERY:
            return exact()  # the exact scan is faster for every batch size
        batch = tf.cast(tf.shape(query)[0], tf.float32)
        costs_more = OVERHEAD + read * batch > others * (SCAN + SCAN_A_QUERY * batch)
        return TopKResult(*tf.cond(costs_more, exact, approximate))

    def _search_in_parts(
        self, items: Any, query: tf.Tensor, k: int, exclude: Any, boost: Any, allow: Any
    ) -> TopKResult:
        """Searches the lists for a few queries at a time, so that each part gathers about `NUMBERS` components."""
        read = min(self.probes, self.num_lists) * int(self.lists.shape[1]) * int(items.shape[1])
        batch, most = tf.shape(query)[0], max(NUMBERS // max(read, 1), 1)
        parts = tf.maximum((batch + most - 1) // most, 1)
        size = (batch + parts - 1) // parts

        def search_part(part: tf.Tensor, scores: Any, indices: Any) -> tuple[tf.Tensor, Any, Any]:
            rows = slice(part * size, (part + 1) * size)
            without = None if exclude is None else exclude[rows]
            added = None if boost is None else (boost[0][rows], boost[1][rows])
            best = self._search_lists(items, query[rows], k, without, added, allow)
            return part + 1, scores.write(part, best.scores), indices.write(part, best.indices)

        arrays = [
            tf.TensorArray(dtype, parts, infer_shape=False, element_shape=[None, k]) for dtype in (tf.float32, tf.int32)
        ]
        state = (tf.constant(0), *arrays)
        _, scores, indices = tf.while_loop(lambda part, *_: part < parts, search_part, state, parallel_iterations=1)
        return top_k_result(scores.concat(), indices.concat(), k)

    def _search_lists(self, items: Any, query: tf.Tensor, k: int, exclude: Any, boost: Any, allow: Any) -> TopKResult:
        """The best of the items in the lists nearest to each query and of the most boosted items."""
        probes, length = min(self.probes, self.num_lists), int(self.lists.shape[1])
        _, probed = tf.math.top_k(tf.matmul(query, self.centres, transpose_b=True), probes)
        indices = _among(tf.reshape(tf.gather(self.lists, probed), [-1, probes * length]), allow)
        scores = _products(items, indices, query)
        if boost is not None:
            cells, inside = self._cells(probed, boost[0], length)
            scores = tf.tensor_scatter_nd_add(scores, cells, tf.where(inside, boost[1], 0.0))
        if exclude is not None:
            cells, inside = self._cells(probed, exclude, length)
            scores = tf.tensor_scatter_nd_min(scores, cells, tf.where(inside, -np.inf, np.inf))
        scores, indices = _keep_best(scores, indices, 2 * k)
        if boost is not None:
            extra, added = _highest_boosts(boost[0], boost[1], int(items.shape[0]))
            known = self._cells(probed, extra, length)[1]
            if exclude is not None:
                known |= tf.reduce_any(extra[:, :, None] == exclude[:, None, :], axis=2)
            extra = _among(tf.where(known, -1, extra), allow)
            indices = tf.concat([indices, extra], axis=1)
            scores = tf.concat([scores, _products(items, extra, query) + added], axis=1)
            scores, indices = _keep_best(scores, indices, 2 * k)
        return select_top_k(scores, indices, k)

    def _cells(self, probed: tf.Tensor, items: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Scatter indices of the items `[batch, n]` in the scanned lists, and whether each item is in one of them."""
        real = (items >= 0) & (items < tf.shape(self.place)[0])
        place = tf.gather(self.place, tf.where(real, items, 0))
        same = place[..., 0][:, :, None] == probed[:, None, :]
        at = tf.argmax(tf.cast(same, tf.int8), axis=2, output_type=tf.int32)
        inside = real & tf.reduce_any(same, axis=2)
        column = tf.where(inside, at * length + place[..., 1], 0)
        rows = tf.broadcast_to(tf.range(tf.shape(items)[0])[:, None], tf.shape(items))
        return tf.stack([rows, column], axis=-1), inside


def _among(indices: tf.Tensor, allow: tf.Tensor | None) -> tf.Tensor:
    """The indices, int32, with −1 for those that bool `[items]` does not allow."""
    return indices if allow is None else tf.where(tf.gather(allow, tf.maximum(indices, 0)), indices, -1)


def _products(items: Any, indices: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """Dot products of the items at `indices` with the query, float32 `[batch, n]`; −inf where an index is −1."""
    products = tf.linalg.matvec(tf.gather(items, tf.maximum(indices, 0)), query)
    return tf.where(indices >= 0, products, -np.inf)


def _highest_boosts(indices: tf.Tensor, values: tf.Tensor, total: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The items with the highest boosts, each once, and the sums of their boosts; padded with −1 and 0."""
    batch, width = tf.shape(indices)[0], tf.shape(indices)[1]
    values = tf.where((indices >= 0) & (indices < total), values, 0.0)
    order = tf.argsort(indices, axis=1)
    indices, values = tf.gather(indices, order, batch_dims=1), tf.gather(values, order, batch_dims=1)
    starts = tf.concat([tf.ones([batch, 1], tf.bool), indices[:, 1:] != indices[:, :-1]], axis=1)[:, :width]
    run = tf.cumsum(tf.cast(starts, tf.int32), axis=1) - 1 + tf.range(batch)[:, None] * width
    sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), tf.reshape(run, [-1]), batch * width)
    sums = tf.gather(sums, run)
    # Only raised items are scored separately; the others are scored with their list.
    sums = tf.where(starts & (sums > 0), sums, -np.inf)
    most = tf.minimum(width, EXTRAS)
    added, place = tf.math.top_k(sums, most)
    real = tf.math.is_finite(added)
    return tf.where(real, tf.gather(indices, place, batch_dims=1), -1), tf.where(real, added, 0.0)


def _keep_best(scores: tf.Tensor, indices: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The best `k` of `[batch, n]` for any n, padded with −inf and −1."""
    width = scores.shape[1]
    missing = k if width is None else max(k - width, 0)
    scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=-np.inf)
    indices = tf.pad(indices, [[0, 0], [0, missing]], constant_values=-1)
    best, place = best_columns(scores, k)
    return best, tf.where(tf.math.is_inf(best), -1, tf.gather(indices, place, batch_dims=1))
