"""A Hugging Face BERT folder (config.json, model.safetensors, vocab.txt) to our Keras model. Nothing is unpickled."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.encoders.bert import ACTIVATIONS, BertConfig
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras

Tensors = Mapping[str, np.ndarray]

_WEIGHTS = "model.safetensors"
_SHOWN = 5  # names in an error


@dataclass(frozen=True)
class BertCheckpoint:
    """What a Hugging Face BERT folder holds, checked.

    Args:
        config: The encoder's shape and pooling.
        tensors: Name (without the "bert." prefix) to float32 array; exactly those that `config` needs.
        vocabulary: Word pieces, the index is the id.
        lower_case: Whether texts are lower-cased and stripped of accents.
    """

    config: BertConfig
    tensors: Tensors
    vocabulary: list[str]
    lower_case: bool

    @property
    def sha256(self) -> str:
        """Of all that decides the vectors: the same however often and wherever the folder is converted."""
        digest = hashlib.sha256()
        about = {**self.config.to_dict(), "lower_case": self.lower_case, "vocabulary": self.vocabulary}
        digest.update(json.dumps(about, sort_keys=True).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode() + b"\0")
            digest.update(np.ascontiguousarray(self.tensors[name], "<f4").tobytes())
        return digest.hexdigest()


def read_checkpoint(folder: str | Path, pooling: str = "auto") -> BertCheckpoint:
    """Reads and checks a Hugging Face BERT folder.

    Args:
        folder: With config.json, model.safetensors, vocab.txt; also read where present: tokenizer_config.json (case),
            modules.json and 1_Pooling/config.json (sentence-transformers: pooling and normalisation).
        pooling: "auto": what sentence-transformers' files say; without them the checkpoint's pooler, else the mean.
            "mean"; or "cls": the first token, through the pooler if the checkpoint has one and no such files.

    Raises:
        InvalidInput: A file is missing or broken, the model is not a BERT we can run, tensors are missing or have the
            wrong shape, or the vocabulary does not fit the embedding.
    """
    folder = Path(folder)
    _check_files(folder)
    tensors = _read_tensors(folder / _WEIGHTS)
    config = _config(folder, pooling, has_pooler="pooler.dense.weight" in tensors)
    tensors = _select(tensors, expected_shapes(config), folder / _WEIGHTS)
    vocabulary = (folder / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
    vocabulary = [piece.rstrip("\r") for piece in vocabulary]
    _check_vocabulary(len(vocabulary), config.vocab_size, folder)
    return BertCheckpoint(config, tensors, vocabulary, _lower_case(folder))


def load_weights(model: keras.Model, config: BertConfig, tensors: Tensors) -> None:
    """Puts a checkpoint's tensors into the model that `build_bert(config)` made."""
    embeddings = model.get_layer("embeddings")
    embeddings.word.embeddings.assign(tensors["embeddings.word_embeddings.weight"])
    embeddings.position.assign(tensors["embeddings.position_embeddings.weight"])
    embeddings.type.embeddings.assign(tensors["embeddings.token_type_embeddings.weight"])
    _norm(embeddings.norm, tensors, "embeddings.LayerNorm")
    for index in range(config.layers):
        block, prefix = model.get_layer(f"layer_{index}"), f"encoder.layer.{index}"
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


