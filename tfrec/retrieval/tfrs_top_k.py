"""`TopK` with the interface of TensorFlow Recommenders, a drop-in replacement in its models and metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self

import tensorflow as tf
import tensorflow_recommenders as tfrs

from tfrec.errors import InvalidInput
from tfrec.retrieval.chunked_scan import TopKResult
from tfrec.retrieval.top_k import exact_top_k


class TfrsTopK(tfrs.layers.factorized_top_k.TopK):
    """`TopK` as a `tfrs.layers.factorized_top_k.TopK`, to use in place of `BruteForce` or `Streaming`.

    Unlike those, it scans in chunks and masks exclusions with −inf: an excluded item is never returned, however small
    the catalogue. Ties go to the candidate that comes first in the index.

    Args:
        query_model: Maps the queries of a call to float32 `[batch, dim]`. None if they are vectors already.
        k: int. Default number of candidates to return.
        chunk_size: int. Candidates scored at a time; None as in `TopK`.
        name: Name of the layer.

    Example:
        >>> top = TfrsTopK(k=2).index(tf.eye(3), tf.constant(["a", "b", "c"]))
        >>> top.query_with_exclusions(tf.constant([[3.0, 2.0, 1.0]]), tf.constant([["b"]]))[1].numpy()
        array([[b'a', b'c']], dtype=object)
    """

    def __init__(
        self,
        query_model: Callable[[Any], tf.Tensor] | None = None,
        k: int = 10,
        chunk_size: int | None = None,
        name: str | None = None,
    ) -> None:
        if k < 1 or (chunk_size is not None and chunk_size < 1):
            raise InvalidInput(f"Expected k and chunk_size of at least 1, received {k} and {chunk_size}.")
        super().__init__(k=k, name=name)
        self.query_model, self.chunk_size = query_model, chunk_size
        self._candidates: tf.Variable | None = None
        self._identifiers: tf.Variable | None = None

    def index(self, candidates: tf.Tensor, identifiers: tf.Tensor | None = None) -> Self:
        """Sets the candidates.

        Args:
            candidates: float `[items, dim]`.
            identifiers: `[items]`, string or integer. Defaults to int32 positions.
        """
        candidates = tf.cast(candidates, tf.float32)
        names = tf.range(candidates.shape[0]) if identifiers is None else tf.convert_to_tensor(identifiers)
        if candidates.shape.rank != 2 or names.shape != candidates.shape[:1]:
            raise InvalidInput(
                "Expected candidates of shape [items, dim] and identifiers [items], "
                f"received {candidates.shape} and {names.shape}."
            )
        self._candidates = tf.Variable(candidates, trainable=False, name="candidates")
        self._identifiers = tf.Variable(names, trainable=False, name="identifiers")
        return self

    def call(self, queries: Any, k: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
        """The scores, float32, and identifiers of the best candidates, `[batch, min(k, items)]`, best first."""
        result = self._search(queries, k)
        return result.scores, tf.gather(self._indexed(self._identifiers), tf.maximum(result.indices, 0))

    def query_with_exclusions(
        self, queries: Any, exclusions: tf.Tensor, k: int | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The result of `call` without excluded candidates.

        Args:
            queries: As in `call`.
            exclusions: Identifiers to exclude, `[batch, n]`.
            k: As in `call`.

        Returns:
            Scores and identifiers as in `call`. A row with fewer than `k` candidates left is padded with score −inf and
            identifier "" or −1.
        """
        names = self._indexed(self._identifiers)

        def allowed(row: tf.Tensor) -> tf.Tensor:
            return ~tf.reduce_any(row[:, None] == names[None, :], axis=0)

        exclusions = tf.convert_to_tensor(exclusions, names.dtype)
        result = self._search(queries, k, tf.map_fn(allowed, exclusions, fn_output_signature=tf.bool))
        padding = tf.constant("" if names.dtype == tf.string else -1, names.dtype)
        identifiers = tf.gather(names, tf.maximum(result.indices, 0))
        return result.scores, tf.where(result.indices >= 0, identifiers, padding)

    def is_exact(self) -> bool:
        """True, as every candidate is scored."""
        return True

    def _search(self, queries: Any, k: int | None, allow: tf.Tensor | None = None) -> TopKResult:
        candidates = self._indexed(self._candidates)
        if self.query_model is not None:
            queries = self.query_model(queries)
        k = min(self._k if k is None else k, candidates.shape[0])
        return exact_top_k(candidates, queries, k, chunk_size=self.chunk_size, allow=allow)

    def _indexed(self, part: tf.Variable | None) -> tf.Variable:
        if part is None:
            raise InvalidInput("The candidates are not indexed yet. Call index(candidates) first.")
        return part
