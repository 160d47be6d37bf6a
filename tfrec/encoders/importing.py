"""`import_encoder`: a preset, a Hugging Face folder or a TF-Hub pair becomes an encoder folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tfrec.encoders.backbone import describe
from tfrec.encoders.checkpoint import read_checkpoint
from tfrec.encoders.encoder import load_pair
from tfrec.encoders.handles import PAIR_SIGN, resolve
from tfrec.encoders.preprocessor import DEFAULT_LENGTH
from tfrec.encoders.presets import PRESETS
from tfrec.encoders.saving import ABOUT, ENCODER, PREPROCESSOR, save_pair
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, refuse_existing, write_json
from tfrec.progress import say


def import_encoder(source: str | Path, out: str | Path, *, pooling: str = "auto", force: bool = False) -> Path:
    """Writes an encoder folder: `preprocessor/` and `encoder/` (TF2 SavedModels for `hub.KerasLayer`) and
    `tfrec_encoder.json` (dim, max_seq_length, pooling, normalised, backbone, sha256, source).

    Args:
        source: A preset ("minilm-l6"), a Hugging Face folder of BERT, DistilBERT or GPT-2 (config.json,
            model.safetensors and the vocabulary), or "PREPROCESSOR|ENCODER", two handles of TF-Hub SavedModels, which
            are copied.
        out: The folder to write, whole or not at all.
        pooling: "auto", "mean", "cls" or "last" (`read_checkpoint` says how auto chooses). Not for pairs of handles.
        force: Replace `out`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists, or the source is not what it has to be.
        Unavailable: A download is needed and cannot be had.
    """
    out, name = Path(out), str(source)
    refuse_existing(out, force)
    if PAIR_SIGN in name:
        return _copy_pair(name, out, pooling, force)
    folder = PRESETS[name]() if name in PRESETS else Path(name)
    if (folder / ABOUT).is_file():
        raise InvalidInput(f"{folder} is an encoder folder already. Use it as it is, or copy it.")
    if not folder.is_dir():
        raise InvalidInput(
            f"Expected a preset ({', '.join(PRESETS)}), a Hugging Face folder or PREPROCESSOR{PAIR_SIGN}ENCODER; "
            f"{name!r} is none of them. Check the name."
        )
    checkpoint = read_checkpoint(folder, pooling)
    config = checkpoint.config
    preprocessor = checkpoint.vocabulary.preprocessor(min(DEFAULT_LENGTH, config.max_positions))
    say(f"Converting {name}: {config.layers} layers of width {config.width}")
    model = checkpoint.model()
    with atomic_folder(out, force) as work:
        save_pair(preprocessor, model, work)
        about: dict[str, Any] = {"dim": config.width, "max_seq_length": config.max_positions}
        about |= {
            "pooling": config.pooling,
            "normalised": config.normalise,
            "backbone": describe(config),
            "sha256": checkpoint.sha256,
        }
        _describe(work, about, name)
    return out


def _copy_pair(handles: str, out: Path, pooling: str, force: bool) -> Path:
    if pooling != "auto":
        raise InvalidInput(
            f"The pooling of a TF-Hub encoder is part of it; received pooling {pooling!r}. Leave it out."
        )
    pair = load_pair(handles)
    with atomic_folder(out, force) as work:
        for handle, name in zip(handles.split(PAIR_SIGN), (PREPROCESSOR, ENCODER)):
            shutil.copytree(resolve(handle), work / name)
        about = {"dim": pair.dim, "max_seq_length": pair.max_seq_length, "pooling": "hub", "normalised": None}
        _describe(work, {**about, "sha256": pair.hash}, handles)
    return out


def _describe(work: Path, about: dict[str, Any], source: str) -> None:
    # A path would say where somebody's files lay; its last part says which.
    write_json(work / ABOUT, {**about, "source": "|".join(Path(part).name for part in source.split(PAIR_SIGN))})
