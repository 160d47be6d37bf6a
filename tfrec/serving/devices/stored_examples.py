"""Example requests of an export for devices, in a NumPy file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfrec.serving.saved_model.example_requests import Arrays


@dataclass(frozen=True)
class DeviceExample:
    """A request and its answer at export.

    Args:
        signature: The signature that was called.
        inputs: Arrays by name.
        outputs: Arrays by name.
    """

    signature: str
    inputs: Arrays
    outputs: Arrays


def write_examples(path: Path, examples: Sequence[DeviceExample]) -> None:
    """Writes the arrays under the names `NUMBER/SIGNATURE/inputs/NAME` and `NUMBER/SIGNATURE/outputs/NAME`."""
    arrays = {
        f"{number}/{example.signature}/{part}/{name}": value
        for number, example in enumerate(examples)
        for part, values in (("inputs", example.inputs), ("outputs", example.outputs))
        for name, value in values.items()
    }
    np.savez_compressed(path, allow_pickle=False, **arrays)


def examples_of(arrays: Mapping[str, np.ndarray]) -> list[DeviceExample]:
    """The examples that `write_examples` wrote, from the arrays of its file."""
    found: dict[str, DeviceExample] = {}
    for key, value in arrays.items():
        number, signature, part, name = key.split("/")
        example = found.setdefault(number, DeviceExample(signature, {}, {}))
        (example.inputs if part == "inputs" else example.outputs)[name] = value
    return list(found.values())
