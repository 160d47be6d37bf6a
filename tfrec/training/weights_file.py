"""Weights in an HDF5 file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from tfrec.files.disk_full import check_space

_OF_A_WEIGHT = 4096
"""Bytes of HDF5's own for each weight, at most."""


def save_weights(model: Any, path: Path) -> None:
    """Writes the model's weights to `path`, a name that Keras knows as HDF5.

    The space is asked for first: on a full disk HDF5 may end the process instead of raising an error. What a model
    writes beside its weights it says in `hosted_bytes`.

    Raises:
        OSError: There is no space for the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = getattr(model, "hosted_bytes", 0) + sum(
        math.prod(weight.shape) * weight.dtype.size for weight in model.weights
    )
    check_space(path.with_name(f".{path.name}.space"), numbers + _OF_A_WEIGHT * (len(model.weights) + 1))
    model.save_weights(str(path))
