"""Reads and validates Hugging Face folders of BERT and its kin, ModernBERT, nomic, GPT-2 and Model2Vec."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints import huggingface_bert as hf_bert
from tfrec.encoders.checkpoints import huggingface_gpt as hf_gpt
from tfrec.encoders.checkpoints import huggingface_modernbert as hf_modernbert
from tfrec.encoders.checkpoints import huggingface_nomic as hf_nomic
from tfrec.encoders.checkpoints import model2vec
from tfrec.encoders.checkpoints.safetensors_file import Tensors, read_tensors, select_tensors
from tfrec.encoders.checkpoints.sentence_transformers import (
    Modules,
    load_dense,
    read_modules,
    static_embedding,
    with_dense,
)
from tfrec.encoders.tokenization.byte_pair_rules import BytePairRules
from tfrec.encoders.tokenization.tokenizer_json import FILE as TOKENIZER_FILE
from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json
from tfrec.encoders.tokenization.vocabulary import (
    BytePairs,
    UnigramPieces,
    Vocabulary,
    WordPieces,
    read_byte_pairs,
    read_word_pieces,
)
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras

_WEIGHTS = "model.safetensors"

TOKENS = ("exact", "tf-text")
"""Whose tokens a WordPiece encoder gets; `read_checkpoint` explains them."""

# Model type to a function that makes the config.
_MAKERS: dict[str, Callable[[dict[str, Any], str, bool], BackboneConfig]] = {
    "bert": hf_bert.config,
    "distilbert": hf_bert.distil_config,
    "xlm-roberta": hf_bert.xlm_roberta_config,
    "roberta": hf_bert.xlm_roberta_config,
    "mpnet": hf_bert.mpnet_config,
    "gpt2": hf_gpt.config,
    "modernbert": hf_modernbert.config,
    "nomic_bert": hf_nomic.config,
}
# Family to its module of names, where that is not BERT's.
_NAMES: dict[str, ModuleType] = {
    "gpt": hf_gpt,
    "modernbert": hf_modernbert,
    "nomic": hf_nomic,
    "static": model2vec,
}
_OWN_NAMES = {"gpt2": hf_gpt, "modernbert": hf_modernbert, "nomic_bert": hf_nomic}
_OFFSET_POSITIONS = ("xlm-roberta", "roberta", "mpnet")
_BYTE_PAIRS = ("gpt2", "roberta")  # in older folders vocab.json and merges.txt
_SPARE_ROWS = 64  # multilingual BERTs with XLM-R's tokens have 35 rows that no piece uses


@dataclass(frozen=True)
class Checkpoint:
    """The validated content of a Hugging Face folder.

    Args:
        config: Shape and pooling of the encoder.
        tensors: Name (as in the bare model) to float32 array; exactly the tensors that `config` needs.
        vocabulary: Vocabulary of the tokeniser.
        prompts: What is written before texts ("query", "item"), as the folder recommends.
    """

    config: BackboneConfig
    tensors: Tensors
    vocabulary: Vocabulary
    prompts: dict[str, str] = field(default_factory=dict)

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
    """Reads and validates a Hugging Face folder of an encoder.

    The models are BERT, DistilBERT, RoBERTa, XLM-R, MPNet, ModernBERT, nomic-embed-text v1.5, GPT-2, Model2Vec and
    sentence-transformers' StaticEmbedding.

    Args:
        folder: Folder with config.json, model.safetensors, and tokenizer.json, or as older folders vocab.txt (BERT) or
            vocab.json and merges.txt (GPT-2). If present, tokenizer_config.json (case) and modules.json with
            the files it names (pooling, dense modules, normalisation and prompts of sentence-transformers) too.
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
    static = None if (folder / "config.json").is_file() else static_embedding(folder)
    if static is not None:
        return _read_static(static, tokens, read_modules(folder, pooling, "mean"), drop_unknown=False)
    _require(folder, "config.json", _WEIGHTS)
    values = read_json(folder / "config.json")
    usual = "model2vec" if model2vec.is_table(folder / _WEIGHTS) else "bert"
    kind = values.get("model_type", usual) if isinstance(values, dict) else type(values).__name__
    if kind == "model2vec":
        return _read_static(folder, tokens, Modules("mean", bool(values.get("normalize", True)), (), {}), True)
    if kind not in _MAKERS:
        raise InvalidInput(
            f"{folder / 'config.json'}: expected model_type {', '.join(_MAKERS)} or model2vec; received {kind!r}. "
            "Use another encoder."
        )
    names = _OWN_NAMES.get(kind, hf_bert)
    _require(folder, *_needed_tokeniser(folder, kind))
    tensors = read_tensors(folder / _WEIGHTS, names.rename)
    if kind in _OFFSET_POSITIONS:
        tensors = hf_bert.without_unused(tensors, values)
    default = "last" if kind == "gpt2" else "pooler" if "pooler.dense.weight" in tensors else "mean"
    modules = read_modules(folder, pooling, default)
    config = _config(folder, values, kind, modules)
    tensors = select_tensors(tensors, names.expected_shapes(config), names.HEADS, folder / _WEIGHTS)
    config, dense = with_dense(config, modules.dense)
    vocabulary = _vocabulary(folder, tokens, kind)
    spare = _SPARE_ROWS if isinstance(vocabulary, UnigramPieces) else 0
    _check_vocabulary(len(vocabulary), config.vocab_size, folder, spare)
    return Checkpoint(config, {**tensors, **dense}, vocabulary, modules.prompts)


