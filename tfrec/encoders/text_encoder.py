"""TextEncoder: a preprocessor and an encoder from TF-Hub, used together."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text as tf_text  # noqa: F401  registers the preprocessors' ops

from tfrec.encoders.folder_layout import ABOUT, ENCODER, PREPROCESSOR
from tfrec.encoders.hub_handles import resolve, split_pair
from tfrec.encoders.runtimes import PRECISIONS, Reader, reader_of
from tfrec.encoders.transformers.config import BackboneConfig, described
from tfrec.errors import InvalidInput
from tfrec.files import folder_sha256, read_json
from tfrec.progress import track
from tfrec.schema import POOLED_OUTPUT

# Tokenised at a time by `encode`: enough to sort by length, little enough to hold.
_CHUNK = 16384
_HUB_LENGTH = 512  # a hub encoder does not say its longest input: BERT's is this
_SPECIAL = 2  # [CLS] and [SEP] around one segment


class TextEncoder:
    """Texts to vectors. Made by `load_encoder`.

    Args:
        preprocessor_handle: Of a TF-Hub text preprocessor, for `hub.KerasLayer`.
        encoder_handle: Of a TF-Hub text encoder, for `hub.KerasLayer`.
        dim: Width of the vectors.
        max_seq_length: The longest input, in tokens.
        hash: SHA-256 of everything that decides the vectors.
        trainable: Whether `encoder` exposes its weights for training.
        precision: Of `encode`: "float32", "bfloat16" (faster where the processor has its instructions) or "int8"
            (faster still, and less exact). Only for encoders that `import_encoder` made of a checkpoint.
        backbone: The shape of such an encoder.
    """

    def __init__(
        self,
        preprocessor_handle: str,
        encoder_handle: str,
        *,
        dim: int,
        max_seq_length: int,
        hash: str,
        trainable: bool = False,
        precision: str = "float32",
        backbone: BackboneConfig | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidInput(f"Expected encoder.precision {', '.join(PRECISIONS)}; received {precision!r}.")
        self.precision, self.backbone = precision, backbone
        self._readers: dict[int, Reader] = {}
        self.preprocessor_handle, self.encoder_handle = preprocessor_handle, encoder_handle
        self.dim, self.max_seq_length, self.hash, self.trainable = dim, max_seq_length, hash, trainable

    @cached_property
    def preprocessor(self) -> Any:
        """The loaded preprocessor, with `tokenize` and `bert_pack_inputs`."""
        loaded = _load(self.preprocessor_handle)
        if not (hasattr(loaded, "tokenize") and hasattr(loaded, "bert_pack_inputs")):
            raise InvalidInput(
                f"Expected a text preprocessor with tokenize and bert_pack_inputs at {self.preprocessor_handle!r}; "
                "the SavedModel there has neither. The preprocessor comes first: PREPROCESSOR|ENCODER."
            )
        return loaded

    @cached_property
    def encoder(self) -> Any:
        """The encoder as a `hub.KerasLayer`."""
        folder = resolve(self.encoder_handle)
        try:
            return hub.KerasLayer(str(folder), trainable=self.trainable, name="text_encoder")
        except (OSError, ValueError, TypeError, KeyError, tf.errors.OpError) as error:
            raise InvalidInput(f"The SavedModel at {self.encoder_handle!r} is no TF2 text encoder: {error}") from None

    def inputs(self, texts: Any, seq_length: int) -> dict[str, Any]:
        """string `[batch]` → the encoder's dict of int32 `[batch, seq_length]`; usable inside a graph.

        Texts that are longer are cut after `seq_length` tokens; an empty one is [CLS] [SEP].
        """
        self._check_length(seq_length)
        tokens = self.preprocessor.tokenize(tf.convert_to_tensor(texts, tf.string))
        return self.preprocessor.bert_pack_inputs([tokens], seq_length=tf.constant(seq_length, tf.int32))

    def encode(self, texts: Sequence[str], *, batch_size: int = 64, seq_length: int = 64) -> np.ndarray:
        """The vectors of `texts`, in their order.

        Texts of like length are encoded together and padded to the longest of their batch, which changes nothing but
        the time it takes.

        Args:
            texts: Any strings: empty, of any script, of any length.
            batch_size: Texts at a time.
            seq_length: Tokens a text is cut to.

        Returns:
            float32 `[len(texts), dim]`.

        Raises:
            InvalidInput: A text is not a string, or `seq_length` is more than the encoder takes.
        """
        self._check_length(seq_length)
        if batch_size < 1:
            raise InvalidInput(f"Expected a batch_size of at least 1; received {batch_size}.")
        vectors = np.empty((len(texts), self.dim), np.float32)
        starts = range(0, len(texts), _CHUNK)
        batches = ((start, *batch) for start in starts for batch in self._batches(texts, start, batch_size, seq_length))
        total = sum(-(-min(_CHUNK, len(texts) - start) // batch_size) for start in starts)
        read = self._reader(batch_size)
        for start, rows, inputs in track(batches, "Encoding texts", total) if total > 1 else batches:
            vectors[start + rows] = read(inputs)
        return vectors

    def _reader(self, batch_size: int) -> Reader:
        key = batch_size if self.precision == "int8" else 0
        if key not in self._readers:
            self._readers[key] = reader_of(
                self.encoder, self.backbone, self.precision, self.trainable, self.hash, batch_size
            )
        return self._readers[key]

    def _batches(self, texts: Sequence[str], start: int, batch_size: int, seq_length: int) -> Any:
        """Rows (within the chunk at `start`) and the encoder's inputs, shortest texts first."""
        chunk = [as_utf8(text, start + row) for row, text in enumerate(texts[start : start + _CHUNK])]
        tokens = self._tokenize(chunk, seq_length)
        lengths = tokens.row_lengths().numpy()
        order = np.argsort(lengths, kind="stable")
        for first in range(0, len(order), batch_size):
            rows = order[first : first + batch_size]
            longest = int(lengths[rows].max()) + _SPECIAL
            packed = self.preprocessor.bert_pack_inputs(
                [tf.gather(tokens, rows)], seq_length=tf.constant(min(longest, seq_length), tf.int32)
            )
            yield rows, packed

    def _tokenize(self, chunk: list[bytes], seq_length: int) -> Any:
        pieces = []
        for first in range(0, len(chunk), 1024):  # cut early: long texts are not held
            tokens = self.preprocessor.tokenize(tf.constant(chunk[first : first + 1024], tf.string))
            if tokens.shape.rank == 3:  # Google's: words of pieces
                tokens = tokens.merge_dims(1, 2)
            pieces.append(tokens[:, :seq_length])
        return tf.concat(pieces, 0)

    def _check_length(self, seq_length: int) -> None:
        if not _SPECIAL < seq_length <= self.max_seq_length:
            raise InvalidInput(
                f"Expected a seq_length from {_SPECIAL + 1} to {self.max_seq_length}; received {seq_length}. "
                "Set encoder.seq_length."
            )


