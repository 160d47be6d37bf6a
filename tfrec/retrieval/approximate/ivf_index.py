"""An inverted file: the catalogue in lists around centres, of which a search reads the nearest; plain TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.retrieval.approximate.int8_index import best_of
from tfrec.retrieval.approximate.kmeans import cluster
from tfrec.retrieval.chunked_scan import TopKResult, best_columns, found
from tfrec.retrieval.top_k import exact_top_k

EXTRAS = 1024
"""Items outside the lists read that are scored too, those of the highest boosts."""

NUMBERS = 2**21
"""Numbers of item vectors read at a time: 8 MB, which stay in a processor's cache."""

OVERHEAD, SCAN, SCAN_A_QUERY = 5000.0, 0.3, 1 / 100
"""What costs as much as reading one item of a list for one query: the search but for its items takes `OVERHEAD` of
these, the exact scan `SCAN` an item and `SCAN_A_QUERY` more for each query. Measured on two cores with 128 dimensions;
`benchmarks/serve.py` shows whether they still hold."""


class IvfIndex(tf.Module):
    """The items in lists around the centres of `cluster`; a search scores those in the `probes` nearest lists.

    The idea is that of video and image search (Sivic & Zisserman 2003, Jégou et al. 2011,
    https://doi.org/10.1109/TPAMI.2010.57). Returned scores are exact; what can be wrong is which items are looked at.
    Meant for vectors of unit length, as NextItemModel's are.

    - Exclusions: never returned.
    - Boosts: count for every item looked at. The `EXTRAS` items with the highest boosts are looked at wherever they
      stand, so that what repeats and neighbours bring to the top is found.
    - Allow-lists: the items they leave may stand in any list, so with one the scan is exact.
    - Ties go to the item first in the catalogue among the best 2k that were looked at.
    - Where the lists read hold fewer than k items, there are fewer than k results, and `count` says so.
    - Where a batch would read so much of the lists that the exact scan, which reads every item once for all queries, is
      quicker, the result is that of the exact scan. So a query may find more among many others than alone.

    Args:
        items: float32 `[items, dim]`.
        lists: int. Lists to aim at; None for about 8 · √items. With more of them a search reads less, and building
            takes longer.
        probes: int. Lists that a search reads; may be set until the search is traced.
        seed: int. Of the clustering.

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
        wanted = lists or max(int(8 * len(items) ** 0.5), 1)
        most = max(-(-3 * len(items) // (2 * wanted)), 8)
        centres, members = cluster(items, wanted, most=most, seed=seed)
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
        """How many lists there are."""
        return int(self.lists.shape[0])

    @property
    def nbytes(self) -> int:
        """Bytes of what it holds; the float32 vectors are not its own."""
        return sum(int(np.prod(variable.shape)) * variable.dtype.size for variable in self.variables)

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
        """The best of `items`, float32 `[items, dim]`, that it was made of; all else as in `TopK`.

        `exact_if_quicker=False` reads the lists whatever it costs: to measure what they hold.
        """
        query = tf.cast(query, tf.float32)
        exclude = None if exclude is None else tf.cast(exclude, tf.int32)
        boost = None if boost is None else (tf.cast(boost[0], tf.int32), tf.cast(boost[1], tf.float32))

        def exact() -> TopKResult:
            return exact_top_k(items, query, k, exclude=exclude, allow=allow, boost=boost)

        def near() -> TopKResult:
            return self._in_parts(items, query, k, exclude, boost)

        if allow is not None:
            return exact()
        if not exact_if_quicker:
            return near()
        read = float(min(self.probes, self.num_lists) * int(self.lists.shape[1]))
        others = float(max(int(items.shape[0]) - self.num_lists, 0))
        if OVERHEAD + read > others * (SCAN + SCAN_A_QUERY) and read > others * SCAN_A_QUERY:
            return exact()  # whatever the batch
        batch = tf.cast(tf.shape(query)[0], tf.float32)
        costs_more = OVERHEAD + read * batch > others * (SCAN + SCAN_A_QUERY * batch)
        return TopKResult(*tf.cond(costs_more, exact, near))

    def _in_parts(self, items: Any, query: tf.Tensor, k: int, exclude: Any, boost: Any) -> TopKResult:
        """`_near` for as many queries at a time as read `NUMBERS`."""
        read = min(self.probes, self.num_lists) * int(self.lists.shape[1]) * int(items.shape[1])
        batch, most = tf.shape(query)[0], max(NUMBERS // max(read, 1), 1)
        parts = tf.maximum((batch + most - 1) // most, 1)
        size = (batch + parts - 1) // parts

        def search_part(part: tf.Tensor, scores: Any, indices: Any) -> tuple[tf.Tensor, Any, Any]:
            rows = slice(part * size, (part + 1) * size)
            without = None if exclude is None else exclude[rows]
            added = None if boost is None else (boost[0][rows], boost[1][rows])
            best = self._near(items, query[rows], k, without, added)
            return part + 1, scores.write(part, best.scores), indices.write(part, best.indices)

        kept = [tf.TensorArray(of, parts, infer_shape=False, element_shape=[None, k]) for of in (tf.float32, tf.int32)]
        state = (tf.constant(0), *kept)
        _, scores, indices = tf.while_loop(lambda part, *_: part < parts, search_part, state, parallel_iterations=1)
        return found(scores.concat(), indices.concat(), k)

    def _near(self, items: Any, query: tf.Tensor, k: int, exclude: Any, boost: Any) -> TopKResult:
        """The best of the items in the lists nearest to each query, and of those that are boosted."""
        probes, length = min(self.probes, self.num_lists), int(self.lists.shape[1])
        _, probed = tf.math.top_k(tf.matmul(query, self.centres, transpose_b=True), probes)
        indices = tf.reshape(tf.gather(self.lists, probed), [-1, probes * length])
        scores = _products(items, indices, query)
        if boost is not None:
            cells, inside = self._cells(probed, boost[0], length)
            scores = tf.tensor_scatter_nd_add(scores, cells, tf.where(inside, boost[1], 0.0))
        if exclude is not None:
            cells, inside = self._cells(probed, exclude, length)
            scores = tf.tensor_scatter_nd_min(scores, cells, tf.where(inside, -np.inf, np.inf))
        scores, indices = _best(scores, indices, 2 * k)
        if boost is not None:
            extra, added = _highest(boost[0], boost[1], int(items.shape[0]))
            known = self._cells(probed, extra, length)[1]
            if exclude is not None:
                known |= tf.reduce_any(extra[:, :, None] == exclude[:, None, :], axis=2)
            extra = tf.where(known, -1, extra)
            indices = tf.concat([indices, extra], axis=1)
            scores = tf.concat([scores, _products(items, extra, query) + added], axis=1)
            scores, indices = _best(scores, indices, 2 * k)
        return best_of(scores, indices, k)

    def _cells(self, probed: tf.Tensor, wanted: tf.Tensor, length: int) -> tuple[tf.Tensor, tf.Tensor]:
        """Where the wanted items `[batch, n]` stand in the lists read, as cells for a scatter, and whether they do."""
        real = (wanted >= 0) & (wanted < tf.shape(self.place)[0])
        place = tf.gather(self.place, tf.where(real, wanted, 0))
        same = place[..., 0][:, :, None] == probed[:, None, :]
        at = tf.argmax(tf.cast(same, tf.int8), axis=2, output_type=tf.int32)
        inside = real & tf.reduce_any(same, axis=2)
        column = tf.where(inside, at * length + place[..., 1], 0)
        rows = tf.broadcast_to(tf.range(tf.shape(wanted)[0])[:, None], tf.shape(wanted))
        return tf.stack([rows, column], axis=-1), inside


def _products(items: Any, indices: tf.Tensor, query: tf.Tensor) -> tf.Tensor:
    """float32 `[batch, n]`: the items at `indices` times the query; −inf where an index is −1."""
    products = tf.linalg.matvec(tf.gather(items, tf.maximum(indices, 0)), query)
    return tf.where(indices >= 0, products, -np.inf)


def _highest(indices: tf.Tensor, values: tf.Tensor, total: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The items of the highest boosts, each once with the sum of its values; −1 where there are fewer."""
    batch, width = tf.shape(indices)[0], tf.shape(indices)[1]
    values = tf.where((indices >= 0) & (indices < total), values, 0.0)
    order = tf.argsort(indices, axis=1)
    indices, values = tf.gather(indices, order, batch_dims=1), tf.gather(values, order, batch_dims=1)
    starts = tf.concat([tf.ones([batch, 1], tf.bool), indices[:, 1:] != indices[:, :-1]], axis=1)[:, :width]
    run = tf.cumsum(tf.cast(starts, tf.int32), axis=1) - 1 + tf.range(batch)[:, None] * width
    sums = tf.math.unsorted_segment_sum(tf.reshape(values, [-1]), tf.reshape(run, [-1]), batch * width)
    sums = tf.gather(sums, run)
    # An item that is not raised needs no look of its own; in its list it is scored with the others.
    sums = tf.where(starts & (sums > 0), sums, -np.inf)
    most = tf.minimum(width, EXTRAS)
    added, place = tf.math.top_k(sums, most)
    real = tf.math.is_finite(added)
    return tf.where(real, tf.gather(indices, place, batch_dims=1), -1), tf.where(real, added, 0.0)


def _best(scores: tf.Tensor, indices: tf.Tensor, k: int) -> tuple[tf.Tensor, tf.Tensor]:
    """The best `k` of `[batch, n]`, n any; −inf and −1 where there are fewer."""
    width = scores.shape[1]
    missing = k if width is None else max(k - width, 0)
    scores = tf.pad(scores, [[0, 0], [0, missing]], constant_values=-np.inf)
    indices = tf.pad(indices, [[0, 0], [0, missing]], constant_values=-1)
    best, place = best_columns(scores, k)
    return best, tf.where(tf.math.is_inf(best), -1, tf.gather(indices, place, batch_dims=1))
