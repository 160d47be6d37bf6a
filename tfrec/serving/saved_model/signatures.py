"""The signatures of a module: their inputs and outputs, as in `tfrec.json`, and calls of them."""

from __future__ import annotations

from typing import Any

import numpy as np

Arrays = dict[str, "np.ndarray[Any, Any]"]


def input_shapes(module: Any) -> dict[str, dict[str, list[int]]]:
    """Shapes by signature and input name, without the batch: [] for inputs of shape [batch]."""
    return {name: {spec.name: list(spec.shape[1:]) for spec in _inputs(f)} for name, f in module.functions.items()}


def describe_signatures(module: Any) -> dict[str, dict[str, Any]]:
    """For each signature the inputs (name, dtype, width, of vectors dim) and outputs (name, dtype)."""
    signatures = {}
    for name, function in sorted(module.functions.items()):
        outputs = function.structured_outputs
        signatures[name] = {
            "inputs": [_described(spec) for spec in _inputs(function)],
            "outputs": [{"name": key, "dtype": outputs[key].dtype.name} for key in sorted(outputs)],
        }
    return signatures


def call_signature(module: Any, name: str, inputs: Arrays) -> Arrays:
    """The answer of a module's signature to a request of arrays; those of objects are strings."""
    import tensorflow as tf

    tensors = {
        key: tf.constant(value.tolist(), tf.string) if value.dtype == object else tf.constant(value)
        for key, value in inputs.items()
    }
    return {key: value.numpy() for key, value in module.functions[name](**tensors).items()}


def _inputs(function: Any) -> list[Any]:
    """The TensorSpecs of a concrete function."""
    return [*function.structured_input_signature[0], *function.structured_input_signature[1].values()]


def _described(spec: Any) -> dict[str, Any]:
    described = {"name": spec.name, "dtype": spec.dtype.name, "width": spec.shape[1] if spec.shape.rank > 1 else None}
    return described | ({"dim": spec.shape[2]} if spec.shape.rank > 2 else {})
