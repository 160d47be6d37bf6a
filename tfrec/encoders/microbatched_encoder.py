"""An encoder's forward and backward pass over many texts, a few at a time, in as little memory as is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.encoders.transformers.lora import merged
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

_NUMBERS_A_TOKEN = 60  # kept for the backward pass, a layer, in multiples of the width; measured on MiniLM


class PartwiseEncoder:
    """Reads texts in parts of like length, and passes gradients back through them.

    Between the two passes a part's activations are kept while there is room; those of the rest are thrown away and
    computed again (gradient checkpointing, Chen et al. 2016, https://arxiv.org/abs/1604.06174, at the level of parts,
    as in GradCache, Gao et al. 2021, https://arxiv.org/abs/2101.06983). The result is the same: dropout masks depend on
    tokens and weights alone.

    Args:
        model: What `build_backbone(config)` made, with its weights.
        config: Its shape.
        tokens: The texts.
        memory: Bytes of activations to keep; 0 for none.
        part_tokens: Tokens of a part, padding included.
        dropout: bool. Whether the encoder's own dropout is on in training.
    """

    def __init__(
        self,
        model: keras.Model,
        config: BackboneConfig,
        tokens: TokenTable,
        memory: int = 2**31,
        part_tokens: int = 2048,
        dropout: bool = False,
    ) -> None:
        self.model, self.config, self.tokens = model, config, tokens
        self.memory, self.part_tokens, self.dropout = memory, part_tokens, dropout
        self.groups = [model.get_layer("embeddings")]
        self.groups += [model.get_layer(f"layer_{index}") for index in range(config.layers)]
        self._read = tf.function(self._encode, reduce_retracing=True)
        self._parts: list[tuple[np.ndarray, np.ndarray, tf.GradientTape | None, tf.Tensor]] = []
        self._frozen, self._now = 0, tokens

    def variables(self, frozen: int = 0) -> list[tf.Variable]:
        """What can be trained when the lowest `frozen` groups (the embeddings, then layer by layer) are not."""
        found = [variable for group in self.groups[frozen:] for variable in group.trainable_variables]
        top = [self.model.get_layer(name) for name in ("norm", "pooling") if name in self._names]
        return found + [variable for layer in top for variable in layer.trainable_variables]

    @property
    def _names(self) -> set[str]:
        return {layer.name for layer in self.model.layers}

    def forward(self, rows: np.ndarray, frozen: int = 0, tokens: TokenTable | None = None) -> tf.Tensor:
        """float32 `[len(rows), width]`: the vectors of some texts, in training.

        Args:
            rows: int `[n]`, of the token table.
            frozen: int. How many of the lowest groups no gradient is wanted for.
            tokens: A table that is read in the place of the encoder's own until the next call.
        """
        self._now = tokens or self.tokens
        self._parts, self._frozen, kept = [], frozen, 0
        vectors = np.empty((len(rows), self.config.width), np.float32)
        per_token = self._bytes_a_token()
        for places in self._now.parts(rows, self.part_tokens):
            part = rows[places]
            kept += int(len(part) * self._now.lengths[part].max() * per_token)
            tape, found = self._taped(part) if kept <= self.memory else (None, self._call(part))
            vectors[places] = found.numpy()
            self._parts.append((places, part, tape, found if tape is not None else None))
        return tf.constant(vectors)

    def backward(self, upstream: tf.Tensor, variables: list[tf.Variable]) -> list[tf.Tensor | tf.IndexedSlices]:
        """Gradients for `variables` (of `self.variables(frozen)`), given those for what `forward` returned last."""
        summed: list[Any] = [None] * len(variables)
        while self._parts:
            places, part, tape, vectors = self._parts.pop()
            if tape is None:
                tape, vectors = self._taped(part)
            found = tape.gradient(vectors, variables, output_gradients=tf.gather(upstream, places))
            del tape, vectors
            summed = [_added(old, new) for old, new in zip(summed, found, strict=True)]
        return [tf.zeros_like(variable) if each is None else each for each, variable in zip(summed, variables)]

    def read_all(self, precision: str = "float32") -> np.ndarray:
        """float32 `[texts, width]`: every text as the encoder reads it now, outside training.

        Args:
            precision: "float32" or "bfloat16".
        """
        read = build_inference(merged(self.model, self.config), self.config, precision)
        rows = np.arange(len(self.tokens.lengths))
        vectors = np.empty((len(rows), self.config.width), np.float32)
        for places in self.tokens.parts(rows, self.part_tokens):
            vectors[places] = read(*self._ids(places, self.tokens)).numpy()
        return vectors

    def _taped(self, part: np.ndarray) -> tuple[tf.GradientTape, tf.Tensor]:
        with tf.GradientTape() as tape:
            vectors = self._call(part)
        return tape, vectors

    def _call(self, part: np.ndarray) -> tf.Tensor:
        return self._read(*self._ids(part, self._now), frozen=self._frozen)

    def _ids(self, part: np.ndarray, tokens: TokenTable) -> list[tf.Tensor]:
        inputs = tokens.inputs(part)
        return [tf.constant(inputs[name]) for name in (INPUT_WORD_IDS, INPUT_MASK, INPUT_TYPE_IDS)]

    def _encode(self, words: tf.Tensor, mask: tf.Tensor, types: tf.Tensor, frozen: int) -> tf.Tensor:
        """The model's computation, with no way back into the lowest `frozen` groups."""
        hidden, seed = self.groups[0](words, types, training=self.dropout)
        for index, block in enumerate(self.groups[1:], start=1):
            if index == frozen:
                hidden = tf.stop_gradient(hidden)
            hidden = block(hidden, mask_ids=mask, seed=seed, training=self.dropout)
        if frozen == len(self.groups):
            hidden = tf.stop_gradient(hidden)
        if self.config.family == "gpt":
            hidden = self.model.get_layer("norm")(hidden)
        return self.model.get_layer("pooling")(tf.cast(hidden, tf.float32), mask_ids=mask)

    def _bytes_a_token(self) -> int:
        layers = max(1, self.config.layers - max(self._frozen - 1, 0))
        return _NUMBERS_A_TOKEN * self.config.width * layers * tf.as_dtype(self.groups[-1].compute_dtype).size


def _added(old: Any, new: Any) -> Any:
    if old is None or new is None:
        return new if old is None else old
    if isinstance(old, tf.IndexedSlices) and isinstance(new, tf.IndexedSlices):
        values, indices = tf.concat([old.values, new.values], 0), tf.concat([old.indices, new.indices], 0)
        return tf.IndexedSlices(values, indices, old.dense_shape)
    return tf.convert_to_tensor(old) + tf.convert_to_tensor(new)
