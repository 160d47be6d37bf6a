"""Ways to say which events matter, ours and others', so that they can be measured against each other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.padding import history_batch
from tfrec.explanation.deletions import DeletionScorer
from tfrec.explanation.event_groups import event_groups
from tfrec.explanation.faithfulness.summary import RANDOM, SERVED
from tfrec.explanation.leave_one_out import leave_one_out
from tfrec.explanation.next_item_deletions import NextItemDeletions
from tfrec.explanation.variant_queries import causal_blocks
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.transformer import CausalBlock
from tfrec.models.shared.item_table import lookup
from tfrec.retrieval.unit_vectors import unit_vectors

STEPS = 16
"""Steps of the path of integrated gradients."""


@dataclass(frozen=True)
class Asked:
    """Users and an item for each, of which the newest `window` events are to be weighed.

    Attributes:
        histories: The histories.
        rows: int `[n]`.
        items: int32 `[n]`.
        window: int.
    """

    histories: Histories
    rows: np.ndarray
    items: np.ndarray
    window: int

    @property
    def lengths(self) -> np.ndarray:
        """Number of events that are weighed, int `[n]`."""
        return np.minimum(self.histories.lengths[self.rows], self.window)

    @property
    def batch(self) -> dict[str, np.ndarray]:
        """The newest `window` events as inputs of a model."""
        return history_batch(self.histories, self.rows, self.window)


Method = Callable[[Asked], np.ndarray]
"""From users and items to float `[n, events]`: how much each event raises the item; undefined at padding."""


def simple_methods(deletions: DeletionScorer, vectors: np.ndarray | None, seed: int) -> dict[str, Method]:
    """The methods for every model, by name: ours first, then those of others.

    Args:
        deletions: Exact scores after deletions.
        vectors: float `[num_items, dim]`, the items' vectors; None for a model that has none.
        seed: int. Seed of "random".
    """
    found: dict[str, Method] = {
        "leave-one-out": exact_effects(deletions),
        RANDOM: lambda asked: np.random.default_rng(seed).random(asked.batch[schema.HISTORY_ITEMS].shape),
        "recency": lambda asked: np.broadcast_to(
            np.arange(asked.batch[schema.HISTORY_ITEMS].shape[1], dtype=float), asked.batch[schema.HISTORY_ITEMS].shape
        ),
    }
    return found if vectors is None else {**found, "item cosine": item_cosine(vectors)}


def methods(model: NextItemModel, deletions: DeletionScorer, seed: int) -> dict[str, Method]:
    """All methods for a NextItemModel, by name: ours first, then those of others.

    "served" is what the signature `explain` computes; for models of one block it is leave-one-out and is not listed.

    Args:
        model: A NextItemModel.
        deletions: Exact scores after deletions.
        seed: int. Seed of "random".
    """
    exact, *others = simple_methods(deletions, model.item_vectors().numpy(), seed).items()
    found = dict([exact])
    if causal_blocks(model) and not isinstance(deletions, NextItemDeletions):
        found[SERVED] = exact_effects(NextItemDeletions(model))
    found |= {**dict(others), "integrated gradients": integrated_gradients(model)}
    blocks = [block for block in causal_blocks(model) if isinstance(block, CausalBlock)]
    if blocks:  # gated attention has no shares to roll out
        found["attention rollout"] = attention_rollout(model, blocks)
    return found


def exact_effects(deletions: DeletionScorer) -> Method:
    """What the score loses without each event."""

    def effects(asked: Asked) -> np.ndarray:
        groups = event_groups(asked.histories, asked.rows, asked.window)
        return leave_one_out(deletions, asked.histories, asked.rows, asked.items[:, None], groups).effects[..., 0]

    return effects


def item_cosine(vectors: np.ndarray) -> Method:
    """The cosine of the event's item and the item that is explained: "because it is similar".

    Args:
        vectors: float `[num_items, dim]`, the items' vectors.
    """
    unit = unit_vectors(vectors)

    def cosines(asked: Asked) -> np.ndarray:
        events = np.maximum(asked.batch[schema.HISTORY_ITEMS], 0)
        return np.einsum("bed,bd->be", unit[events], unit[asked.items])

    return cosines


def attention_rollout(model: NextItemModel, blocks: Sequence[CausalBlock]) -> Method:
    """The attention of the newest position, through all blocks (Abnar & Zuidema 2020, https://arxiv.org/abs/2005.00928).

    Half of what a position is made of is taken to be itself, for the residual connection.

    Args:
        model: The model.
        blocks: Its blocks.
    """

    @tf.function(reduce_retracing=True)
    def rolled(items: tf.Tensor, kinds: tf.Tensor) -> tf.Tensor:
        inputs = [lookup(model.history_vectors(), items), kinds, tf.zeros(tf.shape(items))]
        hidden = model.body.get_layer("event_embedding")(*inputs)
        flow = tf.eye(tf.shape(items)[1], batch_shape=[tf.shape(items)[0]])
        for block in blocks:
            flow = tf.matmul(
                0.5 * tf.cast(block.attention(hidden), tf.float32) + 0.5 * tf.eye(tf.shape(items)[1]), flow
            )
            hidden = block(hidden, training=False)
        newest = tf.reduce_sum(tf.cast(items >= 0, tf.int32), axis=1) - 1
        return tf.gather(flow, tf.maximum(newest, 0), axis=1, batch_dims=1)

    return _of_newest(model, lambda asked, items, kinds: rolled(items, kinds))


def integrated_gradients(model: NextItemModel, steps: int = STEPS) -> Method:
    """Gradients of the network's score on the way from empty events to the events (Sundararajan et al. 2017,
    https://arxiv.org/abs/1703.01365). The memory is counted and has no gradient.

    Args:
        model: The model.
        steps: int. Points on the way.
    """

    @tf.function(reduce_retracing=True)
    def integrated(items: tf.Tensor, kinds: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        vectors = model.history_vectors()
        events, unit = lookup(vectors, items), tf.math.l2_normalize(tf.gather(vectors, target), axis=-1)
        total = tf.zeros_like(events)
        for step in tf.range(steps):
            at = events * ((tf.cast(step, tf.float32) + 0.5) / steps)
            with tf.GradientTape() as tape:
                tape.watch(at)
                score = tf.reduce_sum(model.query_from_vectors(at, items >= 0, kinds) * unit)
            total += tape.gradient(score, at)
        return tf.reduce_sum(total * events, axis=2) / steps

    return _of_newest(model, lambda asked, items, kinds: integrated(items, kinds, tf.constant(asked.items, tf.int32)))


def _of_newest(model: NextItemModel, weigh: Callable[[Asked, tf.Tensor, tf.Tensor], tf.Tensor]) -> Method:
    """A method for the events that the network reads; older ones get 0."""

    def weighed(asked: Asked) -> np.ndarray:
        batch: dict[str, Any] = history_batch(asked.histories, asked.rows, min(asked.window, model.max_history))
        found = weigh(
            asked, tf.constant(batch[schema.HISTORY_ITEMS]), tf.constant(batch[schema.HISTORY_EVENTS])
        ).numpy()
        weights = np.zeros(asked.batch[schema.HISTORY_ITEMS].shape)
        for row, length in enumerate(asked.lengths):
            read = min(length, found.shape[1])
            weights[row, length - read : length] = found[row, :read]
        return weights

    return weighed
