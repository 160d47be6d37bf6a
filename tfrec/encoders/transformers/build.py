"""Builds BERT, GPT and their kin as functional Keras models from the same layers, and static encoders."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfrec.encoders.transformers.config import BackboneConfig, BertConfig, GptConfig
from tfrec.encoders.transformers.layers import Block, Embeddings, Pooling
from tfrec.encoders.transformers.static import TokenVectors
from tfrec.keras import keras
from tfrec.schema import (
    DEFAULT_OUTPUT,
    ENCODER_OUTPUTS,
    INPUT_MASK,
    INPUT_TYPE_IDS,
    INPUT_WORD_IDS,
    POOLED_OUTPUT,
    SEQUENCE_OUTPUT,
)


def build_bert(config: BertConfig, dtype: str = "float32") -> keras.Model:
    """Builds BERT as a functional model.

    The input is a dict of `input_word_ids`, `input_mask` (1 for real tokens, 0 for padding) and `input_type_ids`, each
    int32 `[batch, length]` with a length of at most `config.max_positions`.

    The output is a dict of `pooled_output` float32 `[batch, width]`, `sequence_output` float32
    `[batch, length, width]`, `encoder_outputs` (a list with the `[batch, length, width]` of every layer) and `default`
    (the pooled output). Padding does not change the vectors of real tokens. With the pooling "mean" or "last", a row
    with only padding gives zeros.

    Args:
        config: Shape of the encoder.
        dtype: "float32" or "mixed_bfloat16" (layers compute in bfloat16; weights and outputs stay float32).

    Example:
        >>> model = build_bert(BertConfig(vocab_size=9, width=8, layers=1, heads=2, inner_width=16))
        >>> ones = tf.ones([1, 3], tf.int32)
        >>> model({"input_word_ids": ones, "input_mask": ones, "input_type_ids": ones})["pooled_output"].shape
        TensorShape([1, 8])
    """
    return build_backbone(config, dtype)


def build_gpt(config: GptConfig, dtype: str = "float32") -> keras.Model:
    """Builds GPT as a functional model.

    Inputs, outputs and arguments are those of `build_bert`; `input_type_ids` is not used. The vector of a token depends
    only on this token and those to its left. The last of `encoder_outputs` is normalised, like `sequence_output`.

    Example:
        >>> model = build_gpt(GptConfig(vocab_size=9, width=8, layers=1, heads=2, inner_width=16))
        >>> ones = tf.ones([1, 3], tf.int32)
        >>> model({"input_word_ids": ones, "input_mask": ones, "input_type_ids": ones})["sequence_output"].shape
        TensorShape([1, 3, 8])
    """
    return build_backbone(config, dtype)


def build_backbone(config: BackboneConfig, dtype: str = "float32") -> keras.Model:
    """Builds the encoder of the config's family; inputs, outputs and arguments are those of `build_bert`.

    A static encoder has no layers: its sequence output and its only `encoder_outputs` are the token vectors.
    """
    # === Layers ===
    policy: Any = keras.mixed_precision.Policy(dtype)
    embeddings = (TokenVectors if config.family == "static" else Embeddings)(config, name="embeddings", dtype=policy)
    blocks = [Block(config, index, name=f"layer_{index}", dtype=policy) for index in range(config.layers)]
    norm = None
    if config.pre_norm:
        norm = keras.layers.LayerNormalization(epsilon=config.epsilon, name="norm", dtype=policy)
    widen = keras.layers.Activation("linear", name="float32", dtype="float32")
    after = (config.normalise, config.dense, config.cut)
    pooling = Pooling(config.width, config.pooling, *after, name="pooling", dtype="float32")

    # === Functional model ===
    inputs = {
        name: keras.Input((None,), dtype=tf.int32, name=name) for name in (INPUT_WORD_IDS, INPUT_MASK, INPUT_TYPE_IDS)
    }
    hidden, seed = embeddings(inputs[INPUT_WORD_IDS], inputs[INPUT_TYPE_IDS])
    outputs = [] if blocks else [hidden]
    for block in blocks:
        hidden = block(hidden, mask_ids=inputs[INPUT_MASK], seed=seed)
        outputs.append(hidden)
    if norm is not None:
        outputs[-1] = norm(hidden)
    outputs = [widen(output) for output in outputs]
    pooled = pooling(outputs[-1], mask_ids=inputs[INPUT_MASK])
    return keras.Model(
        inputs,
        {POOLED_OUTPUT: pooled, SEQUENCE_OUTPUT: outputs[-1], ENCODER_OUTPUTS: outputs, DEFAULT_OUTPUT: pooled},
        name=f"{config.family}_encoder",
    )
