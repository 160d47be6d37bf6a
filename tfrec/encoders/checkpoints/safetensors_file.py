"""Tensors of a safetensors file, checked against what a model needs. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from tfrec.errors import InvalidInput

Tensors = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]

_SHOWN = 5  # names in an error


def read_tensors(path: Path, rename: Callable[[str], str | None]) -> dict[str, np.ndarray]:
    """Every floating-point tensor as float32, under its new name; those that `rename` makes None are left out.

    Raises:
        InvalidInput: It is not a safetensors file, or one of a type that NumPy cannot hold.
    """
    from safetensors import SafetensorError, safe_open

    tensors = {}
    try:
        with safe_open(str(path), framework="np") as file:
            for name in file.keys():  # noqa: SIM118  not a dict
                new = rename(name)
                if new is not None:
                    tensors[new] = np.asarray(file.get_tensor(name), np.float32)
    except (SafetensorError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is not a safetensors file that can be read: {error}. Fetch it again.") from None
    return tensors


def select(tensors: Tensors, shapes: Shapes, heads: Sequence[str], path: Path) -> dict[str, np.ndarray]:
    """The tensors that `shapes` names.

    Args:
        tensors: Name to array.
        shapes: Name to shape of every tensor that is needed.
        heads: Beginnings of names that belong to a task's head and may be there besides.
        path: The file, for errors.

    Raises:
        InvalidInput: Tensors are missing, have another shape, or are there without a place; each kind is named.
    """
    missing = [name for name in shapes if name not in tensors]
    if missing:
        raise InvalidInput(
            f"{path} lacks {len(missing)} of {len(shapes)} tensors that its config.json asks for: {_some(missing)}. "
            "Are both files of the same model?"
        )
    wrong = [
        f"{name} is {tensors[name].shape}, expected {shape}"
        for name, shape in shapes.items()
        if tensors[name].shape != shape
    ]
    if wrong:
        raise InvalidInput(f"{path} does not fit its config.json: {_some(wrong, '; ')}. Take both of the same model.")
    extra = [name for name in tensors if name not in shapes and not name.startswith(tuple(heads))]
    if extra:
        raise InvalidInput(
            f"{path} holds {len(extra)} tensors that its config.json has no place for: {_some(extra)}. "
            "Are both files of the same model?"
        )
    return {name: tensors[name] for name in shapes}


def _some(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - _SHOWN
    return separator.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
