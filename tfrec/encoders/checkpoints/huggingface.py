"""A Hugging Face folder of BERT, DistilBERT or GPT-2 (config.json, model.safetensors and its vocabulary), checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints import huggingface_bert as hf_bert
from tfrec.encoders.checkpoints import huggingface_gpt as hf_gpt
from tfrec.encoders.checkpoints.safetensors_file import Tensors, read_tensors, select
from tfrec.encoders.tokenization.vocabulary import BytePairs, WordPieces, read_byte_pairs, read_word_pieces
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras

_WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """What a Hugging Face folder holds, checked.

    Args:
        config: The encoder's shape and pooling.
        tensors: Name (as a bare model has it) to float32 array; exactly those that `config` needs.
        vocabulary: How texts become tokens.
    """

    config: BackboneConfig
    tensors: Tensors
    vocabulary: WordPieces | BytePairs

    @property
    def sha256(self) -> str:
        """Of all that decides the vectors: the same however often and wherever the folder is converted."""
        digest = hashlib.sha256()
        about = {**self.config.to_dict(), **self.vocabulary.to_dict()}
        digest.update(json.dumps(about, sort_keys=True).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode() + b"\0")
            digest.update(np.ascontiguousarray(self.tensors[name], "<f4").tobytes())
        return digest.hexdigest()

    def model(self) -> keras.Model:
        """The encoder, with the checkpoint's weights."""
        model = build_backbone(self.config)
        load_weights(model, self.config, self.tensors)
        return model


def read_checkpoint(folder: str | Path, pooling: str = "auto") -> Checkpoint:
    """Reads and checks a Hugging Face folder of BERT, DistilBERT or GPT-2.

    Args:
        folder: With config.json, model.safetensors, and vocab.txt (BERT) or vocab.json and merges.txt (GPT-2); also
            read where present: tokenizer_config.json (case), modules.json and 1_Pooling/config.json
            (sentence-transformers: pooling and normalisation).
        pooling: "auto": what sentence-transformers' files say; without them the checkpoint's pooler, else the mean
            (GPT-2: the last token). "mean"; "last": the last token; or "cls": the first token, through the pooler if
            the checkpoint has one and no such files.

    Raises:
        InvalidInput: A file is missing or broken, the model is none we can run, tensors are missing, without a place
            or of the wrong shape, or the vocabulary does not fit the embedding.
    """
    folder = Path(folder)
    _require(folder, "config.json", _WEIGHTS)
    read = read_json(folder / "config.json")
    kind = read.get("model_type", "bert") if isinstance(read, dict) else type(read).__name__
    if kind not in ("bert", "distilbert", "gpt2"):
        raise InvalidInput(
            f"{folder / 'config.json'}: expected model_type bert, distilbert or gpt2; received {kind!r}."
        )
    names = hf_gpt if kind == "gpt2" else hf_bert
    _require(folder, *([] if kind == "gpt2" else ["vocab.txt"]))
    tensors = read_tensors(folder / _WEIGHTS, names.rename)
    config = _config(folder, read, kind, pooling, "pooler.dense.weight" in tensors)
    tensors = select(tensors, names.expected_shapes(config), names.HEADS, folder / _WEIGHTS)
    vocabulary = read_byte_pairs(folder) if kind == "gpt2" else read_word_pieces(folder)
    _check_vocabulary(len(vocabulary), config.vocab_size, folder)
    return Checkpoint(config, tensors, vocabulary)


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor that a checkpoint of this shape must have."""
    return _names(config).expected_shapes(config)


def load_weights(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Puts a checkpoint's tensors into the model that `build_backbone(config)` made."""
    _names(config).load(model, config, tensors)


def _names(config: BackboneConfig) -> ModuleType:
    return hf_gpt if config.family == "gpt" else hf_bert


def _require(folder: Path, *names: str) -> None:
    if not folder.is_dir():
        raise InvalidInput(f"Expected a folder with config.json, {_WEIGHTS} and a vocabulary; {folder} is none.")
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return
    found = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    advice = "Take the folder of a model as Hugging Face lays it out."
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


def _config(folder: Path, read: dict[str, Any], kind: str, pooling: str, has_pooler: bool) -> BackboneConfig:
    path = folder / "config.json"
    if read.get("position_embedding_type", "absolute") != "absolute":
        raise InvalidInput(f"{path}: only absolute positions work; received {read['position_embedding_type']!r}.")
    if kind == "distilbert" and read.get("sinusoidal_pos_embds"):
        raise InvalidInput(f"{path}: only learned positions work; sinusoidal_pos_embds is set.")
    default = "last" if kind == "gpt2" else "pooler" if has_pooler else "mean"
    pooled, normalise = _pooling(folder, pooling, default)
    make: Any = {"bert": hf_bert.config, "distilbert": hf_bert.distil_config, "gpt2": hf_gpt.config}[kind]
    try:
        config: BackboneConfig = make(read, pooled, normalise)
    except KeyError as error:
        raise InvalidInput(
            f"{path} has no {error.args[0]!r}. Take the config.json that came with the weights."
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} holds a value that is not a number: {error}.") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    return config


def _pooling(folder: Path, asked: str, default: str) -> tuple[str, bool]:
    """The kind of pooling, and whether sentence-transformers' modules normalise after it."""
    if asked not in ("auto", "mean", "cls", "last"):
        raise InvalidInput(f"Expected pooling auto, mean, cls or last; received {asked!r}.")
    path = folder / "modules.json"
    modules = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in read_json(path)] if path.is_file() else []
    extra = [module for module in modules if module not in ("Transformer", "Pooling", "Normalize")]
    if extra:
        raise InvalidInput(f"{path} asks for {', '.join(extra)} after the pooling, which is not supported.")
    normalise = "Normalize" in modules
    described = folder / "1_Pooling" / "config.json"
    if not described.is_file():
        first = default if asked == "cls" and default == "pooler" else asked
        return (default if asked == "auto" else first), normalise
    if asked != "auto":
        return asked, normalise
    modes = [name for name, on in read_json(described).items() if name.startswith("pooling_mode_") and on]
    known = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_lasttoken": "last",
    }
    if len(modes) != 1 or modes[0] not in known:
        raise InvalidInput(f"{described} asks for {modes}; expected one of {', '.join(known)}. Choose --pooling.")
    return known[modes[0]], normalise


def _check_vocabulary(pieces: int, rows: int, folder: Path) -> None:
    """The embedding may have spare rows only where it was padded to a round number for speed."""
    if pieces == rows or any(-(-pieces // step) * step == rows for step in (8, 16, 32, 64, 128)):
        return
    raise InvalidInput(
        f"{folder}: the vocabulary has {pieces} word pieces and the embedding {rows} rows. Take both of the same model."
    )
