"""`load_encoder`: loads a preset, an encoder folder or a pair of TF-Hub handles."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from tfrec.config.encoder import EncoderConfig
from tfrec.encoders.checkpoints.import_encoder import import_encoder
from tfrec.encoders.checkpoints.save_fine_tuned import save_tuned, trainable_model
from tfrec.encoders.folder_layout import ABOUT
from tfrec.encoders.hub_handles import PAIR_SIGN
from tfrec.encoders.presets import PRESETS, checkpoint_folder, is_preset
from tfrec.encoders.text_encoder import IMPORT_AGAIN, TextEncoder, load_folder, load_pair
from tfrec.encoders.transformers.build import build_backbone
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
    dim: int | None = None,
    item_prompt: str | None = None,
    query_prompt: str | None = None,
) -> TextEncoder:
    """Loads an encoder.

    Args:
        name_or_folder_or_handle: A preset ("minilm-l6", or of the hub, NAME@COMMIT, which are downloaded, converted and
            cached on first use), a folder written by `import_encoder`, or "PREPROCESSOR|ENCODER", two handles for
            `hub.KerasLayer`.
        trainable: Whether the weights can be trained.
        precision: Precision of `encode`: "float32", "bfloat16" or "int8" (see `TextEncoder`).
        tokens: For a preset: "exact", the tokens of Hugging Face's tokeniser, or "tf-text", those that presets had
            before. Folders and handles have their own.
        dim: Number of leading values of a vector to keep; the rest is cut and the vector scaled to unit length, as
            Matryoshka encoders are made for. None keeps all. Only for encoders whose layers are known.
        item_prompt: What is written before texts of items, such as "passage: ". None: what the folder says.
        query_prompt: The same for texts of queries (`encode(…, kind="query")`).

    Returns:
        The encoder.

    Raises:
        InvalidInput: There is no such encoder, or its files are invalid.
        Unavailable: A download is needed but not possible.
    """
    name = str(name_or_folder_or_handle)
    given = {"item": item_prompt, "query": query_prompt}
    prompts = {kind: prompt for kind, prompt in given.items() if prompt is not None}
    if PAIR_SIGN in name:
        if dim is not None:
            raise InvalidInput("encoder.dim works only for encoders whose layers are known, not for TF-Hub handles.")
        return load_pair(name, trainable, precision, prompts)
    folder = _preset_folder(name, tokens) if is_preset(name) else Path(name)
    if (folder / ABOUT).is_file():
        again = f"Delete {folder}: it is the cached {name}, made anew then." if is_preset(name) else IMPORT_AGAIN
        return load_folder(folder if dim is None else _cut_folder(folder, dim), trainable, precision, prompts, again)
    if (folder / "model.safetensors").is_file():
        raise InvalidInput(f"{name} is a checkpoint. Import it first: tfrec encoder import {name} --out DIR")
    if "://" in name:
        raise InvalidInput(f"Expected two handles, PREPROCESSOR{PAIR_SIGN}ENCODER; received one, {name!r}. Pass both.")
    reason = f"has no {ABOUT}" if folder.is_dir() else "does not exist"
    raise InvalidInput(
        f"Expected a preset ({', '.join(PRESETS)}), an encoder folder or PREPROCESSOR{PAIR_SIGN}ENCODER; "
        f"{name!r} {reason}. Make a folder with `tfrec encoder import`."
    )


def load_configured(options: EncoderConfig, source: str | Path | None = None, tokens: str | None = None) -> TextEncoder:
    """Loads the encoder that the configuration's section `encoder` describes.

    Args:
        options: The section.
        source: Folder of a fine-tuned encoder to load instead, which is cut already. None: `options.name`.
        tokens: Instead of `options.tokens`.
    """
    return load_encoder(
        options.name if source is None else source,
        precision=options.precision,
        tokens=tokens or options.tokens,
        dim=options.dim if source is None else None,
        item_prompt=options.item_prompt,
        query_prompt=options.query_prompt,
    )


def _preset_folder(name: str, tokens: str) -> Path:
    if tokens not in _LAYOUTS:
        raise InvalidInput(f"Expected encoder.tokens {' or '.join(_LAYOUTS)}; received {tokens!r}.")
    if name not in PRESETS:
        checkpoint_folder(name)  # what was converted earlier is used only while the checkpoint is what the name says
    folder = cache_dir() / "encoders" / f"{re.sub('[/@#]', '-', name)}-{_LAYOUTS[tokens]}"
    if not (folder / ABOUT).is_file():
        with folder_lock(folder.parent):
            if not (folder / ABOUT).is_file():  # otherwise another process wrote it while this one waited
                import_encoder(name, folder, tokens=tokens, force=True)
    return folder


def _cut_folder(folder: Path, dim: int) -> Path:
    """The folder of the same encoder with vectors of width `dim`, made on first use."""
    whole = load_folder(folder)
    if dim == whole.dim:
        return folder
    if whole.backbone is None:
        raise InvalidInput(f"encoder.dim works only for encoders whose layers are known; {folder} has a TF-Hub pair.")
    config = replace(whole.backbone, cut=dim, normalise=True)
    out = cache_dir() / "encoders" / f"{whole.hash[:32]}-{dim}"
    with folder_lock(out.parent):
        if not (out / ABOUT).is_file():
            model = build_backbone(config)
            model.set_weights(trainable_model(whole)[0].get_weights())
            save_tuned(out, whole, model, config=config, source=f"{folder.name}, cut to {dim}", force=True)
    return out
