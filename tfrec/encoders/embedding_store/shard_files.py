"""The files of an embedding store: memory-mapped shards of vectors by key, each written atomically."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KEY = np.dtype([("head", "<u8"), ("tail", "<u8")])
_ABANDONED = 3600  # seconds after which a temporary file counts as left behind by a killed process


@dataclass(frozen=True)
class Shard:
    """Vectors that were written together.

    Attributes:
        name: Name of the shard's files, without the suffix.
        keys: `KEY [rows]`, memory-mapped, ascending.
        values: float32, float16 or int8 `[rows, dim]`, memory-mapped, in the order of the keys.
        scales: float32 `[rows]`, factors of int8 values; None for other types.
        about: Metadata: rows, scaled, max_error, mean_error.
    """

    name: str
    keys: np.ndarray
    values: np.ndarray
    scales: np.ndarray | None
    about: dict[str, Any]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """The row of each key, int64 `[len(keys)]`; −1 for a key that is not in this shard."""
        heads = self.keys["head"]
        rows = np.minimum(np.searchsorted(heads, keys["head"]), len(heads) - 1)
        return np.where(self.keys[rows] == keys, rows, -1)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """The vectors of the given rows, float32 `[len(rows), dim]`."""
        values = self.values[rows].astype(np.float32)
        return values if self.scales is None else values * self.scales[rows][:, None]


def sort_keys(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorts keys stably.

    Args:
        keys: `KEY [n]`.

    Returns:
        order: int64 `[n]`, positions in ascending order of the keys. first: bool `[n]`, in this order, whether a key
        occurs for the first time.
    """
    order = np.lexsort((keys["tail"], keys["head"]))
    first = np.ones(len(keys), bool)
    first[1:] = keys[order[1:]] != keys[order[:-1]]
    return order, first


def pack(vectors: np.ndarray, storage: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Converts vectors to their storage format.

    int8 is symmetric, with one scale per row.

    Args:
        vectors: float32 `[rows, dim]`.
        storage: "float32", "float16" or "int8".

    Returns:
        values: `[rows, dim]` in the storage type. scales: float32 `[rows]` for int8, otherwise None. errors: float64
        `[rows]`, the distance between each vector and its restored value, relative to its length; 0 for a zero vector.

    Example:
        >>> values, scales, errors = pack(np.array([[127.0, 1.4]], np.float32), "int8")
        >>> values, scales, errors.round(5)
        (array([[127,   1]], dtype=int8), array([1.], dtype=float32), array([0.00315]))
    """
    with np.errstate(all="ignore"):  # values that are not finite give errors that are not finite
        scales = None
        if storage == "int8":
            scales = (np.abs(vectors).max(axis=1, initial=0) / 127).astype(np.float32)
            values = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
            restored = values.astype(np.float32) * scales[:, None]
        else:
            values = vectors.astype(storage)
            restored = values.astype(np.float32)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        distances = np.linalg.norm(restored.astype(np.float64) - vectors, axis=1)
        return values, scales, distances / np.where(lengths > 0, lengths, 1)


def open_shards(folder: Path, dim: int) -> list[Shard]:
    """Opens all readable shards in a folder; damaged ones are ignored.

    Args:
        folder: The folder; it may not exist.
        dim: int. Expected width of the vectors.
    """
    shards = []
    for path in sorted(folder.glob("part-*.json")):
        with contextlib.suppress(OSError, ValueError, EOFError, KeyError, TypeError):
            shard = _open(path)
            rows = len(shard.keys)
            if shard.keys.dtype == KEY and shard.values.shape == (rows, dim) and rows == shard.about["rows"] > 0:
                shards.append(shard)
    return shards


def _open(path: Path) -> Shard:
    about = json.loads(path.read_text(encoding="utf-8"))

    def array(suffix: str) -> np.ndarray:
        return np.load(path.with_suffix(suffix), mmap_mode="r", allow_pickle=False)

    scales = array(".scales.npy") if about["scaled"] else None
    return Shard(path.stem, array(".keys.npy"), array(".values.npy"), scales, about)


def write_shard(
    folder: Path, keys: np.ndarray, values: np.ndarray, scales: np.ndarray | None, about: dict[str, Any]
) -> None:
    """Writes a shard atomically: its .json file is renamed into place last, and other files do not count without it.

    Args:
        folder: The folder; it is created if needed.
        keys: `KEY [rows]`, distinct, in any order.
        values: `[rows, dim]`, in the storage type.
        scales: float32 `[rows]` for int8 values, otherwise None.
        about: Metadata for the .json file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(folder)
    name = f"part-{uuid.uuid4().hex}"
    order, _ = sort_keys(keys)
    arrays = {".keys.npy": keys, ".values.npy": values, **({} if scales is None else {".scales.npy": scales})}
    try:
        for suffix, array in arrays.items():
            with open(folder / f"{name}{suffix}", "wb") as file:
                np.save(file, array[order], allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        temporary = folder / f"{name}.json.tmp"
        about = {**about, "rows": len(keys), "scaled": scales is not None}
        temporary.write_text(json.dumps(about), encoding="utf-8")
        os.replace(temporary, folder / f"{name}.json")
    except BaseException:
        remove_shard(folder, name)
        raise


def remove_shard(folder: Path, name: str) -> None:
    """Deletes a shard, its .json file first. Processes that have it open can still read it."""
    for suffix in (".json", ".json.tmp", ".keys.npy", ".values.npy", ".scales.npy"):
        with contextlib.suppress(OSError):
            (folder / f"{name}{suffix}").unlink(missing_ok=True)


def _remove_abandoned(folder: Path) -> None:
    """Deletes files that killed processes left behind without a .json file."""
    for path in [*folder.glob("part-*.npy"), *folder.glob("part-*.json.tmp")]:
        name = path.name.partition(".")[0]
        with contextlib.suppress(OSError):  # another process deleted it meanwhile
            if not (folder / f"{name}.json").exists() and time.time() - path.stat().st_mtime > _ABANDONED:
                remove_shard(folder, name)
