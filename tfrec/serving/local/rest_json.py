"""TF Serving's JSON, in row format (`instances` → `predictions`) and in column format (`inputs` → `outputs`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from tfrec.serving.local.inputs import Arrays, Declared, Input, check_inputs, type_name, unknown_signature
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.pieces import cut
from tfrec.serving.local.status_codes import RequestError, invalid

_BYTES_SUFFIX: Final = "_bytes"
_DEEPEST: Final = 32
"""Most dimensions of a tensor: NumPy before version 2 takes no more."""


class ReadRequest(NamedTuple):
    """A request that was read: the name of its signature, its format, and its inputs in pieces."""

    signature: str
    row_format: bool
    pieces: list[Arrays]


def read_request(body: bytes, signatures: Mapping[str, Declared], limits: Limits) -> ReadRequest:
    """Reads the body of a request to a model with these signatures.

    Raises:
        RequestError: INVALID_ARGUMENT for whatever is wrong with the request.
    """
    document = parse_body(body)
    name = document.get("signature_name") or "serving_default"
    if name not in signatures:
        raise unknown_signature(name)
    declared = signatures[name]
    inputs, row_format = read_inputs(document, declared.inputs)
    rows = check_inputs(inputs, declared.inputs, declared.batched)
    return ReadRequest(name, row_format, cut(inputs, rows, declared.batched, limits))


def parse_body(body: bytes) -> dict[str, Any]:
    """Parses the body of a request, a JSON object. NaN and Infinity are accepted, as by TF Serving."""
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from None
    if not isinstance(document, dict):
        raise invalid("JSON Value: Is not object. Expected an object with 'instances' or 'inputs'")
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid("JSON Value: 'signature_name' key must be a string value.")
    return document


def read_inputs(document: Mapping[str, Any], declared: Mapping[str, Input]) -> tuple[Arrays, bool]:
    """Reads the inputs of a request as arrays by name, and says whether they were in row format.

    Args:
        document: Of `parse_body`.
        declared: Inputs of the signature, by name.

    Raises:
        RequestError: INVALID_ARGUMENT, wherever TF Serving answers so.
    """
    if "instances" in document and "inputs" in document:
        raise invalid("Not formatted correctly expecting only one of 'inputs' or 'instances' keys to exist")
    if "instances" in document:
        instances = document["instances"]
        if not isinstance(instances, list):
            raise invalid("Excepting 'instances' to be an list/array")
        if not instances:
            raise invalid("No values in 'instances' array")
        return _rows(instances, declared), True
    if "inputs" in document:
        return _columns(document["inputs"], declared), False
    raise invalid("Missing 'inputs' or 'instances' key")


def write_outputs(outputs: Arrays, row_format: bool) -> bytes:
    """Writes the body of an answer. A single output has no name; outputs named `*_bytes` are base64."""
    columns = {name: _plain(value, name.endswith(_BYTES_SUFFIX)) for name, value in outputs.items()}
    if not row_format:
        return _dump({"outputs": columns if len(columns) > 1 else next(iter(columns.values()))})
    for name, value in outputs.items():
        if not value.shape:
            raise invalid(f"Tensor name: {name} has no shape information")
    sizes = {len(value) for value in outputs.values()}
    if len(sizes) > 1:
        raise invalid(f"Outputs have inconsistent batch sizes: {sorted(sizes)}; ask in column format")
    if len(columns) == 1:
        return _dump({"predictions": next(iter(columns.values()))})
    names = list(columns)
    return _dump({"predictions": [dict(zip(names, row)) for row in zip(*columns.values())]})


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _plain(array: np.ndarray[Any, Any], as_base64: bool) -> Any:
    if array.dtype.kind not in "OSU":
        return array.tolist()
    write: Callable[[bytes], Any] = _base64 if as_base64 else _text
    flat = [write(value) for value in array.ravel().tolist()]
    return _nested(flat, array.shape)


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _base64(value: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(value).decode()}


def _nested(flat: list[Any], shape: tuple[int, ...]) -> Any:
    if not shape:
        return flat[0]
    if len(shape) == 1:
        return flat
    step = len(flat) // shape[0] if shape[0] else 0
    return [_nested(flat[i * step : (i + 1) * step], shape[1:]) for i in range(shape[0])]


def _rows(instances: list[Any], declared: Mapping[str, Input]) -> Arrays:
    named = _is_named(instances[0])
    if not named and len(declared) > 1:
        raise invalid("instances is a plain list, but expecting list of objects as multiple input tensors required")
    columns: dict[str, list[Any]] = {name: [] for name in declared}
    for number, row in enumerate(instances):
        if _is_named(row) != named:
            kinds = ("object", "value/list") if named else ("value/list", "object")
            raise invalid(f"Expecting {kinds[0]} but got {kinds[1]} at item {number} of input list")
        if not named:
            columns[next(iter(declared))].append(row)
        elif set(row) != set(declared):
            raise invalid(
                f"Failed to process element: {number} of 'instances' list. keys must be equal to: {','.join(declared)}"
            )
        else:
            for name, value in row.items():
                columns[name].append(value)
    return {name: _array(name, rows, declared[name]) for name, rows in columns.items()}


def _columns(inputs: Any, declared: Mapping[str, Input]) -> Arrays:
    if not _is_named(inputs):
        if len(declared) > 1:
            raise invalid("inputs is a plain value/list, but expecting an object as multiple input tensors required")
        inputs = {next(iter(declared)): inputs}
    for name in declared:
        if name not in inputs:
            raise invalid(f"Missing named input: {name} in 'inputs' object.")
    return {name: _array(name, inputs[name], about) for name, about in declared.items()}


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1 and isinstance(value.get("b64"), str)


def _array(name: str, value: Any, declared: Input) -> np.ndarray[Any, Any]:
    """Nested lists, which must have a rectangular shape, as an array of the input's dtype."""
    shape: list[int] = []
    probe = value
    while isinstance(probe, list):
        shape.append(len(probe))
        probe = probe[0] if probe else None
    if len(shape) > _DEEPEST:
        raise invalid(f"{name}: JSON Value: lists {len(shape)} deep. Expected at most {_DEEPEST}")
    flat: list[Any] = []
    try:
        _flatten(value, shape, 0, flat)
        return _typed(flat, declared.dtype).reshape(shape)
    except RequestError as error:
        raise invalid(f"{name}: {error.message}") from None


