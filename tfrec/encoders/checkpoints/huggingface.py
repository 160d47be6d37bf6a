"""Reads and validates Hugging Face folders of BERT, DistilBERT and GPT-2."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints import huggingface_bert as hf_bert
from tfrec.encoders.checkpoints import huggingface_gpt as hf_gpt
from tfrec.encoders.checkpoints.safetensors_file import Tensors, read_tensors, select_tensors
from tfrec.encoders.tokenization.tokenizer_json import FILE as TOKENIZER_FILE
from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json
from tfrec.encoders.tokenization.vocabulary import BytePairs, WordPieces, read_byte_pairs, read_word_pieces
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras

_WEIGHTS = "model.safetensors"

TOKENS = ("exact", "tf-text")
"""Whose tokens a WordPiece encoder gets; `read_checkpoint` explains them."""


@dataclass(frozen=True)
class Checkpoint:
    """The validated content of a Hugging Face folder.

    Args:
        config: Shape and pooling of the encoder.
        tensors: Name (as in the bare model) to float32 array; exactly the tensors that `config` needs.
        vocabulary: Vocabulary of the tokeniser.
    """

    config: BackboneConfig
    tensors: Tensors
    vocabulary: WordPieces | BytePairs

    @property
    def sha256(self) -> str:
        """Hash of everything that determines the vectors; it does not change when the folder is converted again."""
        digest = hashlib.sha256()
        about = {**self.config.to_dict(), **self.vocabulary.to_dict()}
        digest.update(json.dumps(about, sort_keys=True).encode())
        for name in sorted(self.tensors):
            digest.update(name.encode() + b"\0")
            digest.update(np.ascontiguousarray(self.tensors[name], "<f4").tobytes())
        return digest.hexdigest()

    def model(self) -> keras.Model:
        """Builds the encoder with the weights of the checkpoint."""
        model = build_backbone(self.config)
        load_weights(model, self.config, self.tensors)
        return model


def read_checkpoint(folder: str | Path, pooling: str = "auto", tokens: str = "exact") -> Checkpoint:
    """Reads and validates a Hugging Face folder of BERT, DistilBERT or GPT-2.

    Args:
        folder: Folder with config.json, model.safetensors, and tokenizer.json, or as older folders vocab.txt (BERT) or
            vocab.json and merges.txt (GPT-2). If present, tokenizer_config.json (case) and modules.json and
            1_Pooling/config.json (pooling and normalisation of sentence-transformers) are read too.
        pooling: "mean"; "last" (the last token); "cls" (the first token, through the pooler if the checkpoint has one
            and no sentence-transformers files); or "auto": the pooling of the sentence-transformers files, without them
            the pooler of the checkpoint, otherwise the mean (for GPT-2 the last token).
        tokens: "exact" gives the tokens of Hugging Face's tokenisers; "tf-text" those of tf-text's BERT tokeniser, as
            encoders had before exact tokens.

    Raises:
        InvalidInput: A file is missing or invalid, the model is not supported, tensors are missing, superfluous or of
            the wrong shape, or the vocabulary does not match the embedding.
    """
    folder = Path(folder)
    _require(folder, "config.json", _WEIGHTS)
    values = read_json(folder / "config.json")
    kind = values.get("model_type", "bert") if isinstance(values, dict) else type(values).__name__
    if kind not in ("bert", "distilbert", "gpt2"):
        raise InvalidInput(
            f"{folder / 'config.json'}: expected model_type bert, distilbert or gpt2; received {kind!r}."
        )
    names = hf_gpt if kind == "gpt2" else hf_bert
    _require(folder, *([] if kind == "gpt2" or (folder / TOKENIZER_FILE).is_file() else ["vocab.txt"]))
    tensors = read_tensors(folder / _WEIGHTS, names.rename)
    config = _config(folder, values, kind, pooling, "pooler.dense.weight" in tensors)
    tensors = select_tensors(tensors, names.expected_shapes(config), names.HEADS, folder / _WEIGHTS)
    vocabulary = read_byte_pairs(folder) if kind == "gpt2" else _word_pieces(folder, tokens)
    _check_vocabulary(len(vocabulary), config.vocab_size, folder)
    return Checkpoint(config, tensors, vocabulary)


def _word_pieces(folder: Path, tokens: str) -> WordPieces:
    if tokens not in TOKENS:
        raise InvalidInput(f"Expected tokens {' or '.join(TOKENS)}; received {tokens!r}.")
    exact = read_tokenizer_json(folder) if (folder / TOKENIZER_FILE).is_file() else read_word_pieces(folder)
    return exact if tokens == "exact" else replace(exact, rules=None)


def expected_shapes(config: BackboneConfig) -> dict[str, tuple[int, ...]]:
    """Name to shape of every tensor in a checkpoint with this config."""
    return _names(config).expected_shapes(config)


def load_weights(model: keras.Model, config: BackboneConfig, tensors: Tensors) -> None:
    """Loads a checkpoint's tensors into a model made by `build_backbone(config)`.

    Args:
        model: The model.
        config: Shape of the encoder.
        tensors: Name to array, as in `Checkpoint`.
    """
    _names(config).load(model, config, tensors)


def _names(config: BackboneConfig) -> ModuleType:
    return hf_gpt if config.family == "gpt" else hf_bert


def _require(folder: Path, *names: str) -> None:
    if not folder.is_dir():
        raise InvalidInput(
            f"Expected a folder with config.json, {_WEIGHTS} and a vocabulary; {folder} is not a folder."
        )
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return
    present = ", ".join(sorted(path.name for path in folder.iterdir())) or "nothing"
    advice = "Pass the complete folder of a model from Hugging Face."
    if _WEIGHTS in missing and (folder / "pytorch_model.bin").is_file():
        advice = (
            "pytorch_model.bin is a pickle, which can run code, so it is never read. If you trust it, convert it once:"
            " AutoModel.from_pretrained(FOLDER).save_pretrained(OUT, safe_serialization=True)."
        )
    elif _WEIGHTS in missing and (folder / f"{_WEIGHTS}.index.json").is_file():
        advice = "The weights are in several files: save the model as one file."
    elif missing == ["vocab.txt"]:
        advice = "Save the tokeniser beside the model: tokenizer.save_pretrained(FOLDER)."
    raise InvalidInput(f"{folder} has no {' and no '.join(missing)}; found {present}. {advice}")


def _config(folder: Path, values: dict[str, Any], kind: str, pooling: str, has_pooler: bool) -> BackboneConfig:
    path = folder / "config.json"
    if values.get("position_embedding_type", "absolute") != "absolute":
        raise InvalidInput(f"{path}: expected absolute positions; received {values['position_embedding_type']!r}.")
    if kind == "distilbert" and values.get("sinusoidal_pos_embds"):
        raise InvalidInput(f"{path}: expected learned positions; sinusoidal_pos_embds is set.")
    default = "last" if kind == "gpt2" else "pooler" if has_pooler else "mean"
    pooled, normalise = _pooling(folder, pooling, default)
    make: Any = {"bert": hf_bert.config, "distilbert": hf_bert.distil_config, "gpt2": hf_gpt.config}[kind]
    try:
        config: BackboneConfig = make(values, pooled, normalise)
    except KeyError as error:
        raise InvalidInput(
            f"{path} has no {error.args[0]!r}. Use the config.json that came with the weights."
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} contains a value that is not a number: {error}.") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    return config


def _pooling(folder: Path, requested: str, default: str) -> tuple[str, bool]:
    """The pooling, and whether the sentence-transformers modules normalise the result."""
    if requested not in ("auto", "mean", "cls", "last"):
        raise InvalidInput(f"Expected pooling auto, mean, cls or last; received {requested!r}.")
    path = folder / "modules.json"
    modules = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in read_json(path)] if path.is_file() else []
    extra = [module for module in modules if module not in ("Transformer", "Pooling", "Normalize")]
    if extra:
        raise InvalidInput(f"{path} has {', '.join(extra)} after the pooling, which is not supported.")
    normalise = "Normalize" in modules
    pooling_file = folder / "1_Pooling" / "config.json"
    if not pooling_file.is_file():
        explicit = default if requested == "cls" and default == "pooler" else requested
        return (default if requested == "auto" else explicit), normalise
    if requested != "auto":
        return requested, normalise
    modes = [name for name, on in read_json(pooling_file).items() if name.startswith("pooling_mode_") and on]
    known = {
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_cls_token": "cls",
        "pooling_mode_lasttoken": "last",
    }
    if len(modes) != 1 or modes[0] not in known:
        raise InvalidInput(
            f"{pooling_file} has the modes {modes}; expected one of {', '.join(known)}. Choose one with --pooling."
        )
    return known[modes[0]], normalise


def _check_vocabulary(pieces: int, rows: int, folder: Path) -> None:
    """The embedding may have more rows than the vocabulary only if it was padded to a round number for speed."""
    if pieces == rows or any(-(-pieces // step) * step == rows for step in (8, 16, 32, 64, 128)):
        return
    raise InvalidInput(
        f"{folder}: the vocabulary has {pieces} word pieces, but the embedding has {rows} rows. Use files of one model."
    )
