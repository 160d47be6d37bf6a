"""Scores of a NextItemModel after events are deleted, for all deletions of a user at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.explanation.variant_parts import deletion_parts
from tfrec.explanation.variant_queries import variants_of
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.shared.item_table import lookup

_TRACED_PARTS = "_parts_after_deletions_as_graphs"


class NextItemDeletions:
    """A `DeletionScorer` of a NextItemModel that `can_share`. All of a model share one traced graph.

    Args:
        model: The model.
        batch_size: int. Histories at a time.
    """

    def __init__(self, model: NextItemModel, batch_size: int = 32) -> None:
        self.model, self.max_events, self.batch_size = model, model.memory_history, batch_size
        self._vectors = tf.convert_to_tensor(model.history_vectors())
        self._of_items, self._of_catalogue = _traced_parts(model)

    def parts(
        self, histories: Histories, rows: np.ndarray, keep: np.ndarray, items: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """As `DeletionScorer.parts`."""
        found: list[dict[str, np.ndarray]] = []
        for start in range(0, len(rows), self.batch_size):
            part = slice(start, start + self.batch_size)
            window = history_batch(histories, rows[part], self.max_events)
            history, kinds = window["history_items"], window["history_events"]
            masks = _aligned(keep[part], histories.lengths[rows[part]], history.shape[1])
            answer = (
                self._of_catalogue(self._vectors, history, kinds, masks)
                if items is None
                else self._of_items(self._vectors, history, kinds, masks, np.asarray(items[part], np.int32))
            )
            found.append({name: value.numpy() for name, value in answer.items()})
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}


def _traced_parts(model: NextItemModel) -> tuple[Callable[..., dict[str, tf.Tensor]], ...]:
    """`deletion_parts` of some items and of the catalogue as graphs, traced at their first calls."""
    attributes = model.__dict__  # not by setattr: Keras would track the functions
    if _TRACED_PARTS not in attributes:

        def parts(vectors: Any, items: Any, kinds: Any, keep: Any, asked: Any = None) -> dict[str, tf.Tensor]:
            unit = tf.math.l2_normalize(vectors if asked is None else tf.gather(vectors, tf.maximum(asked, 0)), axis=-1)
            scored = unit[None] if asked is None else unit
            return deletion_parts(model, variants_of(items, kinds, keep), lookup(vectors, items), scored, asked)

        matrix = tf.TensorSpec([None, None], tf.int32)
        window = [matrix, matrix, tf.TensorSpec([None, None, None], tf.bool)]
        given = [tf.TensorSpec([model.num_items, model.dim], tf.float32), *window]
        graphs = [tf.function(parts, input_signature=[*given, *asked]) for asked in ([matrix], [])]
        # wrapped: exports would save a tf.function
        attributes[_TRACED_PARTS] = tuple(partial(_call, graph) for graph in graphs)
    found: tuple[Callable[..., dict[str, tf.Tensor]], ...] = attributes[_TRACED_PARTS]
    return found


def _call(graph: Any, *inputs: Any) -> dict[str, tf.Tensor]:
    found: dict[str, tf.Tensor] = graph(*inputs)
    return found


def _aligned(keep: np.ndarray, lengths: np.ndarray, width: int) -> np.ndarray:
    """Masks of the newest events of each row as masks of a window of `width` events, in which older ones are kept."""
    n, variants, events = keep.shape
    masks = np.ones([n, variants, width], bool)
    newest, inside = np.minimum(lengths, events), np.minimum(lengths, width)
    for row in range(n):
        masks[row, :, inside[row] - newest[row] : inside[row]] = keep[row, :, : newest[row]]
    return masks
