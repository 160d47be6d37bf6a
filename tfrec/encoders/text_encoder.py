"""TextEncoder: encodes texts with a TF-Hub preprocessor and encoder."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_text as tf_text  # noqa: F401  registers the preprocessors' ops

from tfrec.encoders.encoder_hash import encoder_sha256, weights_sha256
from tfrec.encoders.folder_layout import ABOUT, ENCODER, PREPROCESSOR
from tfrec.encoders.hub_handles import resolve_handle, split_pair
from tfrec.encoders.runtimes import PRECISIONS, EncoderRuntime, select_runtime
from tfrec.encoders.saved_model_layer import SavedModelLayer
from tfrec.encoders.transformers.config import BackboneConfig, config_from_dict, config_to_dict
from tfrec.errors import InvalidInput
from tfrec.files import folder_sha256
from tfrec.files.stored_folder import StoredFolder, read_object
from tfrec.guard.finite_weights import refuse_not_finite
from tfrec.guard.guarded import guarded_model
from tfrec.progress import track
from tfrec.schema import POOLED_OUTPUT

_CHUNK = 16384  # texts tokenised at a time: enough to sort by length, few enough to fit in memory
_HUB_LENGTH = 512  # TF-Hub encoders do not state their maximum length; this is BERT's
_REQUIRED = {"dim": int, "max_seq_length": int, "sha256": str}  # in tfrec_encoder.json
_SPECIAL = 2  # [CLS] and [SEP] around one segment
IMPORT_AGAIN = "Import the encoder again."
_STATIC_BATCH = 2048  # texts at a time for static encoders, whose memory does not depend on the length of the texts


class TextEncoder:
    """Encodes texts as vectors. Use `load_encoder` to create one.

    Args:
        preprocessor_handle: Handle of a TF-Hub text preprocessor, for `hub.KerasLayer`.
        encoder_handle: Handle of a TF-Hub text encoder, for `hub.KerasLayer`.
        dim: int. Width of the vectors.
        max_seq_length: int. Maximum input length in tokens.
        hash: SHA-256 of everything that determines the vectors, computed from the files.
        trainable: Whether `encoder` exposes its weights for training.
        precision: Precision of `encode`: "float32", "bfloat16" (faster on processors that support it) or "int8" (faster
            still, but less exact). Other precisions than float32 need an encoder that `import_encoder` made from a
            checkpoint.
        backbone: Shape of such an encoder, otherwise None.
        recorded_hash: The hash that its folder claims, or that older versions computed. It only finds out whether a run
            of an older version was trained with this encoder.
        prompts: What is written before texts: "item" and "query", where there is something.
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
        recorded_hash: str | None = None,
        prompts: Mapping[str, str] | None = None,
    ) -> None:
        if precision not in PRECISIONS:
            raise InvalidInput(f"Expected encoder.precision {', '.join(PRECISIONS)}; received {precision!r}.")
        self.precision, self.backbone = precision, backbone
        self._runtimes: dict[int, EncoderRuntime] = {}
        self._prompt_lengths: dict[str, int] = {}
        self.preprocessor_handle, self.encoder_handle = preprocessor_handle, encoder_handle
        self.dim, self.max_seq_length, self.trainable = dim, max_seq_length, trainable
        self.prompts = {kind: prompt for kind, prompt in (prompts or {}).items() if prompt}
        item = self.prompts.get("item")
        self.hash = hash if item is None else hashlib.sha256(f"{hash}\0{item}".encode()).hexdigest()
        self.recorded_hash = recorded_hash

    @cached_property
    def weights_hash(self) -> str:
        """SHA-256 of shape, vocabulary and weights; the same after the same checkpoint is converted again."""
        shape = config_to_dict(self.backbone) if self.backbone else None
        return weights_sha256(Path(self.preprocessor_handle), Path(self.encoder_handle), shape)

    @cached_property
    def preprocessor(self) -> Any:
        """The loaded preprocessor, with `tokenize` and `bert_pack_inputs`."""
        loaded = _load(self.preprocessor_handle)
        if not (hasattr(loaded, "tokenize") and hasattr(loaded, "bert_pack_inputs")):
            raise InvalidInput(
                f"Expected a text preprocessor with tokenize and bert_pack_inputs at {self.preprocessor_handle!r}; "
                "the SavedModel there lacks at least one of them. The preprocessor comes first: PREPROCESSOR|ENCODER."
            )
        return loaded

    @cached_property
    def encoder(self) -> Any:
        """The encoder as a Keras layer, which `trainable` makes trainable."""
        try:
            return SavedModelLayer(_load(self.encoder_handle), self.trainable, name="text_encoder")
        except TypeError as error:
            raise InvalidInput(
                f"The SavedModel at {self.encoder_handle!r} is not a TF2 text encoder: {error}"
            ) from None

    def inputs(self, texts: Any, seq_length: int) -> dict[str, Any]:
        """Tokenises texts of items for `encoder`, after their prompt; usable inside a graph.

        Args:
            texts: string `[batch]`. An empty text becomes [CLS] [SEP].
            seq_length: int. Length of the result; longer texts are truncated.

        Returns:
            The encoder's dict of inputs, int32 `[batch, seq_length]` each.
        """
        self._check_length(seq_length)
        texts = tf.convert_to_tensor(texts, tf.string)
        if "item" in self.prompts:
            texts = tf.strings.join([self.prompts["item"], texts])
        tokens = self.preprocessor.tokenize(texts)
        return self.preprocessor.bert_pack_inputs([tokens], seq_length=tf.constant(seq_length, tf.int32))

    def encode(
        self, texts: Sequence[str], *, batch_size: int = 64, seq_length: int = 64, kind: str = "item"
    ) -> np.ndarray:
        """Encodes texts.

        Texts of similar length are batched together and padded to the longest of their batch. This makes encoding
        faster and does not change the vectors.

        Args:
            texts: Strings of any length and script; they may be empty.
            batch_size: int. Number of texts per batch; static encoders take at least 2,048.
            seq_length: int. Maximum number of tokens per text, including [CLS] and [SEP]; longer texts are truncated.
            kind: Whose prompt is written before the texts, "item" or "query".

        Returns:
            float32 `[len(texts), dim]`, in the order of the texts.

        Raises:
            InvalidInput: A text is not a string, or the encoder does not support `seq_length`.
        """
        self._check_length(seq_length, kind)
        prompt = self.prompts.get(kind, "")
        if batch_size < 1:
            raise InvalidInput(f"Expected a batch_size of at least 1; received {batch_size}.")
        if self.backbone is not None and self.backbone.family == "static":
            batch_size = max(batch_size, _STATIC_BATCH)
        vectors = np.empty((len(texts), self.dim), np.float32)
        starts = range(0, len(texts), _CHUNK)
        batches = (
            (start, *batch) for start in starts for batch in self._batches(texts, start, batch_size, seq_length, prompt)
        )
        total = sum(-(-min(_CHUNK, len(texts) - start) // batch_size) for start in starts)
        run = self._runtime(batch_size)
        for start, rows, inputs in track(batches, "Encoding texts", total) if total > 1 else batches:
            vectors[start + rows] = run(inputs)
        return vectors

    def _runtime(self, batch_size: int) -> EncoderRuntime:
        key = batch_size if self.precision == "int8" else 0
        if key not in self._runtimes:
            self._runtimes[key] = select_runtime(
                self.encoder, self.backbone, self.precision, self.trainable, self.hash, batch_size
            )
        return self._runtimes[key]

    def _batches(self, texts: Sequence[str], start: int, batch_size: int, seq_length: int, prompt: str) -> Any:
        """Yields rows (within the chunk at `start`) and the encoder's inputs, shortest texts first."""
        before = prompt.encode()
        chunk = [before + as_utf8(text, start + row) for row, text in enumerate(texts[start : start + _CHUNK])]
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
        for first in range(
            0, len(chunk), 1024
        ):  # truncated in small groups, so that long texts do not pile up in memory
            tokens = self.preprocessor.tokenize(tf.constant(chunk[first : first + 1024], tf.string))
            if tokens.shape.rank == 3:  # Google's preprocessors return [batch, (words), (pieces)]
                tokens = tokens.merge_dims(1, 2)
            pieces.append(tokens[:, :seq_length])
        return tf.concat(pieces, 0)

    def _check_length(self, seq_length: int, kind: str = "item") -> None:
        if not _SPECIAL < seq_length <= self.max_seq_length:
            raise InvalidInput(
                f"Expected a seq_length from {_SPECIAL + 1} to {self.max_seq_length}; received {seq_length}. "
                "Set encoder.seq_length."
            )
        self.prompt_tokens(kind, seq_length)

    def prompt_tokens(self, kind: str, seq_length: int, option: str = "encoder.seq_length") -> int:
        """The number of tokens of a prompt, 0 where there is none.

        Args:
            kind: "item" or "query".
            seq_length: int. Number of tokens that prompt and text have together, [CLS] and [SEP] included.
            option: Where `seq_length` is set, for the error message.

        Raises:
            InvalidInput: The prompt leaves no room for a text.
        """
        count = self._prompt_length(kind) if kind in self.prompts else 0
        if count and count + _SPECIAL >= seq_length:
            raise InvalidInput(
                f"Expected encoder.{kind}_prompt to leave room for a text; its {count} tokens fill "
                f"{option}={seq_length}. Raise {option}, or shorten the prompt."
            )
        return count

    def _prompt_length(self, kind: str) -> int:
        if kind not in self._prompt_lengths:
            with tf.init_scope():  # also where a graph is being traced
                prompt = self.prompts[kind].rstrip()  # with byte-level BPE a space belongs to the word that follows
                tokens = self._tokenize([prompt.encode()], self.max_seq_length)
                self._prompt_lengths[kind] = int(tokens.row_lengths()[0])
        return self._prompt_lengths[kind]


def as_utf8(text: Any, position: int) -> bytes:
    """A text as UTF-8; lone surrogates become "?".

    Args:
        text: The text.
        position: Index of the text, for the error message.

    Raises:
        InvalidInput: The text is not a string.
    """
    if not isinstance(text, str):
        raise InvalidInput(
            f"Expected texts to be strings; number {position} is a {type(text).__name__}. Replace missing texts by ''."
        )
    return text.encode("utf-8", "replace")


def load_folder(
    folder: Path,
    trainable: bool = False,
    precision: str = "float32",
    prompts: Mapping[str, str] | None = None,
    cure: str = IMPORT_AGAIN,
) -> TextEncoder:
    """Loads the encoder from a folder that `import_encoder` wrote.

    Args:
        folder: The encoder folder.
        trainable: As in `load_encoder`.
        precision: As in `load_encoder`.
        prompts: "item" and "query"; they replace those of the folder.
        cure: What to do about a damaged folder, as the last sentence of the message.

    Raises:
        InvalidInput: A file is missing, invalid or not as it was written, or a SavedModel could do harm.
    """
    about = read_object(folder / ABOUT, _REQUIRED, cure)
    for part in (PREPROCESSOR, ENCODER):
        if not (folder / part / "saved_model.pb").is_file():
            raise InvalidInput(f"{folder} has no SavedModel named {part}. {cure}")
    StoredFolder(folder, about, cure).check()
    parts = guarded_model(folder / PREPROCESSOR), guarded_model(folder / ENCODER)
    return TextEncoder(
        *map(str, parts),
        dim=about["dim"],
        max_seq_length=about["max_seq_length"],
        hash=encoder_sha256(*parts, about.get("backbone")),
        trainable=trainable,
        precision=precision,
        backbone=_backbone(about.get("backbone"), folder, cure),
        recorded_hash=about["sha256"],
        prompts={**about.get("prompts", {}), **(prompts or {})},
    )


def _backbone(values: Any, folder: Path, cure: str) -> BackboneConfig | None:
    try:
        return config_from_dict(values) if values else None
    except (TypeError, KeyError, ValueError, InvalidInput) as error:
        raise InvalidInput(f"The backbone in {folder / ABOUT} is invalid: {error}. {cure}") from None


def load_pair(
    handles: str, trainable: bool = False, precision: str = "float32", prompts: Mapping[str, str] | None = None
) -> TextEncoder:
    """Loads an encoder from two TF-Hub handles, and calls it once to verify it.

    Args:
        handles: "PREPROCESSOR|ENCODER".
        trainable: As in `load_encoder`.
        precision: As in `load_encoder`.
        prompts: "item" and "query".

    Raises:
        InvalidInput: There is no SavedModel at a handle, or the two do not fit together or do not follow TF-Hub's text
            contract.
        Unavailable: The server of a handle cannot be reached.
    """
    preprocessor, encoder = split_pair(handles)
    folders = resolve_handle(preprocessor), resolve_handle(encoder)
    digest, earlier = encoder_sha256(*folders, None), "".join(map(folder_sha256, folders))
    about: dict[str, Any] = {"trainable": trainable, "precision": precision, "recorded_hash": earlier}
    about["prompts"] = prompts
    pair = TextEncoder(*map(str, folders), dim=0, max_seq_length=_HUB_LENGTH, hash=digest, **about)
    inputs = pair.inputs(["a text"], _HUB_LENGTH if pair.prompts else 8)
    try:
        outputs = pair.encoder(inputs, training=False)
    except (ValueError, TypeError, tf.errors.OpError) as error:
        raise InvalidInput(
            f"The encoder of {handles!r} does not accept the output of its preprocessor: {error}"
        ) from None
    if not isinstance(outputs, dict) or POOLED_OUTPUT not in outputs:
        raise InvalidInput(f"Expected a TF2 text encoder with the output {POOLED_OUTPUT} in {handles!r}; it has none.")
    refuse_not_finite([(POOLED_OUTPUT, outputs[POOLED_OUTPUT].numpy())], handles, "Get the encoder again.")
    pair.dim = int(outputs[POOLED_OUTPUT].shape[-1])
    return pair


def _load(handle: str) -> Any:
    """What is saved at a handle, once it has passed the guard."""
    try:
        return tf.saved_model.load(str(resolve_handle(handle)))
    except (OSError, ValueError, KeyError, TypeError, tf.errors.OpError) as error:
        raise InvalidInput(f"The SavedModel at {handle!r} cannot be loaded: {error}") from None
