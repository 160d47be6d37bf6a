"""Maps Hugging Face's configs and tensor names of BERT, DistilBERT, XLM-R and MPNet to ours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints.safetensors_file import Tensors
from tfrec.encoders.transformers.config import BackboneConfig, BertConfig
from tfrec.keras import keras

# Name prefixes of tensors that belong to a task head, not to the encoder.
HEADS = ("cls.", "pooler.", "classifier.", "pre_classifier.", "qa_outputs.", "vocab_", "lm_head.")

# DistilBERT's names to BERT's.
_DISTIL = {
    "transformer.layer.": "encoder.layer.",
    ".attention.q_lin.": ".attention.self.query.",
    ".attention.k_lin.": ".attention.self.key.",
    ".attention.v_lin.": ".attention.self.value.",
    ".attention.out_lin.": ".attention.output.dense.",
    ".sa_layer_norm.": ".attention.output.LayerNorm.",
    ".ffn.lin1.": ".intermediate.dense.",
    ".ffn.lin2.": ".output.dense.",
    ".output_layer_norm.": ".output.LayerNorm.",
    "LayerNorm.gamma": "LayerNorm.weight",
    "LayerNorm.beta": "LayerNorm.bias",
}

# MPNet's names to BERT's.
_MPNET = {
    ".attention.attn.q.": ".attention.self.query.",
    ".attention.attn.k.": ".attention.self.key.",
    ".attention.attn.v.": ".attention.self.value.",
    ".attention.attn.o.": ".attention.output.dense.",
    ".attention.LayerNorm.": ".attention.output.LayerNorm.",
}
_RELATIVE = "encoder.relative_attention_bias.weight"
_POSITION = "embeddings.position_embeddings.weight"
_PREFIXES = ("bert.", "distilbert.", "roberta.", "mpnet.")


def rename(name: str) -> str | None:
    """The name in a current, bare BertModel; None for the position ids that some versions saved.

    Example:
        >>> rename("distilbert.transformer.layer.0.ffn.lin1.bias")
        'encoder.layer.0.intermediate.dense.bias'
    """
    if name.endswith("position_ids"):
        return None
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for theirs, ours in {**_DISTIL, **_MPNET}.items():
        name = name.replace(theirs, ours)
    return name


def config(values: dict[str, Any], pooling: str, normalise: bool) -> BertConfig:
    """The config of a BERT from its config.json. A missing size raises KeyError.

    Args:
        values: Content of config.json.
        pooling: As in `BackboneConfig`.
        normalise: As in `BackboneConfig`.
    """
    return BertConfig(
        vocab_size=int(values["vocab_size"]),
        width=int(values["hidden_size"]),
        layers=int(values["num_hidden_layers"]),
        heads=int(values["num_attention_heads"]),
        inner_width=int(values["intermediate_size"]),
        max_positions=int(values.get("max_position_embeddings", 512)),
        types=int(values.get("type_vocab_size", 2)),
        activation=str(values.get("hidden_act", "gelu")).replace("gelu_pytorch_tanh", "gelu_new"),
        dropout=float(values.get("hidden_dropout_prob", 0.1)),
        attention_dropout=float(values.get("attention_probs_dropout_prob", 0.1)),
        epsilon=float(values.get("layer_norm_eps", 1e-12)),
        pooling=pooling,  # type: ignore[arg-type]
        normalise=normalise,
    )


def distil_config(values: dict[str, Any], pooling: str, normalise: bool) -> BertConfig:
    """The config of a DistilBERT from its config.json. Arguments and errors as in `config`."""
    return BertConfig(
        vocab_size=int(values["vocab_size"]),
        width=int(values["dim"]),
        layers=int(values["n_layers"]),
        heads=int(values["n_heads"]),
        inner_width=int(values["hidden_dim"]),
        max_positions=int(values.get("max_position_embeddings", 512)),
        types=0,
        activation=str(values.get("activation", "gelu")),
        dropout=float(values.get("dropout", 0.1)),
        attention_dropout=float(values.get("attention_dropout", 0.1)),
        pooling=pooling,  # type: ignore[arg-type]
        normalise=normalise,
    )


def xlm_roberta_config(values: dict[str, Any], pooling: str, normalise: bool) -> BertConfig:
    """The config of XLM-R: a BERT whose first positions, up to that of padding, are not used.

    Arguments and errors as in `config`.
    """
    bert = config(values, pooling, normalise)
    return replace(bert, max_positions=bert.max_positions - unused_positions(values))


def mpnet_config(values: dict[str, Any], pooling: str, normalise: bool) -> BertConfig:
    """The config of MPNet: XLM-R's positions, relative positions, and no segment types. Arguments as in `config`."""
    buckets = int(values.get("relative_attention_num_buckets", 32))
    return replace(xlm_roberta_config(values, pooling, normalise), types=0, relative_buckets=buckets)


