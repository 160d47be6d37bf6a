"""Makes example requests of an export, stores them as JSON, and compares answers."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypedDict

import numpy as np

from tfrec import schema

EXAMPLES_FILE: Final = "examples.json"

_PICTURES: Final = tuple(
    b"BM:\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0\1\0\0\0\1\0\0\0\1\0\x18" + bytes(25) + colour + b"\0"
    for colour in (b"\xff\x80\x20", b"\x20\xff\x80", b"\x80\x20\xff")
)
"""BMP files of one pixel in three colours."""

Arrays = dict[str, "np.ndarray[Any, Any]"]


class Tensor(TypedDict):
    """A tensor as JSON. `dtype` is "string", "int32", "int64", "float32" or "bool"; `values` is a flat list.

    Strings that are not UTF-8 are {"b64": …}.
    """

    dtype: str
    shape: list[int]
    values: list[Any]


class Example(TypedDict):
    """A request and its answer at export."""

    signature: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


def to_json(array: np.ndarray[Any, Any]) -> Tensor:
    """An array of numbers, bools or strings (object or bytes) as JSON.

    Example:
        >>> to_json(np.array([[b"a"]], object))
        {'dtype': 'string', 'shape': [1, 1], 'values': ['a']}
    """
    array = np.asarray(array)
    if array.dtype.kind in "OSU":
        return {"dtype": "string", "shape": list(array.shape), "values": [_as_json(v) for v in array.ravel().tolist()]}
    return {"dtype": array.dtype.name, "shape": list(array.shape), "values": array.ravel().tolist()}


def from_json(tensor: Tensor) -> np.ndarray[Any, Any]:
    """The inverse of `to_json`; strings become an object array."""
    if tensor["dtype"] != "string":
        return np.array(tensor["values"], dtype=tensor["dtype"]).reshape(tensor["shape"])
    values = [base64.b64decode(v["b64"]) if isinstance(v, dict) else v for v in tensor["values"]]
    return np.array(values, dtype=object).reshape(tensor["shape"])


def _as_json(value: Any) -> str | dict[str, str]:
    """A string as it is; bytes that are no UTF-8, such as an image's, as TF Serving writes them: {"b64": …}."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return {"b64": base64.b64encode(value).decode()}


def example_requests(
    signatures: Mapping[str, Mapping[str, Sequence[int]]],
    *,
    item_ids: Sequence[str] = (),
    event_kinds: Sequence[str] = (),
    texts: Sequence[str] = (),
    attribute_values: Sequence[str] = (),
    segments: Sequence[str] = (),
    rows: int = 5,
    seed: int = 0,
) -> list[tuple[str, Arrays]]:
    """A request for each signature, with known values, short and empty rows, and unknown values.

    Args:
        signatures: Shapes by signature and input name, without the batch: () for inputs of shape `[batch]`.
        item_ids: Known item ids.
        event_kinds: Known event kinds.
        texts: Texts, also for inputs that are none of the others.
        attribute_values: Known values of the filter attribute.
        segments: Known segments.
        rows: Rows of a request. The last but one holds unknown values only, the last one only "". Requests of vectors
            have three, as they are stored as text.
        seed: Seed of the random choice.

    Returns:
        (signature name, inputs) pairs, `serving_default` first.
    """
    rng = np.random.default_rng(seed)
    pools: dict[str, Sequence[str | bytes]] = {
        schema.HISTORY_ITEM_IDS: item_ids,
        schema.EXCLUDE_ITEM_IDS: item_ids,
        schema.CANDIDATE_ITEM_IDS: item_ids,
        schema.EXPLAIN_ITEM_IDS: item_ids,
        schema.ITEM_IDS: item_ids,
        schema.HISTORY_EVENTS: event_kinds,
        schema.ALLOW_VALUES: attribute_values,
        schema.SEGMENT: segments,
        schema.HISTORY_IMAGES: _PICTURES,
        schema.IMAGES: _PICTURES,
    }
    requests = []
    for name in sorted(signatures, key=lambda n: (n != schema.SIGNATURE_DEFAULT, n)):
        inputs: Arrays = {}
        lengths: dict[int, list[int]] = {}
        count = min(rows, 3) if schema.HISTORY_VECTORS in signatures[name] else rows
        for key, shape in signatures[name].items():
            columns = shape[0] if shape else 1
            # inputs of the same width have rows of the same length, so that the ids and events of a history match
            filled = lengths.setdefault(columns, rng.integers(1, min(columns, 8) + 1, count).tolist())
            if key in (schema.HISTORY_VECTORS, schema.HISTORY_MASK):
                inputs[key] = _numbers(key, (count, *shape), filled, rng)
                continue
            values = _strings((count, columns), filled, list(pools.get(key, texts)) or ["unknown"], rng)
            inputs[key] = values if shape else values[:, 0]
        requests.append((name, inputs))
    return requests