def expected_shapes(config: BertConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor that a checkpoint of this shape must have."""
    width, inner = config.width, config.inner_width
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (config.vocab_size, width),
        "embeddings.position_embeddings.weight": (config.max_positions, width),
        "embeddings.token_type_embeddings.weight": (config.types, width),
    }
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


def _dense(layer: Any, tensors: Tensors, name: str) -> None:
    layer.kernel.assign(tensors[f"{name}.weight"].T)
    layer.bias.assign(tensors[f"{name}.bias"])


def _norm(layer: Any, tensors: Tensors, name: str) -> None:
    layer.gamma.assign(tensors[f"{name}.weight"])
    layer.beta.assign(tensors[f"{name}.bias"])


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise InvalidInput(f"Expected a folder with config.json, {_WEIGHTS} and vocab.txt; {folder} is none.")
    missing = [name for name in ("config.json", _WEIGHTS, "vocab.txt") if not (folder / name).is_file()]
    if not missing:
        return
    found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    advice = "Take the folder of a BERT model as Hugging Face lays it out."
    if _WEIGHTS in missing and (folder / "pytorch_model.bin").is_file():
        advice = (
            "pytorch_model.bin is a pickle, which can run code and is never read. Convert it once, where you trust it:"
            " AutoModel.from_pretrained(FOLDER).save_pretrained(OUT, safe_serialization=True)."
        )
    elif _WEIGHTS in missing and (folder / f"{_WEIGHTS}.index.json").is_file():
        advice = "The weights are in several files: save the model as one."
    elif missing == ["vocab.txt"]:
        advice = "Only WordPiece vocabularies in a vocab.txt are read."
    raise InvalidInput(f"{folder} has no {' and no '.join(missing)}; it holds {found}. {advice}")


def _read_tensors(path: Path) -> Tensors:
    """Every floating-point tensor as float32, under the name it has in a bare BertModel."""
    from safetensors import SafetensorError, safe_open

    tensors = {}
    try:
        with safe_open(str(path), framework="np") as file:
            for name in file.keys():  # noqa: SIM118  not a dict
                if name.endswith("position_ids"):  # a counter that some versions saved
                    continue
                plain = name.removeprefix("bert.").replace("LayerNorm.gamma", "LayerNorm.weight")
                plain = plain.replace("LayerNorm.beta", "LayerNorm.bias")
                tensors[plain] = np.asarray(file.get_tensor(name), np.float32)
    except (SafetensorError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is not a safetensors file that can be read: {error}. Fetch it again.") from None
    return tensors


def _select(tensors: Tensors, shapes: Mapping[str, tuple[int, ...]], path: Path) -> Tensors:
    missing = [name for name in shapes if name not in tensors]
    if missing:
        raise InvalidInput(
            f"{path} lacks {len(missing)} of {len(shapes)} tensors that its config.json asks for: {_some(missing)}. "
            "Is it a BERT encoder, and are both files of the same model?"
        )
    wrong = [
        f"{name} is {tensors[name].shape}, expected {shape}"
        for name, shape in shapes.items()
        if tensors[name].shape != shape
    ]
    if wrong:
        raise InvalidInput(f"{path} does not fit its config.json: {_some(wrong, '; ')}. Take both of the same model.")
    return {name: tensors[name] for name in shapes}


def _some(names: list[str], separator: str = ", ") -> str:
    more = len(names) - _SHOWN
    return separator.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _config(folder: Path, pooling: str, has_pooler: bool) -> BertConfig:
    path = folder / "config.json"
    read = read_json(path)
    if not isinstance(read, dict) or read.get("model_type", "bert") != "bert":
        kind = read.get("model_type") if isinstance(read, dict) else type(read).__name__
        raise InvalidInput(f"{path}: expected model_type 'bert'; received {kind!r}. Only BERT checkpoints are read.")
    if read.get("position_embedding_type", "absolute") != "absolute":
        raise InvalidInput(f"{path}: only absolute positions work; received {read['position_embedding_type']!r}.")
    kind, normalise = _pooling(folder, pooling, has_pooler)
    try:
        config = BertConfig(
            vocab_size=int(read["vocab_size"]),
            width=int(read["hidden_size"]),
            layers=int(read["num_hidden_layers"]),
            heads=int(read["num_attention_heads"]),
            inner_width=int(read["intermediate_size"]),
            max_positions=int(read.get("max_position_embeddings", 512)),
            types=int(read.get("type_vocab_size", 2)),
            activation=str(read.get("hidden_act", "gelu")).replace("gelu_pytorch_tanh", "gelu_new"),
            dropout=float(read.get("hidden_dropout_prob", 0.1)),
            attention_dropout=float(read.get("attention_probs_dropout_prob", 0.1)),
            epsilon=float(read.get("layer_norm_eps", 1e-12)),
            pooling=kind,  # type: ignore[arg-type]
            normalise=normalise,
        )
    except KeyError as error:
        raise InvalidInput(
            f"{path} has no {error.args[0]!r}. Take the config.json that came with the weights."
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds a value that is not a number: {error}.") from None
    if config.activation not in ACTIVATIONS:
        raise InvalidInput(f"{path}: expected hidden_act {' or '.join(ACTIVATIONS)}; received {config.activation!r}.")
    if min(config.vocab_size, config.width, config.layers, config.inner_width, config.heads) < 1:
        raise InvalidInput(f"{path}: every size has to be at least 1. Take the config.json that came with the weights.")
    if config.width % config.heads:
        raise InvalidInput(f"{path}: hidden_size {config.width} does not split into {config.heads} attention heads.")
    return config


def _pooling(folder: Path, asked: str, has_pooler: bool) -> tuple[str, bool]:
    """The kind of pooling, and whether sentence-transformers' modules normalise after it."""
    if asked not in ("auto", "mean", "cls"):
        raise InvalidInput(f"Expected pooling auto, mean or cls; received {asked!r}.")
    path = folder / "modules.json"
    modules = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in read_json(path)] if path.is_file() else []
    extra = [module for module in modules if module not in ("Transformer", "Pooling", "Normalize")]
    if extra:
        raise InvalidInput(f"{path} asks for {', '.join(extra)} after the pooling, which is not supported.")
    normalise = "Normalize" in modules
    described = folder / "1_Pooling" / "config.json"
    if not described.is_file():
        first = "pooler" if has_pooler else "cls"
        return {"mean": "mean", "cls": first, "auto": first if has_pooler else "mean"}[asked], normalise
    if asked != "auto":
        return asked, normalise
    modes = [name for name, on in read_json(described).items() if name.startswith("pooling_mode_") and on]
    known = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    if len(modes) != 1 or modes[0] not in known:
        raise InvalidInput(f"{described} asks for {modes}; only the mean or the first token work. Choose --pooling.")
    return known[modes[0]], normalise


def _lower_case(folder: Path) -> bool:
    path = folder / "tokenizer_config.json"
    read = read_json(path) if path.is_file() else {}
    lower = bool(read.get("do_lower_case", True))
    accents = read.get("strip_accents")
    if accents is not None and bool(accents) != lower:
        raise InvalidInput(f"{path}: strip_accents has to equal do_lower_case ({lower}) or be null; it is {accents}.")
    return lower


def _check_vocabulary(pieces: int, rows: int, folder: Path) -> None:
    """The embedding may have spare rows only where it was padded to a round number for speed."""
    if pieces == rows or any(-(-pieces // step) * step == rows for step in (8, 16, 32, 64, 128)):
        return
    raise InvalidInput(
        f"{folder}: vocab.txt has {pieces} word pieces and the embedding {rows} rows. Take both of the same model."
    )
