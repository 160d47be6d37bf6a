"""How good probabilities are: AUC, log loss, Brier score, calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec.errors import InvalidInput


def evaluate_probabilities(labels: np.ndarray, probabilities: np.ndarray, bins: int = 10) -> dict[str, Any]:
    """Metrics of probabilities against what happened.

    Args:
        labels: `[n]`, 0 or 1.
        probabilities: float `[n]` in 0…1.
        bins: int. Equally wide bins of the calibration table.

    Returns:
        `auc` (ties count half; NaN with one class only), `log_loss` (nats, probabilities cut to 1e-7…1 − 1e-7),
        `brier`, `ece` (expected calibration error) and `calibration`: a row for each bin that is not empty, with its
        mean probability, share of positives and count.

    Example:
        >>> float(evaluate_probabilities(np.array([0, 1, 1]), np.array([0.1, 0.1, 0.9]))["auc"])
        0.75
    """
    labels = np.asarray(labels, np.float64)
    probabilities = np.asarray(probabilities, np.float64)
    if labels.shape != probabilities.shape or labels.ndim != 1 or not len(labels):
        raise InvalidInput(
            f"Expected as many labels as probabilities, at least one; received {labels.shape}, {probabilities.shape}."
        )
    if not np.isfinite(probabilities).all() or probabilities.min() < 0 or probabilities.max() > 1:
        raise InvalidInput("Expected probabilities in 0…1; received values outside, or NaN.")
    cut = np.clip(probabilities, 1e-7, 1 - 1e-7)
    bin_of = np.minimum((probabilities * bins).astype(int), bins - 1)
    table = [_bin(labels[bin_of == i], probabilities[bin_of == i]) for i in range(bins) if (bin_of == i).any()]
    gaps = [row["count"] * abs(row["probability"] - row["positive"]) for row in table]
    return {
        "auc": _auc(labels, probabilities),
        "log_loss": float(-np.mean(labels * np.log(cut) + (1 - labels) * np.log1p(-cut))),
        "brier": float(np.mean((probabilities - labels) ** 2)),
        "ece": float(sum(gaps) / len(labels)),
        "calibration": table,
    }


def _bin(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    return {"probability": float(probabilities.mean()), "positive": float(labels.mean()), "count": len(labels)}


def _auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Mann-Whitney U over the number of pairs, with mean ranks for ties."""
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positives = labels.sum()
    negatives = len(labels) - positives
    if not positives or not negatives:
        return float("nan")
    return float((mean_rank[labels == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))
