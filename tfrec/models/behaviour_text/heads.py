"""The two heads of BehaviourTextModel: dropout and an MLP that turn text vectors into probabilities.

Each head is a Keras model of its own, so it can also be fitted on cached vectors of a frozen encoder.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.keras import keras
from tfrec.models.behaviour_text.item_mentions import NamedBias
from tfrec.models.behaviour_text.transitions import Transitions
from tfrec.models.shared.step_dropout import StepDropout

BEHAVIOUR, CANDIDATE, NAMED = "behaviour", "candidate", "named"
"""Input names of the heads: the vectors of the two texts, and the items named in the behaviour text."""

SCALE = 8.0
"""Scale of the cosines in the softmax head's logits; chosen from 5 to 16 on the validation users of MovieLens."""


class CosineClasses(keras.layers.Layer):
    """Logits `scale · cosine(vector, class) + bias`, so that class vectors can be initialised with text vectors.

    Args:
        num_classes: int.
        scale: float.

    Call arguments:
        vectors: float `[batch, dim]`.

    Returns:
        float32 `[batch, num_classes]`.

    Example:
        >>> layer = CosineClasses(2, scale=2.0)
        >>> layer.build((None, 2))
        >>> layer.kernel.assign([[1.0, 0.0], [0.0, 3.0]])
        <...>
        >>> layer(tf.constant([[0.0, 5.0]])).numpy()
        array([[0., 2.]], dtype=float32)
    """

    def __init__(self, num_classes: int, scale: float = SCALE, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_classes, self.scale = num_classes, scale

    def build(self, input_shape: Any) -> None:
        start = keras.initializers.RandomNormal(stddev=0.02, seed=23)
        self.kernel = self.add_weight("kernel", shape=(self.num_classes, input_shape[-1]), initializer=start)
        self.bias = self.add_weight("bias", shape=(self.num_classes,), initializer="zeros")
        super().build(input_shape)

    def call(self, vectors: tf.Tensor) -> tf.Tensor:
        classes = tf.math.l2_normalize(self.kernel, axis=-1)
        vectors = tf.math.l2_normalize(tf.cast(vectors, classes.dtype), axis=-1)
        return self.scale * tf.linalg.matmul(vectors, classes, transpose_b=True) + self.bias

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "num_classes": self.num_classes, "scale": self.scale}


def softmax_head(
    dim: int,
    names: np.ndarray,
    count: int,
    neighbours: int,
    units: Sequence[int],
    dropout: float,
    seed: int,
    policy: str,
) -> keras.Model:
    """The softmax head: a probability for each item of the catalogue.

    Args:
        dim: int. Width of the text vectors.
        names: int `[num_items]`, name of each item; −1 for none (see `ItemsInText`).
        count: int. Number of distinct names.
        neighbours: int. Items kept of those that followed each item (see `Transitions`); 0 for none.
        units: Widths of the hidden layers.
        dropout: float in [0, 1).
        seed: int. Seed of the initial weights and the dropout masks.
        policy: Keras dtype policy of the hidden layers.

    Returns:
        A model with inputs `behaviour`, float32 `[batch, dim]`, and `named`, int32 `[batch, events]`; its output is
        float32 `[batch, num_items]`.
    """
    behaviour = keras.Input((dim,), name=BEHAVIOUR)
    named = keras.Input((None,), dtype=tf.int32, name=NAMED)
    # Encoders differ in scale by a factor of up to twenty; after normalisation one learning rate works for all.
    hidden = keras.layers.LayerNormalization(name="behaviour_norm")(behaviour)
    hidden = _mlp(hidden, units, dropout, seed, policy)
    start = keras.initializers.GlorotUniform(seed=seed + len(units))
    query = keras.layers.Dense(dim, use_bias=False, kernel_initializer=start, dtype=policy, name="query")(hidden)
    logits = CosineClasses(len(names), dtype="float32", name="logits")(query)
    if neighbours:
        logits = Transitions(names, count, neighbours, dtype="float32", name="transitions")([logits, named])
    logits = NamedBias(names, count, dtype="float32", name="named_bias")([logits, named])
    output = keras.layers.Activation("softmax", dtype="float32", name="probabilities")(logits)
    return keras.Model({BEHAVIOUR: behaviour, NAMED: named}, output, name="mlp")


def sigmoid_head(dim: int, separate: bool, units: Sequence[int], dropout: float, seed: int, policy: str) -> keras.Model:
    """The sigmoid head: the probability of one candidate.

    Args:
        dim: int. Width of the text vectors.
        separate: Whether behaviour and candidate are encoded separately, so that the head gets two vectors.
        units: Widths of the hidden layers.
        dropout: float in [0, 1).
        seed: int. Seed of the initial weights and the dropout masks.
        policy: Keras dtype policy of the hidden layers.

    Returns:
        A model with inputs `behaviour` and, if `separate`, `candidate`, float32 `[batch, dim]` each; its output is
        float32 `[batch]`.
    """
    names = (BEHAVIOUR, CANDIDATE) if separate else (BEHAVIOUR,)
    inputs = {name: keras.Input((dim,), name=name) for name in names}
    normed = [keras.layers.LayerNormalization(name=f"{name}_norm")(vector) for name, vector in inputs.items()]
    hidden = keras.layers.Concatenate()([*normed, keras.layers.Multiply()(normed)]) if separate else normed[0]
    hidden = _mlp(hidden, units, dropout, seed, policy)
    # Zero kernel: before training, the output is the share of positives.
    output = keras.layers.Dense(1, "sigmoid", kernel_initializer="zeros", dtype="float32", name="logits")(hidden)
    return keras.Model(inputs, keras.layers.Reshape((), name=schema.PROBABILITY)(output), name="mlp")


def _mlp(hidden: Any, units: Sequence[int], dropout: float, seed: int, policy: str) -> Any:
    hidden = StepDropout(dropout, seed * 100, dtype=policy)(hidden)
    for i, width in enumerate(units):
        start = keras.initializers.GlorotUniform(seed=seed + i)
        hidden = keras.layers.Dense(width, "gelu", kernel_initializer=start, dtype=policy, name=f"hidden_{i}")(hidden)
        hidden = StepDropout(dropout, seed * 100 + i + 1, dtype=policy)(hidden)
    return hidden