def unused_positions(values: dict[str, Any]) -> int:
    """The number of rows at the start of the position table of XLM-R and MPNet that no text uses."""
    return int(values.get("pad_token_id", 1)) + 1


def without_unused(tensors: dict[str, np.ndarray], values: dict[str, Any]) -> dict[str, np.ndarray]:
    """The tensors with the position table cut to the rows in use."""
    table = tensors.get(_POSITION)
    return tensors if table is None else {**tensors, _POSITION: table[unused_positions(values) :]}


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
    width, inner = config.width, config.inner_width
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, width),
        "embeddings.position_embeddings.weight": (config.max_positions, width),
    }
    if config.types:
        shapes["embeddings.token_type_embeddings.weight"] = (config.types, width)
    if config.relative_buckets:
        shapes[_RELATIVE] = (config.relative_buckets, config.heads)
    dense: list[tuple[str, int, int]] = []
    norms = ["embeddings.LayerNorm"]
    for prefix in (f"encoder.layer.{index}" for index in range(config.layers)):
        dense += [(f"{prefix}.attention.self.{part}", width, width) for part in ("query", "key", "value")]
        dense += [(f"{prefix}.attention.output.dense", width, width), (f"{prefix}.intermediate.dense", inner, width)]
        dense += [(f"{prefix}.output.dense", width, inner)]
        norms += [f"{prefix}.attention.output.LayerNorm", f"{prefix}.output.LayerNorm"]
    if config.pooling == "pooler":
        dense += [("pooler.dense", width, width)]
    for name, rows, columns in dense:
        shapes |= {f"{name}.weight": (rows, columns), f"{name}.bias": (rows,)}
    for name in norms:
        shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
    return shapes


def load(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Loads the tensors into a model made by `build_bert(config)`."""
    embeddings = model.get_layer("embeddings")
    embeddings.word.embeddings.assign(tensors["embeddings.word_embeddings.weight"])
    embeddings.position.assign(tensors["embeddings.position_embeddings.weight"])
    if config.types:
        embeddings.type.embeddings.assign(tensors["embeddings.token_type_embeddings.weight"])
    _norm(embeddings.norm, tensors, "embeddings.LayerNorm")
    for index in range(config.layers):
        block, prefix = model.get_layer(f"layer_{index}"), f"encoder.layer.{index}"
        if block.relative is not None:  # one table for all layers in a checkpoint, one for each here
            block.relative.assign(tensors[_RELATIVE])
        parts = [f"{prefix}.attention.self.{part}" for part in ("query", "key", "value")]
        block.qkv.kernel.assign(np.concatenate([tensors[f"{part}.weight"] for part in parts]).T)
        block.qkv.bias.assign(np.concatenate([tensors[f"{part}.bias"] for part in parts]))
        _dense(block.attention_out, tensors, f"{prefix}.attention.output.dense")
        _norm(block.attention_norm, tensors, f"{prefix}.attention.output.LayerNorm")
        _dense(block.inner, tensors, f"{prefix}.intermediate.dense")
        _dense(block.outer, tensors, f"{prefix}.output.dense")
        _norm(block.norm, tensors, f"{prefix}.output.LayerNorm")
    if config.pooling == "pooler":
        _dense(model.get_layer("pooling").dense, tensors, "pooler.dense")


def _dense(layer: Any, tensors: Tensors, name: str) -> None:
    layer.kernel.assign(tensors[f"{name}.weight"].T)
    layer.bias.assign(tensors[f"{name}.bias"])


def _norm(layer: Any, tensors: Tensors, name: str) -> None:
    layer.gamma.assign(tensors[f"{name}.weight"])
    layer.beta.assign(tensors[f"{name}.bias"])
