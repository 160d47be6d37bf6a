"""Scores of a NextItemModel after events are deleted, for all deletions of a user at once.

Each event is encoded once for each position that it can come to, and its neighbours are looked up once; a variant then
costs an attention over the events that it keeps. Exact for models of one block, the default.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.neighbour_memory import MAX_EVENTS
from tfrec.models.next_item.score_weights.catalogue_parts import MEMORY_PARTS, NETWORK, POPULARITY, REPEATS
from tfrec.models.next_item.sparse_ops import scatter_sum
from tfrec.models.next_item.transformer import CausalBlock
from tfrec.models.shared.item_table import lookup

_TRACED_PARTS = "_parts_after_deletions_as_graphs"


class Variants(NamedTuple):
    """A batch of histories and the variants of each.

    Attributes:
        items: int32 `[batch, events]`, oldest first, −1 is padding on the right.
        kinds: int32 `[batch, events]`.
        keep: bool `[batch, variants, events]`, false at padding.
        most: int32 scalar, the largest number of events that a variant lacks.
    """

    items: tf.Tensor
    kinds: tf.Tensor
    keep: tf.Tensor
    most: tf.Tensor


def variants_of(items: tf.Tensor, kinds: tf.Tensor, keep: tf.Tensor) -> Variants:
    """The variants, with padding left out of `keep`."""
    keep &= (items >= 0)[:, None]
    lengths = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1)
    left = tf.reduce_sum(tf.cast(keep, tf.int32), axis=2)
    return Variants(items, kinds, keep, tf.reduce_max(lengths[:, None] - left))


def can_share(model: NextItemModel) -> bool:
    """Whether `variant_queries` is exact: one causal block and no time gaps, which deletions would change."""
    config = model.get_config()
    blocks = [layer for layer in model.body.layers if isinstance(layer, CausalBlock)]
    return len(blocks) == config["layers"] == 1 and not config["time_gaps"]


def variant_queries(model: NextItemModel, vectors: tf.Tensor, variants: Variants) -> tf.Tensor:
    """The query of each variant, float32 `[batch, variants, dim]`; 0 where nothing is kept.

    A deletion moves the events after it, or, where the history is longer than the model reads, those before it. So an
    event is encoded at each of the `most + 1` positions that it can come to.

    Args:
        model: A model that `can_share`.
        vectors: float32 `[batch, events, dim]`, the vectors of the events' items, 0 at padding.
        variants: The variants.
    """
    items, kinds, keep, most = variants
    kept = tf.cast(keep, tf.int32)
    length, left = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1), tf.reduce_sum(kept, axis=2)
    unread = tf.maximum(left - model.max_history, 0)
    place = tf.cumsum(kept, axis=2, exclusive=True) - unread[:, :, None]  # of an event in what the model reads
    least = tf.maximum(length - most - model.max_history, 0)
    shift = tf.range(tf.shape(items)[1]) - place - least[:, None, None]

    shifts = most + 1
    positions = tf.range(tf.minimum(tf.shape(items)[1], model.max_history))
    source = least[:, None, None] + tf.range(shifts)[None, :, None] + positions  # the event at a position of a shift
    inside = source < length[:, None, None]
    source = tf.where(inside, source, 0)
    batch, spread = tf.shape(items)[0], tf.shape(source)
    embedded = model.body.get_layer("event_embedding")(
        tf.reshape(tf.gather(vectors, source, batch_dims=1), [batch * shifts, spread[2], model.dim]),
        tf.reshape(tf.gather(kinds, source, batch_dims=1), [batch * shifts, spread[2]]),
        tf.zeros([batch * shifts, spread[2]]),
    )
    states = tf.reshape(embedded, [batch, shifts * spread[2], model.dim])

    flat = tf.reshape(source, [batch, -1])
    ours = tf.reshape(tf.broadcast_to(tf.range(shifts)[None, :, None], spread), [batch, 1, -1])
    visible = tf.gather(keep, flat, axis=2, batch_dims=1) & (tf.gather(shift, flat, axis=2, batch_dims=1) == ours)
    visible &= tf.reshape(inside, [batch, 1, -1])
    event = tf.where(visible, flat[:, None], -1)
    newest = tf.argmax(event, axis=2, output_type=tf.int32)
    hidden = model.body.get_layer("block_0").at_newest(states, newest, visible)
    query = model.scaled(model.body.get_layer("final_norm")(hidden))
    return query * tf.cast(left > 0, tf.float32)[..., None]


def memory_weights(model: NextItemModel, variants: Variants) -> tf.Tensor:
    """What each event counts in the neighbour memory of each variant, float32 `[batch, variants, events]`."""
    assert model.memory is not None
    kept = tf.cumsum(tf.cast(variants.keep, tf.int32), axis=2)
    used = variants.keep & (model.remembered(variants.items, variants.kinds) >= 0)[:, None]
    age = tf.reduce_max(tf.where(used, kept, 0), axis=2, keepdims=True) - kept
    weights = tf.pow(model.memory.decay, tf.cast(tf.maximum(age, 0), tf.float32))
    return tf.where(used & (age < MAX_EVENTS), weights, 0.0)


def memory_scores(model: NextItemModel, variants: Variants, items: tf.Tensor | None) -> dict[str, tf.Tensor]:
    """The parts of the neighbour memory, float32 `[batch, variants, m]` each; `items` as for `deletion_parts`."""
    if model.memory is None:
        return {}
    weights, (batch, events) = memory_weights(model, variants), tf.unstack(tf.shape(variants.items))
    parts = {}
    # A history of one event has age 0: these are the neighbours of each event before decay.
    entries = model.memory.neighbour_entries(tf.reshape(variants.items, [-1, 1]))
    for name, (near, values) in entries.items():
        if items is None:
            by_event = scatter_sum(near, values, tf.stack([batch * events, model.num_items]))
        else:
            asked = tf.repeat(items, events, axis=0)
            same = tf.cast(near[:, :, None] == asked[:, None], tf.float32)
            by_event = tf.einsum("ek,ekm->em", values, same)
        sums = tf.matmul(weights, tf.reshape(by_event, [batch, events, -1]))
        parts[MEMORY_PARTS[name]] = getattr(model.memory, name) * model.memory.unweighted_scores(name, sums)
    return parts


def repeat_scores(model: NextItemModel, variants: Variants, items: tf.Tensor | None) -> tf.Tensor:
    """The bias on repeated items, float32 `[batch, variants, m]`; `items` as for `deletion_parts`."""
    assert model.repeats is not None
    ours, keep = variants.items, tf.cast(variants.keep, tf.float32)
    same = tf.cast((ours[:, :, None] == ours[:, None]) & (ours >= 0)[:, None], tf.float32)
    later = tf.linalg.band_part(same, -1, 0) - tf.linalg.diag(tf.linalg.diag_part(same))  # [later, earlier]
    last = variants.keep & (tf.matmul(keep, later) < 0.5)
    place = tf.range(tf.shape(ours)[1])
    newest = tf.reduce_max(tf.where(variants.keep, place, -1), axis=2)
    newest_item = tf.gather(ours, tf.maximum(newest, 0), batch_dims=1)
    coefficients = model.repeats.coefficients
    values = tf.where(ours[:, None] == newest_item[..., None], coefficients[0], coefficients[1])
    values += coefficients[2] * tf.math.log(tf.maximum(tf.matmul(keep, same), 1.0))
    values += model.repeats.kind_bias(variants.kinds, coefficients)[:, None]
    asked = (
        tf.one_hot(ours, model.num_items) if items is None else tf.cast(ours[:, :, None] == items[:, None], tf.float32)
    )
    return tf.matmul(tf.where(last, values, 0.0), asked)


def deletion_parts(
    model: NextItemModel, vectors: tf.Tensor, variants: Variants, items: tf.Tensor | None
) -> dict[str, tf.Tensor]:
    """What each part of the model adds to the score of items, in each variant.

    Args:
        model: A model that `can_share`.
        vectors: float32 `[num_items, dim]`, `model.history_vectors()`.
        variants: The variants.
        items: int32 `[batch, m]`, the items to score; −1 is padding. None for the whole catalogue.

    Returns:
        From the name of a part to float32 `[batch, variants, m]`.
    """
    query = variant_queries(model, lookup(vectors, variants.items), variants)
    if items is None:
        network = tf.einsum("bvd,nd->bvn", query, tf.math.l2_normalize(vectors, axis=-1))
    else:
        asked = tf.math.l2_normalize(tf.gather(vectors, tf.maximum(items, 0)), axis=-1)
        network = tf.matmul(query, asked, transpose_b=True)
    parts = {NETWORK: network, **memory_scores(model, variants, items)}
    if model.repeats is not None:
        parts[REPEATS] = repeat_scores(model, variants, items)
    if model.popularity is not None:
        popular = model.popularity.weight * model.popularity.catalogue_log_popularity(model.num_items)
        popular = popular[None] if items is None else tf.gather(popular, tf.maximum(items, 0))
        parts[POPULARITY] = tf.zeros_like(network) + popular[:, None]
    return parts


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
            return deletion_parts(model, vectors, variants_of(items, kinds, keep), asked)

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
