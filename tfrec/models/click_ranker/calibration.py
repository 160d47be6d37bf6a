"""Platt scaling of the heads' logits, and what the heads' probabilities are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tfrec.evaluation import evaluate_probabilities
from tfrec.models.click_ranker.examples import RankerExamples
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.click_ranker.predictor import ClickRankerJudge

HEADLINE = ("auc", "log_loss", "brier", "ece")


def head_metrics(labels: np.ndarray, probabilities: np.ndarray, behaviours: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`evaluate_probabilities` of each behaviour, and its `positives`; auc is None with one class only.

    Args:
        labels: float `[n, candidates, behaviours]`, −1 is left out. probabilities: float, the same shape.
        behaviours: Names of the last axis.
    """
    metrics = {}
    for head, name in enumerate(behaviours):
        real = labels[..., head] >= 0
        truth = labels[..., head][real]
        found = evaluate_probabilities(truth, np.asarray(probabilities)[..., head][real])
        auc = None if np.isnan(found["auc"]) else found["auc"]
        metrics[name] = {**found, "auc": auc, "positives": int(truth.sum())}
    return metrics


def calibrate(model: ClickRanker, judged: RankerExamples) -> dict[str, dict[str, float]]:
    """Fits the model's calibration on examples, a head at a time; returns log loss and ece before and after there.

    With two numbers a head and thousands of examples, what it says of the same examples is hardly too good; the test
    split says it without a doubt.
    """
    judge = ClickRankerJudge(model)
    raw = predicted_probabilities(judge, judged, False)
    fitted = [platt(_logit(raw[..., head]), judged.labels[..., head]) for head in range(len(model.behaviours))]
    model.calibration.slope.assign([slope for slope, _ in fitted])
    model.calibration.shift.assign([shift for _, shift in fitted])
    before = head_metrics(judged.labels, raw, model.behaviours)
    after = head_metrics(judged.labels, predicted_probabilities(judge, judged, True), model.behaviours)
    return {
        name: {
            f"{metric}_{when}": found[name][metric]
            for metric in ("log_loss", "ece")
            for when, found in (("before", before), ("after", after))
        }
        for name in model.behaviours
    }


def platt(logits: np.ndarray, labels: np.ndarray, steps: int = 50) -> tuple[float, float]:
    """Slope and shift of the logistic regression of labels on logits, by Newton's method (Platt 1999).

    Args:
        logits: float, any shape. labels: 0 or 1, the same shape; negative ones are left out.

    Returns:
        (1, 0) with one class only. A slope below 0, of a model worse than chance, becomes 0, with the shift of the
        share of positives.

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


def predicted_probabilities(judge: ClickRankerJudge, judged: RankerExamples, calibrated: bool) -> np.ndarray:
    """The judge's probabilities for all examples, float `[n, candidates, behaviours]`."""
    return judge.probabilities(
        judged.histories,
        judged.rows,
        judged.candidates,
        stops=judged.stops,
        context=judged.context,
        calibrated=calibrated,
    )


def _logit(probabilities: np.ndarray) -> np.ndarray:
    bounded = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(bounded / (1 - bounded))
