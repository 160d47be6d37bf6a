"""Files of an embedding store: vectors by key in memory-mapped parts, each there whole or not at all."""

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
_ABANDONED = 3600  # seconds after which a temporary file is one that a killed process left


@dataclass(frozen=True)
class Part:
    """Vectors that were written together.

    Attributes:
        name: Of the part's files, without the suffix.
        keys: `KEY [rows]`, memory-mapped, in ascending order.
        values: float32, float16 or int8 `[rows, dim]`, memory-mapped, in the order of the keys.
        scales: float32 `[rows]` that int8 values are multiplied with; None for the others.
        about: What `write` was told: rows, max_error, mean_error.
    """

    name: str
    keys: np.ndarray
    values: np.ndarray
    scales: np.ndarray | None
    about: dict[str, Any]

    def find(self, keys: np.ndarray) -> np.ndarray:
        """int64 `[len(keys)]`: the row of each key, −1 where it is not here."""
        heads = self.keys["head"]
        at = np.minimum(np.searchsorted(heads, keys["head"]), len(heads) - 1)
        there = self.keys[at] == keys
        return np.where(there, at, -1)

    def take(self, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), dim]`."""
        values = self.values[rows].astype(np.float32)
        return values if self.scales is None else values * self.scales[rows][:, None]


def ordered(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions that put `KEY [n]` into ascending order, and which of them (bool) hold a key for the first time.

    Of equal keys the one that stands first comes first.
    """
    order = np.lexsort((keys["tail"], keys["head"]))
    first = np.ones(len(keys), bool)
    first[1:] = keys[order[1:]] != keys[order[:-1]]
    return order, first


def pack(vectors: np.ndarray, storage: str) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
    """Vectors as they are stored: values, scales (int8 only), and the relative error of each row.

    int8 is symmetric with one scale a row. The error is the distance between a vector and what is read back, as a share
    of the vector's length; 0 for a vector of zeros.

    Example:
        >>> values, scales, errors = pack(np.array([[127.0, 1.4]], np.float32), "int8")
        >>> values, scales, errors.round(5)
        (array([[127,   1]], dtype=int8), array([1.], dtype=float32), array([0.00315]))
    """
    with np.errstate(all="ignore"):  # what is not finite comes out as an error that is not
        scales = None
        if storage == "int8":
            scales = (np.abs(vectors).max(axis=1, initial=0) / 127).astype(np.float32)
            values = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
            read = values.astype(np.float32) * scales[:, None]
        else:
            values = vectors.astype(storage)
            read = values.astype(np.float32)
        lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
        distances = np.linalg.norm(read.astype(np.float64) - vectors, axis=1)
        return values, scales, distances / np.where(lengths > 0, lengths, 1)


def read_parts(place: Path, dim: int) -> list[Part]:
    """Every part below `place` that can be read; one that cannot counts as not there."""
    parts = []
    for path in sorted(place.glob("part-*.json")):
        with contextlib.suppress(OSError, ValueError, EOFError, KeyError, TypeError):
            part = _open(path)
            rows = len(part.keys)
            if part.keys.dtype == KEY and part.values.shape == (rows, dim) and rows == part.about["rows"] > 0:
                parts.append(part)
    return parts


def _open(path: Path) -> Part:
    about = json.loads(path.read_text(encoding="utf-8"))

    def array(suffix: str) -> np.ndarray:
        return np.load(path.with_suffix(suffix), mmap_mode="r", allow_pickle=False)

    scales = array(".scales.npy") if about["scaled"] else None
    return Part(path.stem, array(".keys.npy"), array(".values.npy"), scales, about)


def write_part(
    place: Path, keys: np.ndarray, values: np.ndarray, scales: np.ndarray | None, about: dict[str, Any]
) -> None:
    """Writes one part. Its .json is renamed into place last: without it the other files are nothing.

    Args:
        place: The folder, made where it is not there.
        keys: `KEY [rows]`, distinct, in any order.
        values: `[rows, dim]`. scales: float32 `[rows]` or None.
        about: Kept beside the part.
    """
    place.mkdir(parents=True, exist_ok=True)
    _sweep(place)
    name = f"part-{uuid.uuid4().hex}"
    order, _ = ordered(keys)
    arrays = {".keys.npy": keys, ".values.npy": values, **({} if scales is None else {".scales.npy": scales})}
    try:
        for suffix, array in arrays.items():
            with open(place / f"{name}{suffix}", "wb") as file:
                np.save(file, array[order], allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
        temporary = place / f"{name}.json.tmp"
        about = {**about, "rows": len(keys), "scaled": scales is not None}
        temporary.write_text(json.dumps(about), encoding="utf-8")
        os.replace(temporary, place / f"{name}.json")
    except BaseException:
        remove_part(place, name)
        raise


def remove_part(place: Path, name: str) -> None:
    """Removes a part, its .json first. Who has it open goes on reading."""
    for suffix in (".json", ".json.tmp", ".keys.npy", ".values.npy", ".scales.npy"):
        with contextlib.suppress(OSError):
            (place / f"{name}{suffix}").unlink(missing_ok=True)


def _sweep(place: Path) -> None:
    """Removes what killed processes left without a .json."""
    for path in [*place.glob("part-*.npy"), *place.glob("part-*.json.tmp")]:
        name = path.name.partition(".")[0]
        with contextlib.suppress(OSError):  # gone meanwhile
            if not (place / f"{name}.json").exists() and time.time() - path.stat().st_mtime > _ABANDONED:
                remove_part(place, name)
