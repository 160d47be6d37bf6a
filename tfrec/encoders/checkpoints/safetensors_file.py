"""Reads tensors from a safetensors file and checks them against the needs of a model. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.errors import InvalidInput

Tensors = Mapping[str, np.ndarray]
Shapes = Mapping[str, tuple[int, ...]]

_SHOWN = 5  # names shown in an error message


def tensor_names(path: Path) -> list[str]:
    """The names of all tensors. Raises InvalidInput as `read_tensors` does."""
    with _opened(path) as file:
        return list(file.keys())


def read_tensors(path: Path, rename: Callable[[str], str | None]) -> dict[str, np.ndarray]:
    """Reads all tensors as float32.

    Args:
        path: The safetensors file.
        rename: Maps a name in the file to the new name, or to None to skip the tensor.

    Returns:
        New name to float32 array.

    Raises:
        InvalidInput: The file is not a safetensors file, or has a type that NumPy does not support.
    """
    tensors = {}
    with _opened(path) as file:
        for name in file.keys():  # noqa: SIM118  not a dict
            new = rename(name)
            if new is not None:
                tensors[new] = np.asarray(file.get_tensor(name), np.float32)
    return tensors


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="np") as file:
            yield file
    except (SafetensorError, TypeError, ValueError) as error:
        raise InvalidInput(f"{path} is not a safetensors file that can be read: {error}. Download it again.") from None


def select_tensors(tensors: Tensors, shapes: Shapes, heads: Sequence[str], path: Path) -> dict[str, np.ndarray]:
    """Selects the tensors that a model needs, and checks their shapes.

    Args:
        tensors: Name to array.
        shapes: Name to shape of every tensor that is needed.
        heads: Name prefixes of tensors that belong to a task head and are ignored.
        path: The file, for error messages.

    Returns:
        Name to array, for the names in `shapes`.

    Raises:
        InvalidInput: Tensors are missing, have another shape, or are not used by the model.
    """
    missing = [name for name in shapes if name not in tensors]
    if missing:
        raise InvalidInput(
            f"{path} lacks {len(missing)} of {len(shapes)} tensors of its config.json: {_join_first(missing)}. "
            "Are both files of the same model?"
        )
    wrong = [
        f"{name} is {tensors[name].shape}, expected {shape}"
        for name, shape in shapes.items()
        if tensors[name].shape != shape
    ]
    if wrong:
        raise InvalidInput(
            f"{path} does not match its config.json: {_join_first(wrong, '; ')}. Use files of one model."
        )
    extra = [name for name in tensors if name not in shapes and not name.startswith(tuple(heads))]
    if extra:
        raise InvalidInput(
            f"{path} has {len(extra)} tensors that its config.json has no place for: {_join_first(extra)}. "
            "Are both files of the same model?"
        )
    return {name: tensors[name] for name in shapes}


def _join_first(names: Sequence[str], separator: str = ", ") -> str:
    more = len(names) - _SHOWN
    return separator.join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
