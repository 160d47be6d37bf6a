"""The files of sentence-transformers beside a checkpoint: pooling, dense modules, normalisation and prompts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.encoders.checkpoints.safetensors_file import Tensors, read_tensors, select_tensors
from tfrec.encoders.transformers.config import BackboneConfig
from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.keras import keras

POOLINGS = ("auto", "mean", "cls", "last")
_MODES = {
    "mean": "mean",
    "cls": "cls",
    "lasttoken": "last",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_cls_token": "cls",
    "pooling_mode_lasttoken": "last",
}
_ACTIVATIONS = {"Tanh": "tanh", "Identity": "linear", "ReLU": "relu"}
_KNOWN = ("Transformer", "StaticEmbedding", "Pooling", "Dense", "Normalize")
# Names that model cards use for the prompts of queries and of documents.
_QUERY, _ITEM = ("query", "search_query"), ("document", "passage", "search_document")


@dataclass(frozen=True)
class Modules:
    """What follows the transformer.

    Args:
        pooling: "mean", "cls", "last" or "pooler".
        normalise: Whether vectors are scaled to unit length.
        dense: Folders of dense modules after the pooling.
        prompts: What is written before texts: "query" and "item", where the folder says so.
    """

    pooling: str
    normalise: bool
    dense: tuple[Path, ...]
    prompts: dict[str, str]


def read_modules(folder: Path, requested: str, default: str) -> Modules:
    """Reads modules.json and the files that it names, of sentence-transformers 2 to 6.

    Args:
        folder: The Hugging Face folder; the files may be missing.
        requested: One of `POOLINGS`.
        default: The pooling of a checkpoint without these files.

    Raises:
        InvalidInput: A module or a pooling that tfrec does not have.
    """
    if requested not in POOLINGS:
        raise InvalidInput(f"Expected pooling auto, mean, cls or last; received {requested!r}.")
    path = folder / "modules.json"
    modules = read_json(path) if path.is_file() else []
    kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules]
    unknown = [kind for kind in kinds if kind not in _KNOWN]
    if unknown:
        raise InvalidInput(f"{path} has {', '.join(unknown)} after the pooling, which is not supported.")
    if "Normalize" in kinds and "Dense" in kinds[kinds.index("Normalize") :]:
        raise InvalidInput(f"{path} has Dense after Normalize, which is not supported.")
    dense = tuple(folder / str(module.get("path", "")) for kind, module in zip(kinds, modules) if kind == "Dense")
    return Modules(_pooling(folder, requested, default), "Normalize" in kinds, dense, _prompts(folder))


def static_embedding(folder: Path) -> Path | None:
    """The place of the files of a StaticEmbedding, a table of token vectors; None for another model."""
    path = folder / "modules.json"
    modules = read_json(path) if path.is_file() else []
    first: dict[str, Any] = modules[0] if modules else {}
    is_static = str(first.get("type", "")).endswith(".StaticEmbedding")
    return folder / str(first.get("path", "")) if is_static else None


def _pooling(folder: Path, requested: str, default: str) -> str:
    file = folder / "1_Pooling" / "config.json"
    if not file.is_file():
        explicit = default if requested == "cls" and default == "pooler" else requested
        return default if requested == "auto" else explicit
    if requested != "auto":
        return requested
    values = read_json(file)
    if values.get("include_prompt", True) is False:
        raise InvalidInput(f"{file} leaves the prompt out of the pooling (include_prompt), which is not supported.")
    modes = values.get("pooling_mode") or [
        name for name, on in values.items() if name.startswith("pooling_mode_") and on
    ]
    modes = [modes] if isinstance(modes, str) else modes
    if len(modes) != 1 or modes[0] not in _MODES:
        raise InvalidInput(
            f"{file} has the modes {modes}; expected one of {', '.join(_MODES)}. Choose one with --pooling."
        )
    return _MODES[modes[0]]


def _prompts(folder: Path) -> dict[str, str]:
    path = folder / "config_sentence_transformers.json"
    values: dict[str, Any] = read_json(path) if path.is_file() else {}
    prompts = values.get("prompts") or {}
    fallback = prompts.get(values.get("default_prompt_name"), "")
    found = {
        kind: next((prompts[name] for name in names if prompts.get(name)), fallback)
        for kind, names in (("query", _QUERY), ("item", _ITEM))
    }
    return {kind: prompt for kind, prompt in found.items() if prompt}


def with_dense(config: BackboneConfig, folders: tuple[Path, ...]) -> tuple[BackboneConfig, dict[str, np.ndarray]]:
    """Reads the dense modules after the pooling.

    Args:
        config: Shape of the encoder without them.
        folders: Of `Modules`.

    Returns:
        The config with them; and "dense.N.weight" `[out, in]` and, if it has one, "dense.N.bias" `[out]` of each.

    Raises:
        InvalidInput: A file is missing or does not fit, or the activation is not supported.
    """
    options: list[tuple[int, str, bool]] = []
    found: dict[str, np.ndarray] = {}
    width = config.width
    for place, folder in enumerate(folders):
        values = read_json(folder / "config.json")
        name = str(values.get("activation_function", "Identity")).rsplit(".", 1)[-1]
        if name not in _ACTIVATIONS:
            raise InvalidInput(
                f"{folder / 'config.json'}: expected activation_function {', '.join(_ACTIVATIONS)}; received {name!r}."
            )
        if not (folder / "model.safetensors").is_file():
            raise InvalidInput(f"{folder} has no model.safetensors. Save the model as safetensors.")
        size, bias = int(values["out_features"]), bool(values.get("bias", True))
        shapes = {f"dense.{place}.weight": (size, width)} | ({f"dense.{place}.bias": (size,)} if bias else {})
        tensors = read_tensors(folder / "model.safetensors", partial(_rename, place=place))
        found |= select_tensors(tensors, shapes, (), folder / "model.safetensors")
        options.append((size, _ACTIVATIONS[name], bias))
        width = size
    return replace(config, dense=tuple(options)), found


def _rename(name: str, place: int) -> str:
    return name.replace("linear", f"dense.{place}", 1)


def load_dense(model: keras.Model, tensors: Tensors) -> None:
    """Loads the tensors of `with_dense` into a model made by `build_backbone` with its config."""
    for place, layer in enumerate(model.get_layer("pooling").after):
        layer.kernel.assign(tensors[f"dense.{place}.weight"].T)
        if layer.use_bias:
            layer.bias.assign(tensors[f"dense.{place}.bias"])
