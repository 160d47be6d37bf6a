"""Platt scaling of the heads' logits, and metrics of their probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrec.evaluation import evaluate_probabilities
from tfrec.models.click_ranker.examples import RankerExamples
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.click_ranker.predictor import ClickRankerPredictor

HEADLINE = ("auc", "log_loss", "brier", "ece")
"""The metrics that are averaged over the heads."""


def head_metrics(labels: np.ndarray, probabilities: np.ndarray, behaviours: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Metrics of each head.

    Args:
        labels: float `[n, candidates, behaviours]`; labels of −1 are ignored.
        probabilities: float, same shape.
        behaviours: Names along the last axis.

    Returns:
        For each behaviour the metrics of `evaluate_probabilities` and the number of `positives`. `auc` is None if only
        one class occurs.
    """
    metrics = {}
    for head, name in enumerate(behaviours):
        real = labels[..., head] >= 0
        truth = labels[..., head][real]
        measured = evaluate_probabilities(truth, np.asarray(probabilities)[..., head][real])
        auc = None if np.isnan(measured["auc"]) else measured["auc"]
        metrics[name] = {**measured, "auc": auc, "positives": int(truth.sum())}
    return metrics


def calibrate(model: ClickRanker, examples: RankerExamples) -> dict[str, dict[str, float]]:
    """Fits the calibration of each head on examples and assigns it to the model.

    Returns:
        For each behaviour, `log_loss` and `ece` before and after calibration, on the same examples. With two parameters
        per head and thousands of examples they are barely optimistic; for unbiased values, evaluate the test split.
    """
    predictor = ClickRankerPredictor(model)
    raw = predicted_probabilities(predictor, examples, False)
    fitted = [platt(_logit(raw[..., head]), examples.labels[..., head]) for head in range(len(model.behaviours))]
    model.calibration.slope.assign([slope for slope, _ in fitted])
    model.calibration.shift.assign([shift for _, shift in fitted])
    before = head_metrics(examples.labels, raw, model.behaviours)
    after = head_metrics(examples.labels, predicted_probabilities(predictor, examples, True), model.behaviours)
    return {
        name: {
            f"{metric}_{when}": measured[name][metric]
            for metric in ("log_loss", "ece")
            for when, measured in (("before", before), ("after", after))
        }
        for name in model.behaviours
    }


def platt(logits: np.ndarray, labels: np.ndarray, steps: int = 50) -> tuple[float, float]:
    """Slope and shift of a logistic regression of labels on logits, fitted by Newton's method (Platt 1999).

    Args:
        logits: float, any shape.
        labels: 0 or 1, same shape; negative labels are ignored.
        steps: int. Maximum number of Newton steps.

    Returns:
        Slope and shift; (1, 0) if only one class occurs. A negative slope, of a model worse than chance, is replaced
        by 0, with the log-odds of a positive as the shift.

    Example:
        >>> tuple(round(value, 2) for value in platt(np.array([-1.0, -1.0, 1.0, 1.0, 1.0]), np.array([0, 1, 1, 1, 0])))
        (0.35, 0.35)
    """
    real = labels >= 0
    x, y = np.asarray(logits, np.float64)[real], np.asarray(labels, np.float64)[real]
    if not 0 < y.mean() < 1:
        return 1.0, 0.0
    share = float(np.log(y.mean() / (1 - y.mean())))
    centre, scale = x.mean(), x.std() or 1.0
    table = np.stack([(x - centre) / scale, np.ones_like(x)], axis=1)
    weights = np.array([0.0, share])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-np.clip(table @ weights, -30, 30)))
        gradient = table.T @ (p - y) + np.array([1e-3 * weights[0], 0])
        hessian = (table * (p * (1 - p))[:, None]).T @ table + np.eye(2) * np.array([1e-3, 1e-9])
        step = np.linalg.solve(hessian, gradient)
        weights -= np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-9:
            break
    if weights[0] <= 0:
        return 0.0, share
    return float(weights[0] / scale), float(weights[1] - weights[0] * centre / scale)


def predicted_probabilities(predictor: ClickRankerPredictor, examples: RankerExamples, calibrated: bool) -> np.ndarray:
    """The predicted probabilities of all examples, float32 `[n, candidates, behaviours]`."""
    return predictor.probabilities(
        examples.histories,
        examples.rows,
        examples.candidates,
        stops=examples.stops,
        context=examples.context,
        calibrated=calibrated,
    )


def _logit(probabilities: np.ndarray) -> np.ndarray:
    bounded = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(bounded / (1 - bounded))
