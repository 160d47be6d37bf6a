"""EmbeddingStore: keeps the vectors of encoded texts and images on disk, so that only new ones are encoded."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np

from tfrec.encoders.embedding_store.shard_files import (
    KEY,
    Shard,
    open_shards,
    pack,
    remove_shard,
    sort_keys,
    write_shard,
)
from tfrec.encoders.encoder_on_workers import EncoderOnWorkers
from tfrec.encoders.images.image_encoder import ImageEncoder
from tfrec.encoders.text_encoder import TextEncoder, as_utf8
from tfrec.errors import InvalidInput
from tfrec.files import cache_dir
from tfrec.progress import say

Storage = Literal["float32", "float16", "int8"]
Contents: TypeAlias = Sequence[str] | Sequence[bytes]
"""Texts, or contents of image files."""
Encoder: TypeAlias = TextEncoder | EncoderOnWorkers | ImageEncoder

_BLOCK = 32768  # texts per shard: an interrupted run loses at most this many
_IMAGE_BLOCK = 1024  # images per shard: they take longer, and their files more memory
_MANY = 16  # small shards above which they are merged


class EmbeddingStore:
    """An on-disk store of vectors by encoder and by text or content of an image file.

    Below `folder` there is one folder per encoder (by hash), sequence length, precision and storage type. It contains
    shards, which are written atomically and memory-mapped, so that only the requested vectors are read. Several
    processes may share a store; at worst they encode the same text twice. Texts are looked up by a 128-bit hash.

    Args:
        folder: Folder of the store. Defaults to `cache_dir() / "embeddings"`.
        storage: "float32", "float16" (half the size) or "int8" with one scale per vector (a quarter of the size).
            `error` reports the loss of precision.

    Raises:
        InvalidInput: An unknown storage type.

    Example:
        >>> import tempfile
        >>> class Lengths:  # a stand-in for a TextEncoder
        ...     hash, dim, precision = "a" * 64, 1, "float32"
        ...     def encode(self, texts, *, batch_size, seq_length):
        ...         return np.array([[len(text)] for text in texts], np.float32)
        >>> store = EmbeddingStore(tempfile.mkdtemp())
        >>> store.encode(["tea", "coffee", "tea"], Lengths()).tolist()
        [[3.0], [6.0], [3.0]]
    """

    def __init__(self, folder: str | Path | None = None, storage: Storage = "float32") -> None:
        if storage not in ("float32", "float16", "int8"):
            raise InvalidInput(f"Expected storage float32, float16 or int8; received {storage!r}.")
        self.folder = Path(folder) if folder is not None else cache_dir() / "embeddings"
        self.storage = storage

    def encode(
        self, texts: Contents, encoder: Encoder, seq_length: int | None = 64, batch_size: int = 64
    ) -> np.ndarray:
        """The vectors of texts, looked up in the store or encoded and added to it.

        Args:
            texts: Strings, or contents of image files for an image encoder; repeated ones are encoded once.
            encoder: The encoder for new texts. Different encoders, precisions and lengths share no vectors.
            seq_length: int. Maximum number of tokens per text; longer texts are truncated. None for an image encoder.
            batch_size: int. Number of texts per batch.

        Returns:
            float32 `[len(texts), encoder.dim]`, as restored from the storage type.

        Raises:
            InvalidInput: As in `encoder.encode`; the disk is full (no half-written file remains); or a value is too
                large for float16.
        """
        keys = _keys(texts)
        self._add(texts, keys, encoder, seq_length, batch_size)
        vectors = np.empty((len(texts), encoder.dim), np.float32)
        missing = np.ones(len(texts), bool)
        for shard, positions, rows in self._lookup(keys, encoder, seq_length):
            vectors[positions], missing[positions] = shard.take(rows), False
        if missing.any():  # another process removed a shard while merging shards
            lost = [text for text, is_missing in zip(texts, missing) if is_missing]
            vectors[missing] = _encode(lost, encoder, seq_length, batch_size)
        return vectors

    def add(self, texts: Contents, encoder: Encoder, seq_length: int | None = 64, batch_size: int = 64) -> int:
        """Encodes and stores the texts that are not in the store yet, with at most 32,768 vectors in memory.

        Args:
            texts: Strings, or contents of image files for an image encoder; repeated ones are encoded once.
            encoder: The encoder for new texts. Different encoders, precisions and lengths share no vectors.
            seq_length: int. Maximum number of tokens per text; longer texts are truncated. None for an image encoder.
            batch_size: int. Number of texts per batch.

        Returns:
            The number of texts that were new.

        Raises:
            InvalidInput: As in `encode`.
        """
        return self._add(texts, _keys(texts), encoder, seq_length, batch_size)

    def error(self, encoder: Encoder, seq_length: int | None = 64) -> dict[str, float]:
        """The loss of precision of the storage type, over all vectors of an encoder.

        The error of a vector is the distance to its restored value, relative to its length.

        Args:
            encoder: As in `encode`.
            seq_length: As in `encode`.

        Returns:
            `max_error` and `mean_error`, 0 if nothing is stored, and `vectors`, the number of stored vectors.
        """
        about = [shard.about for shard in open_shards(self._shard_folder(encoder, seq_length), encoder.dim)]
        rows = sum(each["rows"] for each in about)
        return {
            "max_error": max((each["max_error"] for each in about), default=0.0),
            "mean_error": sum(each["mean_error"] * each["rows"] for each in about) / max(rows, 1),
            "vectors": rows,
        }

    def _shard_folder(self, encoder: Encoder, seq_length: int | None) -> Path:
        kind = "image" if seq_length is None else seq_length
        return self.folder / f"{encoder.hash[:32]}-{kind}-{encoder.precision}-{self.storage}"

    def _add(self, texts: Contents, keys: np.ndarray, encoder: Encoder, seq_length: int | None, batch_size: int) -> int:
        known = np.zeros(len(keys), bool)
        for _, positions, _ in self._lookup(keys, encoder, seq_length):
            known[positions] = True
        unknown = np.flatnonzero(~known)
        order, first = sort_keys(keys[unknown])
        new = unknown[np.sort(order[first])]
        folder = self._shard_folder(encoder, seq_length)
        block = _IMAGE_BLOCK if seq_length is None else _BLOCK
        for start in range(0, len(new), block):
            rows = new[start : start + block]
            vectors = _encode([texts[row] for row in rows], encoder, seq_length, batch_size)
            self._write(folder, keys[rows], vectors)
        if len(new):
            self._merge_small_shards(folder, encoder.dim)
        return len(new)

    def _lookup(
        self, keys: np.ndarray, encoder: Encoder, seq_length: int | None
    ) -> list[tuple[Shard, np.ndarray, np.ndarray]]:
        """The shards that contain any of the keys, each with the positions in `keys` and the rows of the shard."""
        matches = []
        for shard in open_shards(self._shard_folder(encoder, seq_length), encoder.dim):
            rows = shard.find(keys)
            positions = np.flatnonzero(rows >= 0)
            if len(positions):
                matches.append((shard, positions, rows[positions]))
        return matches

    def _write(self, folder: Path, keys: np.ndarray, vectors: np.ndarray) -> None:
        values, scales, errors = pack(vectors, self.storage)
        if not np.isfinite(errors).all():
            raise InvalidInput(
                f"A vector has values that {self.storage} cannot represent (up to {np.abs(vectors).max():g}). "
                "Set encoder.storage=float32, or check the encoder if its vectors are not finite."
            )
        about = {"max_error": float(errors.max()), "mean_error": float(errors.mean())}
        _write_or_explain(folder, keys, values, scales, about)

    def _merge_small_shards(self, folder: Path, dim: int) -> None:
        """Merges small shards, so that the store stays fast if a few texts are added every day."""
        small = [shard for shard in open_shards(folder, dim) if len(shard.keys) < _BLOCK // 2]
        if len(small) <= _MANY:
            return
        say(f"Merging {len(small)} shards of {folder.name}")
        keys = np.concatenate([shard.keys for shard in small])
        order, first = sort_keys(keys)
        kept, rows = order[first], [len(shard.keys) for shard in small]
        scales = [shard.scales for shard in small if shard.scales is not None]
        about = {
            "max_error": max(shard.about["max_error"] for shard in small),
            "mean_error": float(np.average([shard.about["mean_error"] for shard in small], weights=rows)),
        }
        values = np.concatenate([shard.values for shard in small])[kept]
        _write_or_explain(folder, keys[kept], values, np.concatenate(scales)[kept] if scales else None, about)
        for shard in small:
            remove_shard(folder, shard.name)


def _encode(texts: list[Any], encoder: Any, seq_length: int | None, batch_size: int) -> np.ndarray:
    length = {} if seq_length is None else {"seq_length": seq_length}
    vectors: np.ndarray = encoder.encode(texts, batch_size=batch_size, **length)
    return vectors


def _keys(texts: Contents) -> np.ndarray:
    contents = (text if isinstance(text, bytes) else as_utf8(text, at) for at, text in enumerate(texts))
    hashes = (hashlib.blake2b(content, digest_size=KEY.itemsize).digest() for content in contents)
    return np.frombuffer(b"".join(hashes), KEY)


def _write_or_explain(
    folder: Path, keys: np.ndarray, values: np.ndarray, scales: np.ndarray | None, about: dict[str, float]
) -> None:
    """Writes a shard; raises `InvalidInput` if the system cannot write it."""
    try:
        write_shard(folder, keys, values, scales, about)
    except OSError as error:
        # NumPy reports a full disk as a short write, without an error number.
        if error.errno in (errno.ENOSPC, None):
            raise InvalidInput(
                f"No space left for {len(keys)} vectors below {folder}. Free space, or choose another TFREC_CACHE."
            ) from error
        raise InvalidInput(f"Cannot write below {folder}: {error.strerror}. Choose another TFREC_CACHE.") from error
