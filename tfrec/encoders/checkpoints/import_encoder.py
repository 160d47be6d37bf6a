"""`import_encoder`: converts a preset, a Hugging Face folder or a TF-Hub pair to an encoder folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.encoders.checkpoints.save_encoder import save_encoder
from tfrec.encoders.folder_layout import ABOUT, ENCODER, ENCODER_OUTPUT, PREPROCESSOR
from tfrec.encoders.hub_handles import PAIR_SIGN, resolve_handle
from tfrec.encoders.presets import PRESETS, checkpoint_folder
from tfrec.encoders.text_encoder import load_pair
from tfrec.errors import InvalidInput
from tfrec.files import atomic_folder, check_output_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.progress import say


def import_encoder(
    source: str | Path, out: str | Path, *, pooling: str = "auto", tokens: str = "exact", force: bool = False
) -> Path:
    """Converts an encoder and writes it as an encoder folder.

    The folder contains `preprocessor/` and `encoder/` (TF2 SavedModels for `hub.KerasLayer`) and `tfrec_encoder.json`
    (dim, max_seq_length, pooling, normalised, backbone, sha256, source).

    Args:
        source: A preset ("minilm-l6", or of the hub, NAME@COMMIT), a Hugging Face folder that `read_checkpoint` takes
            (config.json, model.safetensors and the tokeniser), or "PREPROCESSOR|ENCODER", two handles of TF-Hub
            SavedModels, which are copied.
        out: Folder to write, atomically.
        pooling: "auto", "mean", "cls" or "last"; `read_checkpoint` describes how auto chooses. It must be "auto" for a
            pair of handles.
        tokens: "exact" for the tokens of Hugging Face's tokenisers, or "tf-text" for those that BERT encoders had
            before; see `read_checkpoint`.
        force: Whether to replace an existing `out`.

    Returns:
        `out`.

    Raises:
        InvalidInput: `out` exists, or the source is invalid.
        Unavailable: A download is needed but not possible.
    """
    out, name = Path(out), str(source)
    check_output_folder(out, ENCODER_OUTPUT, force)
    if PAIR_SIGN in name:
        return _copy_pair(name, out, pooling, force)
    folder = checkpoint_folder(name)
    if (folder / ABOUT).is_file():
        raise InvalidInput(f"{folder} is an encoder folder already. Use it directly, or copy it.")
    if not folder.is_dir():
        raise InvalidInput(
            f"Expected a preset ({', '.join(PRESETS)}), a Hugging Face folder or PREPROCESSOR{PAIR_SIGN}ENCODER; "
            f"{name!r} is none of them. Check the name."
        )
    checkpoint = read_checkpoint(folder, pooling, tokens)
    config = checkpoint.config
    say(f"Converting {name}: {config.layers} layers of width {config.width}")
    model, digest = checkpoint.model(), checkpoint.sha256
    about: dict[str, Any] = {"source": _last_parts(name), "sha256": digest, "prompts": checkpoint.prompts}
    save_encoder(out, config, checkpoint.vocabulary, model, **about, force=force)
    return out


def _copy_pair(handles: str, out: Path, pooling: str, force: bool) -> Path:
    if pooling != "auto":
        raise InvalidInput(f"The pooling of a TF-Hub encoder cannot be changed; received pooling {pooling!r}. Omit it.")
    pair = load_pair(handles)
    with atomic_folder(out, ENCODER_OUTPUT, force) as work:
        for handle, name in zip(handles.split(PAIR_SIGN), (PREPROCESSOR, ENCODER)):
            shutil.copytree(resolve_handle(handle), work / name)
        about = {"dim": pair.dim, "max_seq_length": pair.max_seq_length, "pooling": "hub", "normalised": None}
        origin = {"sha256": pair.hash, "source": _last_parts(handles)}
        write_json(work / ABOUT, {**about, **origin, FILES: checksums(work)})
    return out


def _last_parts(source: str) -> str:
    """The last part of each path: full paths would reveal the layout of somebody's disk."""
    return PAIR_SIGN.join(Path(part).name for part in source.split(PAIR_SIGN))