def _read_static(folder: Path, tokens: str, modules: Modules, drop_unknown: bool) -> Checkpoint:
    _require(folder, TOKENIZER_FILE, _WEIGHTS)
    tensors = model2vec.token_table(read_tensors(folder / _WEIGHTS, model2vec.rename))
    config: BackboneConfig = model2vec.config(tensors, modules.normalise)
    tensors = select_tensors(tensors, model2vec.expected_shapes(config), model2vec.HEADS, folder / _WEIGHTS)
    vocabulary = model2vec.without_frame(_vocabulary(folder, tokens), drop_unknown)
    _check_vocabulary(len(vocabulary), config.vocab_size, folder)
    config, dense = with_dense(config, modules.dense)
    return Checkpoint(config, {**tensors, **dense}, vocabulary, modules.prompts)


def _vocabulary(folder: Path, tokens: str, kind: str = "bert") -> Vocabulary:
    if tokens not in TOKENS:
        raise InvalidInput(f"Expected tokens {' or '.join(TOKENS)}; received {tokens!r}.")
    exact = _exact_vocabulary(folder, kind)
    if tokens == "exact":
        return exact
    if not isinstance(exact, WordPieces):
        raise InvalidInput(f"Only WordPiece encoders have the tokens of tf-text; {folder} has others. Use exact.")
    return replace(exact, rules=None)


def _exact_vocabulary(folder: Path, kind: str) -> Vocabulary:
    if not (folder / TOKENIZER_FILE).is_file():
        return _older_vocabulary(folder, kind)
    vocabulary = read_tokenizer_json(folder)
    if kind != "gpt2" or not isinstance(vocabulary, BytePairs) or vocabulary.rules is None:
        return vocabulary
    usual = BytePairRules.gpt(vocabulary.vocabulary)
    rules = replace(vocabulary.rules, frame=usual.frame)  # GPT-2's tokeniser puts nothing after a text
    return replace(vocabulary, rules=None if rules == usual else rules)


def _older_vocabulary(folder: Path, kind: str) -> Vocabulary:
    if kind not in _BYTE_PAIRS:
        return read_word_pieces(folder)
    vocabulary = read_byte_pairs(folder)
    return vocabulary if kind == "gpt2" else replace(vocabulary, rules=BytePairRules.roberta(vocabulary.vocabulary))


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
    load_dense(model, tensors)


def _names(config: BackboneConfig) -> ModuleType:
    return _NAMES.get(config.family, hf_bert)


def _needed_tokeniser(folder: Path, kind: str) -> list[str]:
    """The file that the tokeniser of a model type is read from, where it may be missing."""
    if kind in _BYTE_PAIRS or (folder / TOKENIZER_FILE).is_file():
        return []
    return [TOKENIZER_FILE if kind == "modernbert" else "vocab.txt"]


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
    elif missing in (["vocab.txt"], [TOKENIZER_FILE]):
        advice = "Save the tokeniser beside the model: tokenizer.save_pretrained(FOLDER)."
    raise InvalidInput(f"{folder} has no {' and no '.join(missing)}; found {present}. {advice}")


def _config(folder: Path, values: dict[str, Any], kind: str, modules: Modules) -> BackboneConfig:
    path = folder / "config.json"
    if values.get("position_embedding_type", "absolute") != "absolute":
        raise InvalidInput(f"{path}: expected absolute positions; received {values['position_embedding_type']!r}.")
    if kind == "distilbert" and values.get("sinusoidal_pos_embds"):
        raise InvalidInput(f"{path}: expected learned positions; sinusoidal_pos_embds is set.")
    make = _MAKERS[kind]
    try:
        config: BackboneConfig = make(values, modules.pooling, modules.normalise)
    except KeyError as error:
        raise InvalidInput(
            f"{path} has no {error.args[0]!r}. Use the config.json that came with the weights."
        ) from None
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{path} contains a value that is not a number: {error}.") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    return config


def _check_vocabulary(pieces: int, rows: int, folder: Path, spare: int = 0) -> None:
    """The embedding may have more rows than the vocabulary only if it was padded to a round number for speed."""
    if pieces <= rows <= pieces + spare or any(-(-pieces // step) * step == rows for step in (8, 16, 32, 64, 128)):
        return
    raise InvalidInput(
        f"{folder}: the vocabulary has {pieces} word pieces, but the embedding has {rows} rows. Use files of one model."
    )
