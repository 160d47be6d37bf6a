"""Forward and backward passes of an encoder over many texts, in microbatches that fit into a memory budget."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.encoders.transformers.lora import merge_lora
from tfrec.keras import keras
from tfrec.schema import INPUT_MASK, INPUT_TYPE_IDS, INPUT_WORD_IDS

_VALUES_PER_TOKEN = 60  # values kept for the backward pass, per token and layer, in widths; measured on MiniLM


class MicrobatchedEncoder:
    """Encodes texts in parts of similar length, and backpropagates through them.

    Between the two passes, the activations of as many parts are kept as fit into the memory; those of the others are
    recomputed (gradient checkpointing, Chen et al. 2016, https://arxiv.org/abs/1604.06174, at the level of parts, as in
    GradCache, Gao et al. 2021, https://arxiv.org/abs/2101.06983). The gradients are the same, because dropout masks
    depend only on tokens and weights.

    Args:
        model: A model made by `build_backbone(config)`, with its weights.
        config: Shape of the encoder.
        tokens: The texts.
        memory: int. Bytes of activations to keep; 0 keeps none.
        part_tokens: int. Tokens of a part, including padding.
        dropout: bool. Whether the encoder's own dropout is active in training.
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
        self._encode_part = tf.function(self._encode, reduce_retracing=True)
        self._parts: list[tuple[np.ndarray, np.ndarray, tf.GradientTape | None, tf.Tensor]] = []
        self._frozen, self._current = 0, tokens

    def variables(self, frozen: int = 0) -> list[tf.Variable]:
        """The trainable variables without those of the lowest `frozen` groups (the embeddings, then layer by layer)."""
        variables = [variable for group in self.groups[frozen:] for variable in group.trainable_variables]
        top = [self.model.get_layer(name) for name in ("norm", "pooling") if name in self._names]
        return variables + [variable for layer in top for variable in layer.trainable_variables]

    @property
    def _names(self) -> set[str]:
        return {layer.name for layer in self.model.layers}

    def forward(self, rows: np.ndarray, frozen: int = 0, tokens: TokenTable | None = None) -> tf.Tensor:
        """Encodes texts in training mode.

        Args:
            rows: int `[n]`, rows of the token table.
            frozen: int. Number of the lowest groups that need no gradients.
            tokens: Token table to use instead of the encoder's own, for this pass and its `backward`.

        Returns:
            float32 `[n, width]`.
        """
        self._current = tokens or self.tokens
        self._parts, self._frozen, kept = [], frozen, 0
        vectors = np.empty((len(rows), self.config.dim), np.float32)
        per_token = self._bytes_per_token()
        for positions in self._current.parts(rows, self.part_tokens):
            part = rows[positions]
            kept += int(len(part) * self._current.lengths[part].max() * per_token)
            tape, encoded = self._taped(part) if kept <= self.memory else (None, self._call(part))
            vectors[positions] = encoded.numpy()
            self._parts.append((positions, part, tape, encoded if tape is not None else None))
        return tf.constant(vectors)

    def backward(self, upstream: tf.Tensor, variables: list[tf.Variable]) -> list[tf.Tensor | tf.IndexedSlices]:
        """Backpropagates through the last `forward`.

        Args:
            upstream: float32 `[n, width]`, gradients for the vectors that `forward` returned.
            variables: Variables to compute gradients for, of `self.variables(frozen)`.

        Returns:
            One gradient per variable; zeros for a variable without one.
        """
        sums: list[Any] = [None] * len(variables)
        while self._parts:
            positions, part, tape, vectors = self._parts.pop()
            if tape is None:
                tape, vectors = self._taped(part)
            gradients = tape.gradient(vectors, variables, output_gradients=tf.gather(upstream, positions))
            del tape, vectors
            sums = [_add_gradients(old, new) for old, new in zip(sums, gradients, strict=True)]
        return [tf.zeros_like(variable) if each is None else each for each, variable in zip(sums, variables)]

    def encode_all(self, precision: str = "float32") -> np.ndarray:
        """Encodes all texts in inference mode, with the current weights.

        Args:
            precision: "float32" or "bfloat16".

        Returns:
            float32 `[texts, width]`.
        """
        encode = build_inference(merge_lora(self.model, self.config), self.config, precision)
        rows = np.arange(len(self.tokens.lengths))
        vectors = np.empty((len(rows), self.config.dim), np.float32)
        for positions in self.tokens.parts(rows, self.part_tokens):
            vectors[positions] = encode(*self._ids(positions, self.tokens)).numpy()
        return vectors

    def _taped(self, part: np.ndarray) -> tuple[tf.GradientTape, tf.Tensor]:
        with tf.GradientTape() as tape:
            vectors = self._call(part)
        return tape, vectors

    def _call(self, part: np.ndarray) -> tf.Tensor:
        return self._encode_part(*self._ids(part, self._current), frozen=self._frozen)

    def _ids(self, part: np.ndarray, tokens: TokenTable) -> list[tf.Tensor]:
        inputs = tokens.inputs(part)
        return [tf.constant(inputs[name]) for name in (INPUT_WORD_IDS, INPUT_MASK, INPUT_TYPE_IDS)]

    def _encode(self, words: tf.Tensor, mask: tf.Tensor, types: tf.Tensor, frozen: int) -> tf.Tensor:
        """The computation of the model, without gradients for the lowest `frozen` groups."""
        hidden, seed = self.groups[0](words, types, training=self.dropout)
        for index, block in enumerate(self.groups[1:], start=1):
            if index == frozen:
                hidden = tf.stop_gradient(hidden)
            hidden = block(hidden, mask_ids=mask, seed=seed, training=self.dropout)
        if frozen == len(self.groups):
            hidden = tf.stop_gradient(hidden)
        if self.config.pre_norm:
            hidden = self.model.get_layer("norm")(hidden)
        return self.model.get_layer("pooling")(tf.cast(hidden, tf.float32), mask_ids=mask)

    def _bytes_per_token(self) -> int:
        layers = max(1, self.config.layers - max(self._frozen - 1, 0))
        return _VALUES_PER_TOKEN * self.config.width * layers * tf.as_dtype(self.groups[-1].compute_dtype).size


def _add_gradients(old: Any, new: Any) -> Any:
    if old is None or new is None:
        return new if old is None else old
    if isinstance(old, tf.IndexedSlices) and isinstance(new, tf.IndexedSlices):
        values, indices = tf.concat([old.values, new.values], 0), tf.concat([old.indices, new.indices], 0)
        return tf.IndexedSlices(values, indices, old.dense_shape)
    return tf.convert_to_tensor(old) + tf.convert_to_tensor(new)
