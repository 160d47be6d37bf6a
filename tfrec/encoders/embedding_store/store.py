"""EmbeddingStore: the vectors of texts already encoded, on disk, so that only new texts are encoded."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from tfrec.encoders.embedding_store.shard_files import KEY, Part, ordered, pack, read_parts, remove_part, write_part
from tfrec.encoders.text_encoder import TextEncoder, as_utf8
from tfrec.errors import InvalidInput
from tfrec.files import cache_dir
from tfrec.progress import say

Storage = Literal["float32", "float16", "int8"]

_BLOCK = 32768  # texts a part: a stopped run loses at most so many
_MANY = 16  # parts that are not full, before they are put together


class EmbeddingStore:
    """Vectors by text and encoder.

    Below `folder`, one folder an encoder (its hash), length, precision and storage holds parts, each written whole or
    not at all and read through memory maps: what is not asked for is not read. Several processes may use one store: at
    worst they encode the same text twice. A text is looked up by a 128-bit hash.

    Args:
        folder: Defaults to `cache_dir() / "embeddings"`.
        storage: "float32"; "float16" (half the size); or "int8" with one scale a vector (a quarter). What the
            narrower ones lose is in `error`.

    Example:
        >>> import tempfile
        >>> class Lengths:  # stands for a TextEncoder
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
        self, texts: Sequence[str], encoder: TextEncoder, seq_length: int = 64, batch_size: int = 64
    ) -> np.ndarray:
        """As `encoder.encode`, but a text that was encoded before, here or in an earlier run, is looked up.

        Args:
            texts: Strings; repeated ones are encoded once.
            encoder: What encodes. Another encoder, precision or `seq_length` shares nothing.
            seq_length: Tokens a text is cut to.
            batch_size: Texts at a time.

        Returns:
            float32 `[len(texts), encoder.dim]`, as they are read back from the storage.

        Raises:
            InvalidInput: As `encoder.encode`; there is no space left (no half-written file stays); or a value is
                beyond what float16 holds.
        """
        keys = _keys(texts)
        self._add(texts, keys, encoder, seq_length, batch_size)
        vectors = np.empty((len(texts), encoder.dim), np.float32)
        missing = np.ones(len(texts), bool)
        for part, wanted, rows in self._found(keys, encoder, seq_length):
            vectors[wanted], missing[wanted] = part.take(rows), False
        if missing.any():  # another process took a part away, to put it together with others
            lost = [text for text, gone in zip(texts, missing) if gone]
            vectors[missing] = encoder.encode(lost, batch_size=batch_size, seq_length=seq_length)
        return vectors

    def add(self, texts: Sequence[str], encoder: TextEncoder, seq_length: int = 64, batch_size: int = 64) -> int:
        """Encodes and stores those of `texts` that are not there yet; no more than 32,768 vectors are held at a time.

        Args:
            texts: Strings; repeated ones are encoded once.
            encoder: What encodes. Another encoder, precision or `seq_length` shares nothing.
            seq_length: int. Tokens a text is cut to.
            batch_size: int. Texts at a time.

        Returns:
            How many were not there.

        Raises:
            InvalidInput: As `encode`.
        """
        return self._add(texts, _keys(texts), encoder, seq_length, batch_size)

    def error(self, encoder: TextEncoder, seq_length: int = 64) -> dict[str, float]:
        """What the storage loses: over all vectors of this encoder, the distance between a vector and what is read
        back, as a share of its length.

        Returns:
            `max_error`, `mean_error` (0 where nothing is stored) and `vectors`, how many there are.
        """
        about = [part.about for part in read_parts(self._place(encoder, seq_length), encoder.dim)]
        rows = sum(each["rows"] for each in about)
        return {
            "max_error": max((each["max_error"] for each in about), default=0.0),
            "mean_error": sum(each["mean_error"] * each["rows"] for each in about) / max(rows, 1),
            "vectors": rows,
        }

    def _place(self, encoder: TextEncoder, seq_length: int) -> Path:
        return self.folder / f"{encoder.hash[:32]}-{seq_length}-{encoder.precision}-{self.storage}"

    def _add(
        self, texts: Sequence[str], keys: np.ndarray, encoder: TextEncoder, seq_length: int, batch_size: int
    ) -> int:
        known = np.zeros(len(keys), bool)
        for _, wanted, _ in self._found(keys, encoder, seq_length):
            known[wanted] = True
        unknown = np.flatnonzero(~known)
        order, first = ordered(keys[unknown])
        new = unknown[np.sort(order[first])]
        place = self._place(encoder, seq_length)
        for start in range(0, len(new), _BLOCK):
            rows = new[start : start + _BLOCK]
            vectors = encoder.encode([texts[row] for row in rows], batch_size=batch_size, seq_length=seq_length)
            self._write(place, keys[rows], vectors)
        if len(new):
            self._put_together(place, encoder.dim)
        return len(new)

    def _found(
        self, keys: np.ndarray, encoder: TextEncoder, seq_length: int
    ) -> list[tuple[Part, np.ndarray, np.ndarray]]:
        """Of each part with wanted keys: the part, positions in `keys`, and the part's rows for them."""
        found = []
        for part in read_parts(self._place(encoder, seq_length), encoder.dim):
            rows = part.find(keys)
            wanted = np.flatnonzero(rows >= 0)
            if len(wanted):
                found.append((part, wanted, rows[wanted]))
        return found

    def _write(self, place: Path, keys: np.ndarray, vectors: np.ndarray) -> None:
        values, scales, errors = pack(vectors, self.storage)
        if not np.isfinite(errors).all():
            raise InvalidInput(
                f"A vector holds values that {self.storage} cannot (up to {np.abs(vectors).max():g}). "
                "Set encoder.storage=float32, or look at the encoder where it is not finite."
            )
        _guarded(place, keys, values, scales, {"max_error": float(errors.max()), "mean_error": float(errors.mean())})

    def _put_together(self, place: Path, dim: int) -> None:
        """Makes full parts of many small ones, so that adding a few texts a day for years stays quick."""
        small = [part for part in read_parts(place, dim) if len(part.keys) < _BLOCK // 2]
        if len(small) <= _MANY:
            return
        say(f"Putting {len(small)} parts of {place.name} together")
        keys = np.concatenate([part.keys for part in small])
        order, first = ordered(keys)
        kept, rows = order[first], [len(part.keys) for part in small]
        scales = [part.scales for part in small if part.scales is not None]
        about = {
            "max_error": max(part.about["max_error"] for part in small),
            "mean_error": float(np.average([part.about["mean_error"] for part in small], weights=rows)),
        }
        values = np.concatenate([part.values for part in small])[kept]
        _guarded(place, keys[kept], values, np.concatenate(scales)[kept] if scales else None, about)
        for part in small:
            remove_part(place, part.name)


def _keys(texts: Sequence[str]) -> np.ndarray:
    hashes = (hashlib.blake2b(as_utf8(text, at), digest_size=KEY.itemsize).digest() for at, text in enumerate(texts))
    return np.frombuffer(b"".join(hashes), KEY)


def _guarded(
    place: Path, keys: np.ndarray, values: np.ndarray, scales: np.ndarray | None, about: dict[str, float]
) -> None:
    try:
        write_part(place, keys, values, scales, about)
    except OSError as error:
        # NumPy reports a full disk as a short write, without the number.
        if error.errno in (errno.ENOSPC, None):
            raise InvalidInput(
                f"No space left for {len(keys)} vectors below {place}. Free some, or move it."
            ) from error
        raise InvalidInput(f"Cannot write below {place}: {error.strerror}. Choose another TFREC_CACHE.") from error