def _strings(
    shape: tuple[int, int], filled: list[int], pool: Sequence[str | bytes], rng: np.random.Generator
) -> np.ndarray[Any, Any]:
    """Strings `[rows, columns]`: `filled` of each row from the pool, of the last but one unknown, of the last none."""
    rows, values = shape[0], np.full(shape, "", object)
    for row in range(rows - 1):
        drawn = rng.integers(0, len(pool), filled[row])
        values[row, : filled[row]] = [pool[i] for i in drawn] if row < rows - 2 else "no such thing"
    return values


def _numbers(key: str, shape: tuple[int, ...], filled: list[int], rng: np.random.Generator) -> np.ndarray[Any, Any]:
    """A mask, int32 `[rows, columns]`, or random vectors, float32 `[rows, columns, dim]`; the last row is padding."""
    mask = np.arange(shape[1]) < np.array([*filled[:-1], 0])[:, None]
    if key == schema.HISTORY_MASK:
        return mask.astype(np.int32)
    vectors = rng.normal(size=shape).round(2) * mask[..., None]  # few digits, as they are stored as text
    return (vectors + 0.0).astype(np.float32)


def differences(expected: Mapping[str, Tensor], received: Mapping[str, Tensor], tolerance: float = 1e-3) -> list[str]:
    """The differences between two answers, a line each; empty if there are none.

    Floats must agree within the tolerance. Other tensors must be equal, except that items whose scores agree within the
    tolerance may change places, because processors round differently.

    Args:
        expected: Answer at export.
        received: Answer now.
        tolerance: Largest difference of floats, absolute and relative to the value.
    """
    problems = []
    for name in sorted({*expected, *received}):
        if name not in expected or name not in received:
            problems.append(f"{name}: {'not expected' if name in received else 'missing'}")
            continue
        ours, theirs = from_json(expected[name]), from_json(received[name])
        if ours.dtype != theirs.dtype or ours.shape != theirs.shape:
            problems.append(f"{name}: expected {ours.dtype} {ours.shape}, received {theirs.dtype} {theirs.shape}")
        elif ours.dtype.kind == "f":
            bad = ~np.isclose(theirs, ours, rtol=tolerance, atol=tolerance)
            if bad.any():
                problems.append(
                    f"{name}: {int(bad.sum())} of {bad.size} differ by up to {np.abs(theirs - ours).max():.3g}"
                )
        elif not np.array_equal(ours, theirs):
            scores = from_json(expected[schema.SCORES]) if schema.SCORES in expected else None
            if name != schema.ITEM_IDS or scores is None or not _equal_up_to_ties(ours, theirs, scores, tolerance):
                problems.append(f"{name}: {int((ours != theirs).sum())} of {ours.size} differ")
    return problems


def answers_differ(expected: Arrays, received: Arrays, tolerance: float = 1e-3) -> list[str]:
    """`differences` of two answers as arrays."""
    ours, theirs = ({name: to_json(value) for name, value in arrays.items()} for arrays in (expected, received))
    return differences(ours, theirs, tolerance)


def _equal_up_to_ties(
    ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any], scores: np.ndarray[Any, Any], tolerance: float
) -> bool:
    """Whether items differ only where their scores are equal within the tolerance."""
    for mine, other, score in zip(ours, theirs, scores, strict=True):
        place = {item: i for i, item in enumerate(mine)}
        for i, item in enumerate(other):
            # an item that is missing from our row can only have tied with the last one
            at = place.get(item, len(mine) - 1)
            if mine[i] != item and not np.isclose(score[i], score[at], rtol=tolerance, atol=tolerance):
                return False
    return True
