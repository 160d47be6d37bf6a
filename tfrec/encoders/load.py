"""`load_encoder`: loads a preset, an encoder folder or a pair of TF-Hub handles."""

from __future__ import annotations

from pathlib import Path

from tfrec.encoders.checkpoints.import_encoder import import_encoder
from tfrec.encoders.folder_layout import ABOUT
from tfrec.encoders.hub_handles import PAIR_SIGN
from tfrec.encoders.presets import PRESETS
from tfrec.encoders.text_encoder import TextEncoder, load_folder, load_pair
from tfrec.errors import InvalidInput
from tfrec.files import cache_dir, folder_lock

# Versions of converted presets in the cache, by the kind of tokens; increase one when a checkpoint would be written
# differently.
_LAYOUTS = {"exact": 4, "tf-text": 3}


def load_encoder(
    name_or_folder_or_handle: str | Path,
    *,
    trainable: bool = False,
    precision: str = "float32",
    tokens: str = "exact",
) -> TextEncoder:
    """Loads an encoder.

    Args:
        name_or_folder_or_handle: A preset ("minilm-l6", which is downloaded, converted and cached on first use), a
            folder written by `import_encoder`, or "PREPROCESSOR|ENCODER", two handles for `hub.KerasLayer`.
        trainable: Whether the weights can be trained.
        precision: Precision of `encode`: "float32", "bfloat16" or "int8" (see `TextEncoder`).
        tokens: For a preset: "exact", the tokens of Hugging Face's tokeniser, or "tf-text", those that presets had
            before. Folders and handles have their own.

    Returns:
        The encoder.

    Raises:
        InvalidInput: There is no such encoder, or its files are invalid.
        Unavailable: A download is needed but not possible.
    """
    name = str(name_or_folder_or_handle)
    if name in PRESETS:
        folder = _preset_folder(name, tokens)
        return load_folder(
            folder, trainable, precision, cure=f"Delete {folder}: it is the cached {name}, made anew then."
        )
    if PAIR_SIGN in name:
        return load_pair(name, trainable, precision)
    folder = Path(name)
    if (folder / ABOUT).is_file():
        return load_folder(folder, trainable, precision)
    if (folder / "model.safetensors").is_file():
        raise InvalidInput(f"{name} is a checkpoint. Import it first: tfrec encoder import {name} --out DIR")
    if "://" in name:
        raise InvalidInput(f"Expected two handles, PREPROCESSOR{PAIR_SIGN}ENCODER; received one, {name!r}. Pass both.")
    reason = f"has no {ABOUT}" if folder.is_dir() else "does not exist"
    raise InvalidInput(
        f"Expected a preset ({', '.join(PRESETS)}), an encoder folder or PREPROCESSOR{PAIR_SIGN}ENCODER; "
        f"{name!r} {reason}. Make a folder with `tfrec encoder import`."
    )


def _preset_folder(name: str, tokens: str) -> Path:
    if tokens not in _LAYOUTS:
        raise InvalidInput(f"Expected encoder.tokens {' or '.join(_LAYOUTS)}; received {tokens!r}.")
    folder = cache_dir() / "encoders" / f"{name}-{_LAYOUTS[tokens]}"
    if not (folder / ABOUT).is_file():
        with folder_lock(folder.parent):
            if not (folder / ABOUT).is_file():  # otherwise another process wrote it while this one waited
                import_encoder(name, folder, tokens=tokens, force=True)
    return folder
