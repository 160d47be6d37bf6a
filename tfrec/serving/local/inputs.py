"""What the inputs of a signature are like. Without TensorFlow, so that a small process can check requests too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrec.serving.local.status_codes import RequestError, invalid

Arrays = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class Input:
    """Dtype and shape of an input.

    Strings have the dtype object. `shape` has None for any size, and is None if any shape is accepted.
    """

    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None

    @property
    def type_name(self) -> str:
        """Name of the dtype in TensorFlow."""
        return type_name(self.dtype)


@dataclass(frozen=True)
class Declared:
    """The inputs of a signature by name, and whether it takes any number of rows."""

    inputs: Mapping[str, Input]
    batched: bool


def type_name(dtype: np.dtype[Any]) -> str:
    """Name of a dtype in TensorFlow.

    Example:
        >>> type_name(np.dtype(object)), type_name(np.dtype("int64"))
        ('string', 'int64')
    """
    return "string" if dtype.kind in "OSU" else dtype.name


def check_inputs(inputs: Arrays, declared: Mapping[str, Input], batched: bool) -> int:
    """Checks the inputs of a request and returns its number of rows; 1 if its signature is not `batched`.

    Raises:
        RequestError: INVALID_ARGUMENT for missing or unknown inputs, or a dtype, rank or size that is not declared.
    """
    if set(inputs) != set(declared):
        raise invalid(
            f"input size does not match signature: {len(inputs)}!={len(declared)} "
            f"received {sorted(inputs)}, expected {sorted(declared)}"
        )
    rows = None
    for key, value in inputs.items():
        check_shape(key, tuple(value.shape), declared[key])
        if type_name(value.dtype) != declared[key].type_name:
            raise invalid(f"{key}: expected {declared[key].type_name}, received {type_name(value.dtype)}")
        if batched and value.shape:
            if rows is not None and rows != value.shape[0]:
                raise invalid(f"{key}: expected {rows} rows as the other inputs have, received {value.shape[0]}")
            rows = value.shape[0]
    return 1 if rows is None else rows


def check_shape(key: str, shape: tuple[int, ...], declared: Input) -> None:
    """Raises INVALID_ARGUMENT unless `shape` fits what the input declares."""
    if declared.shape is None:
        return
    fits = len(shape) == len(declared.shape) and all(d is None or d == s for d, s in zip(declared.shape, shape))
    if not fits:
        expected = [-1 if size is None else size for size in declared.shape]
        raise invalid(f"{key}: expected shape {expected}, received {list(shape)}")


def unknown_signature(name: str) -> RequestError:
    """The error for a signature that a model does not have."""
    return invalid(f'Serving signature name: "{name}" not found in signature def')


def rows_of(inputs: Arrays, start: int, stop: int) -> Arrays:
    """Some rows of all inputs, as views."""
    return {key: value[start:stop] for key, value in inputs.items()}