def _flatten(value: Any, shape: list[int], level: int, flat: list[Any]) -> None:
    if level == len(shape):
        if isinstance(value, list):
            raise invalid(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
        flat.append(value)
        return
    if not isinstance(value, list):
        raise invalid(f"JSON Value: {value!r:.100} found at incorrect level: {level + 1}. Expected: {len(shape)}")
    if len(value) != shape[level]:
        raise invalid(f"Encountered list at unexpected size: {len(value)} at level: {level}, expected {shape[level]}")
    for item in value:
        _flatten(item, shape, level + 1, flat)


def _typed(flat: list[Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    if dtype.kind == "O":
        array = np.empty(len(flat), object)
        array[:] = [_bytes(value) for value in flat]
        return array
    kinds: tuple[type, ...] = {"b": (bool,), "i": (int,), "u": (int,)}.get(dtype.kind, (int, float))
    for value in flat:
        if not isinstance(value, kinds) or (isinstance(value, bool) and dtype.kind != "b"):
            kind = type(value).__name__
            raise invalid(f"JSON Value: {value!r:.100} Type: {kind} is not of expected type: {type_name(dtype)}")
    try:
        return np.array(flat, dtype)
    except OverflowError as error:
        raise invalid(f"{error} ({type_name(dtype)})") from None


def _bytes(value: Any) -> bytes:
    try:
        if isinstance(value, str):
            return value.encode()
        if _is_base64(value):
            return base64.b64decode(value["b64"], validate=True)
    except ValueError as error:  # binascii.Error and UnicodeEncodeError are ValueErrors
        raise invalid(f"Unable to base64 decode or encode as UTF-8: {error}") from None
    raise invalid(f"JSON Value: {value!r:.100} Type: {type(value).__name__} is not of expected type: string")
