"""Describes the inputs and outputs of a module's signatures, as in `tfrec.json`."""

from __future__ import annotations

from typing import Any


def input_widths(module: Any) -> dict[str, dict[str, int | None]]:
    """Widths by signature and input name; None for inputs of shape [batch]."""
    return {
        name: {i["name"]: i["width"] for i in about["inputs"]} for name, about in describe_signatures(module).items()
    }


def describe_signatures(module: Any) -> dict[str, dict[str, Any]]:
    """For each signature the inputs (name, dtype, width) and outputs (name, dtype)."""
    signatures = {}
    for name, function in sorted(module.functions.items()):
        specs = [*function.structured_input_signature[0], *function.structured_input_signature[1].values()]
        outputs = function.structured_outputs
        signatures[name] = {
            "inputs": [
                {"name": s.name, "dtype": "string", "width": s.shape[1] if s.shape.rank > 1 else None} for s in specs
            ],
            "outputs": [{"name": key, "dtype": outputs[key].dtype.name} for key in sorted(outputs)],
        }
    return signatures
