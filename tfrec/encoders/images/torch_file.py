"""Reads tensors from a checkpoint that PyTorch before 1.6 wrote, without PyTorch."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from tfrec.errors import InvalidInput

_MAGIC = 0x1950A86A20F9469CFC6C
_TYPES = {"FloatStorage": "<f4", "LongStorage": "<i8"}


def read_torch_file(path: Path) -> dict[str, np.ndarray]:
    """The tensors of a state dict, by name.

    Such a file is a chain of pickles followed by the numbers. A pickle can name any Python object to be called, so here
    it may name only what a state dict is made of.

    Args:
        path: The file, in the format that `torch.save` wrote before zip files became its default.

    Raises:
        InvalidInput: The file is damaged, has another format, or names anything else.
    """
    try:
        with path.open("rb") as file:
            if _Pickle(file).load() != _MAGIC:
                raise ValueError("it has another format")
            _Pickle(file).load()  # version of the format
            _Pickle(file).load()  # sizes of numbers on the machine that wrote it
            tensors = _Pickle(file).load()
            types = {tensor.storage: tensor.dtype for tensor in tensors.values()}
            numbers = {key: _read_numbers(file, types[key]) for key in _Pickle(file).load()}
        return {name: tensor.of(numbers[tensor.storage]) for name, tensor in tensors.items()}
    except (OSError, pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InvalidInput(f"{path} is not a checkpoint of PyTorch before 1.6: {error}. Download it again.") from None


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage: strides count numbers, and need not be those of a contiguous array."""

    storage: str
    dtype: str
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def of(self, numbers: np.ndarray) -> np.ndarray:
        last = self.offset + sum((size - 1) * stride for size, stride in zip(self.shape, self.strides, strict=True))
        if min((self.offset, *self.shape, *self.strides)) < 0 or last >= len(numbers):
            raise ValueError("a tensor lies outside its storage")
        strides = [stride * numbers.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(numbers[self.offset :], self.shape, strides).copy()


def _tensor(storage: tuple[str, str], offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(*storage, offset, tuple(shape), tuple(strides))


class _Pickle(pickle.Unpickler):
    """An unpickler that calls nothing but what makes a state dict."""

    def find_class(self, module: str, name: str) -> Any:
        known = {("collections", "OrderedDict"): OrderedDict, ("torch._utils", "_rebuild_tensor_v2"): _tensor}
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return known[module, name]

    def persistent_load(self, reference: Any) -> tuple[str, str]:
        _, dtype, key, *_ = reference
        return key, dtype


def _read_numbers(file: IO[bytes], dtype: str) -> np.ndarray:
    """The numbers of a storage: their count, and then themselves."""
    count = int(np.frombuffer(file.read(8), "<i8")[0])
    content = file.read(count * np.dtype(dtype).itemsize)
    numbers = np.frombuffer(content, dtype)
    if len(numbers) != count:
        raise EOFError("it is truncated")
    return numbers
