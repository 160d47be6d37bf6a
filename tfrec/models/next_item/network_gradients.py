"""The gradients of each person by the weights of the layers that only a NextItemModel has."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from tfrec.models.next_item.transformer import EventEmbedding
from tfrec.models.shared.layer_gradients import ByVariable, Recorded, Recorder
from tfrec.privacy.person_gradients import Explicit


def _events(layer: EventEmbedding, calls: list[Recorded]) -> Callable[..., tf.Tensor]:
    plain = layer.call

    def call(vectors: tf.Tensor, events: tf.Tensor, gaps: tf.Tensor) -> tf.Tensor:
        output = plain(vectors, events, gaps)

        def gradients(by_output: tf.Tensor) -> ByVariable:
            position = tf.minimum(tf.range(tf.shape(events)[1]), layer.max_history - 1)
            known = (events >= 0) & (events < layer.num_event_kinds)
            at_position = tf.one_hot(position, layer.max_history)
            of_kind = tf.one_hot(tf.where(known, events, -1), layer.num_event_kinds + 1)
            found = {
                layer.scale.ref(): tf.reduce_sum(by_output * vectors, axis=[1, 2]),
                layer.positions.ref(): tf.einsum("tn,pti->pni", at_position, by_output),
                layer.kinds.ref(): tf.matmul(of_kind, by_output, transpose_a=True),
            }
            if layer.time_gaps:
                found[layer.gap.ref()] = tf.reduce_sum(gaps[..., None] * by_output, axis=1)
            return {variable: Explicit(values) for variable, values in found.items()}

        calls.append(Recorded(output, gradients))
        return output

    return call


NETWORK_LAYERS: dict[type, Recorder] = {EventEmbedding: _events}
"""How `recorded_calls` records them."""