def as_utf8(text: Any, position: int) -> bytes:
    """UTF-8 bytes of a text; lone surrogates become "?"."""
    if not isinstance(text, str):
        raise InvalidInput(
            f"Expected texts to be strings; number {position} is a {type(text).__name__}. Fill empty ones with ''."
        )
    return text.encode("utf-8", "replace")


def load_folder(folder: Path, trainable: bool = False, precision: str = "float32") -> TextEncoder:
    """The encoder in a folder that `import_encoder` wrote.

    Raises:
        InvalidInput: A file is missing or broken.
    """
    about = read_json(folder / ABOUT)
    keys = ("dim", "max_seq_length", "sha256")
    if not isinstance(about, dict) or any(key not in about for key in keys):
        raise InvalidInput(f"{folder / ABOUT} does not say {', '.join(keys)}. Import the encoder again.")
    for part in (PREPROCESSOR, ENCODER):
        if not (folder / part / "saved_model.pb").is_file():
            raise InvalidInput(f"{folder} has no SavedModel named {part}. Import the encoder again.")
    return TextEncoder(
        str(folder / PREPROCESSOR),
        str(folder / ENCODER),
        dim=about["dim"],
        max_seq_length=about["max_seq_length"],
        hash=about["sha256"],
        trainable=trainable,
        precision=precision,
        backbone=described(about["backbone"]) if about.get("backbone") else None,
    )


def load_pair(handles: str, trainable: bool = False, precision: str = "float32") -> TextEncoder:
    """The encoder of "PREPROCESSOR|ENCODER", two TF-Hub handles. It is called once, to see that it works.

    Raises:
        InvalidInput: A handle leads nowhere, or the two do not fit each other or the text contract.
        Unavailable: A handle's server cannot be reached.
    """
    folders = [resolve(handle) for handle in split_pair(handles)]
    digest = folder_sha256(folders[0]) + folder_sha256(folders[1])
    about: dict[str, Any] = {"trainable": trainable, "precision": precision}
    pair = TextEncoder(*map(str, folders), dim=0, max_seq_length=_HUB_LENGTH, hash=digest, **about)
    inputs = pair.inputs(["a text"], 8)
    try:
        outputs = pair.encoder(inputs, training=False)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise InvalidInput(f"The encoder of {handles!r} does not take what its preprocessor gives: {error}") from None
    if not isinstance(outputs, dict) or POOLED_OUTPUT not in outputs:
        raise InvalidInput(f"The encoder of {handles!r} gives no {POOLED_OUTPUT}. It is no TF2 text encoder.")
    pair.dim = int(outputs[POOLED_OUTPUT].shape[-1])
    return pair


def _load(handle: str) -> Any:
    """A loaded SavedModel."""
    try:
        return hub.load(str(resolve(handle)))
    except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
        raise InvalidInput(f"The SavedModel at {handle!r} cannot be loaded: {error}") from None
