"""The result of a fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

    from tfrec.privacy.ledger import Ledger


@dataclass
class FitResult:
    """The result of a fit.

    Attributes:
        model: The model with its best weights; a Keras model, or any object that its family can save and load.
        history: One row of metrics per epoch.
        metrics_valid: Validation metrics of the best epoch.
        encoder: The text encoder that was trained with the model; None if none was.
        ledger: What a private training computed from events; None of any other.
        start: Which start of the training was kept, of those that were compared; None if there was one only.
        score_weights: Whether the trained network was kept or left out, and by what comparison; None without one.
        elsewhere: The score weights for a catalogue without validation queries, and how they were found; None for those
            of the run.
        items: The catalogue as the run may hold it; None for that of the data.
    """

    model: Any
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics_valid: dict[str, Any] = field(default_factory=dict)
    encoder: Any = None
    ledger: Ledger | None = None
    start: dict[str, Any] | None = None
    score_weights: dict[str, Any] | None = None
    elsewhere: dict[str, Any] | None = None
    items: pl.DataFrame | None = None
