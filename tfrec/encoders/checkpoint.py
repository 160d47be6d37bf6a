"""Hugging Face BERT folders (config.json, model.safetensors, vocab.txt) to the weights of our BERT."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.encoders.bert import BertConfig, Pooling
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras

Tensors = dict[str, np.ndarray]


def read_config(folder: Path, pooling: str = "auto") -> BertConfig:
    """Sizes from config.json. Pooling "auto" is mean for a sentence-transformers folder and cls for any other."""
    values = read_json(folder / "config.json")
    if values.get("model_type") != "bert":
        raise InvalidInput(f"{folder} holds a {values.get('model_type')!r} model; expected a BERT (model_type bert).")
    if values.get("hidden_act", "gelu") != "gelu":
        raise InvalidInput(f"{folder} uses the activation {values['hidden_act']!r}; only gelu is known.")
    if pooling not in ("auto", "mean", "cls"):
        raise InvalidInput(f"Expected pooling auto, mean or cls, received {pooling!r}.")
    chosen: Pooling = "cls" if pooling == "cls" or (pooling == "auto" and not _pools_by_mean(folder)) else "mean"
    try:
        return BertConfig(
            vocab_size=values["vocab_size"],
            dim=values["hidden_size"],
            layers=values["num_hidden_layers"],
            heads=values["num_attention_heads"],
            hidden_dim=values["intermediate_size"],
            max_length=values["max_position_embeddings"],
            segments=values.get("type_vocab_size", 2),
            epsilon=values.get("layer_norm_eps", 1e-12),
            dropout=values.get("hidden_dropout_prob", 0.1),
            pooling=chosen,
        )
    except KeyError as error:
        raise InvalidInput(f"{folder / 'config.json'} has no {error}. Is it the configuration of a BERT?") from None


def _pools_by_mean(folder: Path) -> bool:
    path = folder / "1_Pooling" / "config.json"
    return path.is_file() and bool(read_json(path).get("pooling_mode_mean_tokens"))


def read_tensors(folder: Path) -> Tensors:
    """Tensors of model.safetensors, float32, names without the leading `bert.`. Nothing is ever unpickled."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    path = folder / "model.safetensors"
    if not path.is_file():
        found = sorted(p.name for p in folder.iterdir())
        advice = ""
        if "pytorch_model.bin" in found:
            advice = (
                " pytorch_model.bin is a pickle, which can run code, and is not read. Convert it once, where you trust "
                "it: AutoModel.from_pretrained(FOLDER).save_pretrained(OUT, safe_serialization=True)."
            )
        raise InvalidInput(f"{folder} has no model.safetensors; found {found[:10]}.{advice}")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise InvalidInput(f"{path} is not a readable safetensors file: {error}. Fetch it again.") from None
    return {re.sub(r"^bert\.", "", name): value.astype(np.float32) for name, value in tensors.items()}


def read_vocabulary(folder: Path, vocab_size: int) -> list[str]:
    """Words of vocab.txt, one a line; as many as the embedding table has rows, or fewer."""
    path = folder / "vocab.txt"
    if not path.is_file():
        raise InvalidInput(f"{folder} has no vocab.txt; expected a BERT's WordPiece vocabulary, one word a line.")
    words = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
    missing = [word for word in ("[PAD]", "[UNK]", "[CLS]", "[SEP]") if word not in words]
    if missing:
        raise InvalidInput(f"{path} lacks {', '.join(missing)}: it is not a BERT vocabulary.")
    if len(words) > vocab_size:
        raise InvalidInput(
            f"{path} has {len(words)} words, but the embedding table has {vocab_size} rows. They belong to different "
            "models: use the vocab.txt that came with the weights."
        )
    return words


def assign(model: keras.Model, config: BertConfig, tensors: Tensors) -> None:
    """Sets every weight of `model` from the checkpoint; names the first tensor that is missing or has another shape."""

    def take(name: str, change: Callable[[np.ndarray], np.ndarray] = lambda value: value) -> np.ndarray:
        if name not in tensors:
            raise InvalidInput(f"The checkpoint has no tensor {name!r}; it does not match its config.json.")
        return change(tensors[name])

    def dense(name: str) -> list[np.ndarray]:
        return [take(f"{name}.weight", np.transpose), take(f"{name}.bias")]

    def norm(name: str) -> list[np.ndarray]:
        return [take(f"{name}.weight"), take(f"{name}.bias")]

    embeddings = model.get_layer("embeddings")
    for variable, name in (
        (embeddings.words, "word"),
        (embeddings.positions, "position"),
        (embeddings.types, "token_type"),
    ):
        _set([variable], [take(f"embeddings.{name}_embeddings.weight")], name)
    _set(embeddings.norm.weights, norm("embeddings.LayerNorm"), "embeddings.LayerNorm")
    for i in range(config.layers):
        block, at = model.get_layer(f"block_{i}"), f"encoder.layer.{i}"
        parts = [dense(f"{at}.attention.self.{part}") for part in ("query", "key", "value")]
        fused = [np.concatenate([part[j] for part in parts], axis=-1) for j in (0, 1)]
        _set(block.qkv.weights, fused, f"{at}.attention.self")
        pairs: list[tuple[Any, list[np.ndarray], str]] = [
            (block.attention_output, dense(f"{at}.attention.output.dense"), "attention.output.dense"),
            (block.attention_norm, norm(f"{at}.attention.output.LayerNorm"), "attention.output.LayerNorm"),
            (block.expand, dense(f"{at}.intermediate.dense"), "intermediate.dense"),
            (block.contract, dense(f"{at}.output.dense"), "output.dense"),
            (block.output_norm, norm(f"{at}.output.LayerNorm"), "output.LayerNorm"),
        ]
        for layer, values, name in pairs:
            _set(layer.weights, values, f"{at}.{name}")
    if config.pooling == "cls":
        _set(model.get_layer("pooler").weights, dense("pooler.dense"), "pooler.dense")


def _set(variables: list[Any], values: list[np.ndarray], name: str) -> None:
    for variable, value in zip(variables, values, strict=True):
        if tuple(variable.shape) != value.shape:
            raise InvalidInput(
                f"The checkpoint's {name!r} has shape {value.shape}, expected {tuple(variable.shape)} by config.json."
            )
        variable.assign(value)
