"""What every fit gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tfrec.keras import keras


@dataclass
class FitResult:
    """A fitted model with its best weights loaded, a row of numbers an epoch, and the best validation metrics."""

    model: keras.Model
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics_valid: dict[str, float] = field(default_factory=dict)
