"""What every fit gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class FitResult:
    """What a fit gives back.

    Attributes:
        model: With its best weights loaded; a Keras model, or whatever its family saves and loads.
        history: A row of numbers an epoch.
        metrics_valid: The best validation metrics.
        encoder_hash: Of the encoder that was trained with the model; None where none was.
    """

    model: Any
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics_valid: dict[str, Any] = field(default_factory=dict)
    encoder_hash: str | None = None
