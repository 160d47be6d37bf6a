"""The result of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FitResult:
    """The result of a fit.

    Attributes:
        model: The model with its best weights; a Keras model, or any object that its family can save and load.
        history: One row of metrics per epoch.
        metrics_valid: Validation metrics of the best epoch.
        encoder: The text encoder that was trained with the model; None if none was.
    """

    model: Any
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics_valid: dict[str, Any] = field(default_factory=dict)
    encoder: Any = None
