"""Metrics of predicted probabilities: AUC, log loss, Brier score and calibration."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec.errors import InvalidInput

CLIP = 1e-7
"""Probabilities are kept this far from 0 and 1 in the log loss. A float32 sigmoid is exactly 1 above a logit of about
17, so a single confident mistake would otherwise make the log loss infinite."""


def evaluate_probabilities(labels: np.ndarray, probabilities: np.ndarray, *, bins: int = 10) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration of predicted probabilities.

    Args:
        labels: `[n]`, 0 or 1 (or bool).
        probabilities: float `[n]` in 0…1.
        bins: int. Number of calibration bins of equal width. A probability on an edge belongs to the upper bin, and 1
            to the last bin.

    Returns:
        - auc: the chance that a random positive scores above a random negative, ties counting half; NaN if there is
          only one class.
        - log_loss: mean negative log-likelihood (natural log), with probabilities clipped to 1e-7…1 − 1e-7.
        - brier: mean squared error.
        - ece: expected calibration error: the mean over bins of |positive rate − mean probability|, weighted by count.
        - calibration: one dict per non-empty bin: low, high, count, probability (mean), positive_rate.

    Raises:
        InvalidInput: Empty input, different lengths, labels other than 0 and 1, or probabilities outside 0…1 or NaN.

    Example:
        >>> evaluate_probabilities([0, 1, 1], [0.2, 0.2, 0.9])["auc"]
        0.75
    """
    truth, given = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    _check(truth, given, bins)
    bounded = np.clip(given, CLIP, 1 - CLIP)
    table = _calibration(truth, given, bins)
    ece = sum(row["count"] * abs(row["positive_rate"] - row["probability"]) for row in table) / len(truth)
    return {
        "auc": area_under_curve(truth, given),
        "log_loss": float(-np.mean(truth * np.log(bounded) + (1 - truth) * np.log1p(-bounded))),
        "brier": float(np.mean((given - truth) ** 2)),
        "ece": float(ece),
        "calibration": table,
    }


def area_under_curve(labels: np.ndarray, scores: np.ndarray) -> float:
    """The chance that a random positive scores above a random negative, ties half (Mann-Whitney); NaN with one class.

    Args:
        labels: `[n]`, positive where above 0.
        scores: float `[n]`.
    """
    positive = np.asarray(labels) > 0
    above = int(positive.sum())
    below = len(positive) - above
    if not above or not below:
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2  # tied scores share the mean of their ranks
    return float((mean_rank[place][positive].sum() - above * (above + 1) / 2) / (above * below))


def _calibration(truth: np.ndarray, given: np.ndarray, bins: int) -> list[dict[str, float]]:
    edges = np.linspace(0, 1, bins + 1)
    place = np.searchsorted(edges[1:-1], given, side="right")
    count = np.bincount(place, minlength=bins)
    mean = np.bincount(place, given, minlength=bins) / np.maximum(count, 1)
    rate = np.bincount(place, truth, minlength=bins) / np.maximum(count, 1)
    return [
        {
            "low": float(edges[b]),
            "high": float(edges[b + 1]),
            "count": int(count[b]),
            "probability": float(mean[b]),
            "positive_rate": float(rate[b]),
        }
        for b in np.flatnonzero(count)
    ]


def _check(truth: np.ndarray, given: np.ndarray, bins: int) -> None:
    if truth.ndim != 1 or truth.shape != given.shape or not len(truth):
        raise InvalidInput(f"Expected labels and probabilities [n] with n > 0, received {truth.shape}, {given.shape}.")
    if not np.isin(truth, (0, 1)).all():
        raise InvalidInput("Expected labels 0 and 1, received other values. Map your labels to 0 and 1.")
    if not ((given >= 0) & (given <= 1)).all():
        raise InvalidInput(
            "Expected probabilities in 0…1, received other values or NaN. If they are logits, apply a sigmoid."
        )
    if bins < 1:
        raise InvalidInput(f"Expected at least 1 bin, received {bins}.")
