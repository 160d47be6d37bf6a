"""EmbeddingStore: the vectors of texts already encoded, on disk, so that only new texts are encoded."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfrec.encoders.encoder import TextEncoder, as_utf8
from tfrec.errors import InvalidInput
from tfrec.files import cache_dir

_KEY_BYTES = 16
_BLOCK = 32768  # texts a part: a stopped run loses at most so many
_ABANDONED = 3600  # seconds after which a temporary file is one that a killed process left


class EmbeddingStore:
    """Vectors by text and encoder.

    Below `folder`, one folder an encoder (its hash) and length holds parts, each written whole or not at all. Several
    processes may use one store: at worst they encode the same text twice.

    Args:
        folder: Defaults to `cache_dir() / "embeddings"`.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self.folder = Path(folder) if folder is not None else cache_dir() / "embeddings"

    def encode(
        self, texts: Sequence[str], encoder: TextEncoder, seq_length: int = 64, batch_size: int = 64
    ) -> np.ndarray:
        """As `encoder.encode`, but a text that was encoded before, here or in an earlier run, is looked up.

        Args:
            texts: Strings; repeated ones are encoded once.
            encoder: What encodes. Another encoder, or another `seq_length`, shares nothing.
            seq_length: Tokens a text is cut to.
            batch_size: Texts at a time.

        Returns:
            float32 `[len(texts), encoder.dim]`.

        Raises:
            InvalidInput: As `encoder.encode`, or there is no space left; no half-written file stays.
        """
        place = self.folder / f"{encoder.hash[:32]}-{seq_length}"
        keys = [_key(text, position) for position, text in enumerate(texts)]
        wanted = dict(zip(keys, texts))
        found = _read(place, encoder.dim, wanted)
        new = [key for key in wanted if key not in found]
        for start in range(0, len(new), _BLOCK):
            block = new[start : start + _BLOCK]
            vectors = encoder.encode([wanted[key] for key in block], batch_size=batch_size, seq_length=seq_length)
            _write(place, block, vectors)
            found.update(zip(block, vectors))
        if not keys:
            return np.empty((0, encoder.dim), np.float32)
        return np.stack([found[key] for key in keys])


def _key(text: str, position: int) -> bytes:
    return hashlib.blake2b(as_utf8(text, position), digest_size=_KEY_BYTES).digest()


def _layout(dim: int) -> np.dtype:
    return np.dtype([("key", f"V{_KEY_BYTES}"), ("vector", "<f4", (dim,))])


def _read(place: Path, dim: int, wanted: dict[bytes, str]) -> dict[bytes, np.ndarray]:
    """The stored vectors of the wanted keys. A part that cannot be read counts as not there."""
    found: dict[bytes, np.ndarray] = {}
    for path in sorted(place.glob("part-*.npy")):
        try:
            part = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError):
            continue
        if part.dtype != _layout(dim):
            continue
        keys = np.ascontiguousarray(part["key"]).tobytes()
        for row in range(len(part)):
            key = keys[row * _KEY_BYTES : (row + 1) * _KEY_BYTES]
            if key in wanted:
                found[key] = np.array(part["vector"][row])
    return found


def _write(place: Path, keys: list[bytes], vectors: np.ndarray) -> None:
    part = np.empty(len(keys), _layout(vectors.shape[1]))
    part["key"] = np.frombuffer(b"".join(keys), f"V{_KEY_BYTES}")
    part["vector"] = vectors
    name = uuid.uuid4().hex
    temporary = place / f".{name}.tmp"
    try:
        place.mkdir(parents=True, exist_ok=True)
        _sweep(place)
        with open(temporary, "wb") as file:
            np.save(file, part, allow_pickle=False)
        os.replace(temporary, place / f"part-{name}.npy")
    except OSError as error:
        # NumPy reports a full disk as a short write, without the number.
        if error.errno in (errno.ENOSPC, None):
            raise InvalidInput(
                f"No space left for {len(keys)} vectors below {place}. Free some, or move it."
            ) from error
        raise InvalidInput(f"Cannot write below {place}: {error.strerror}. Choose another TFREC_CACHE.") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(place: Path) -> None:
    """Removes what killed processes left half-written."""
    for path in place.glob(".*.tmp"):
        with contextlib.suppress(OSError):  # gone meanwhile
            if time.time() - path.stat().st_mtime > _ABANDONED:
                path.unlink()
