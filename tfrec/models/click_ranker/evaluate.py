"""What ClickRanker's heads are worth, a behaviour at a time, and their calibration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.evaluation import evaluate_probabilities
from tfrec.models.click_ranker.examples import RankerExamples, judged_examples
from tfrec.models.click_ranker.labels import fulfilled
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.click_ranker.predictor import ClickRankerJudge

HEADLINE = ("auc", "log_loss", "brier", "ece")


def evaluate_click_ranker(
    model: ClickRanker, dataset: PreparedDataset, split: str, config: RunConfig
) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration of each head, beside popularity.

    The candidates are those of `judged_examples`: given impressions, else sampled negatives as for BehaviourTextModel.
    Popularity is the training count of the behaviour, calibrated on validation like the model, so that its log loss is
    that of a fair guess.

    Returns:
        The means over the heads of auc, log_loss, brier and ece; `behaviours`: for each head what
        `evaluate_probabilities` gives, `positives`, and `log_loss_uncalibrated`, `ece_uncalibrated`; `users`, `items`,
        `protocol`, `baselines`. A head without both classes has auc None. Empty without queries.
    """
    judged = judged_examples(dataset, split, model.behaviours, config)
    if judged is None:
        return {}
    judge = ClickRankerJudge(model)
    heads = head_metrics(judged.labels, _judged(judge, judged, True), model.behaviours)
    raw = head_metrics(judged.labels, _judged(judge, judged, False), model.behaviours)
    for name, found in heads.items():
        found |= {f"{metric}_uncalibrated": raw[name][metric] for metric in ("log_loss", "ece")}
    popularity = head_metrics(judged.labels, _popularity(judged, model, dataset, config), model.behaviours)
    kept = {name: {metric: found[metric] for metric in HEADLINE} for name, found in popularity.items()}
    return {
        **mean_over_heads(heads),
        "behaviours": heads,
        "users": len(np.unique(judged.rows)),
        "items": dataset.num_items,
        "protocol": {
            "split": dataset.manifest["split"],
            "part": split,
            "candidates": "given impressions" if judged.given else "sampled",
            "negatives": None if judged.given else config.evaluation.negatives,
            "sampling": None if judged.given else "uniform over items neither in the history nor among the targets",
            "labels": "what the user does with the item in the window; in the funnel, deeper implies shallower",
        },
        "baselines": {"popularity": {**mean_over_heads(kept), "behaviours": kept}},
    }


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


def mean_over_heads(heads: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Means of auc, log_loss, brier and ece over the heads; those without an auc are left out of its mean, which is 0.5
    where no head has one."""
    means = {}
    for name in HEADLINE:
        known = [found[name] for found in heads.values() if found[name] is not None]
        means[name] = float(np.mean(known)) if known else 0.5
    return means


def calibrate(model: ClickRanker, judged: RankerExamples) -> dict[str, dict[str, float]]:
    """Fits the model's calibration on examples, a head at a time; returns log loss and ece before and after there.

    With two numbers a head and thousands of examples, what it says of the same examples is hardly too good; the test
    split says it without a doubt.
    """
    judge = ClickRankerJudge(model)
    raw = _judged(judge, judged, False)
    fitted = [platt(_logit(raw[..., head]), judged.labels[..., head]) for head in range(len(model.behaviours))]
    model.calibration.slope.assign([slope for slope, _ in fitted])
    model.calibration.shift.assign([shift for _, shift in fitted])
    before = head_metrics(judged.labels, raw, model.behaviours)
    after = head_metrics(judged.labels, _judged(judge, judged, True), model.behaviours)
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


def _judged(judge: ClickRankerJudge, judged: RankerExamples, calibrated: bool) -> np.ndarray:
    return judge.probabilities(
        judged.histories,
        judged.rows,
        judged.candidates,
        stops=judged.stops,
        context=judged.context,
        calibrated=calibrated,
    )


def _popularity(judged: RankerExamples, model: ClickRanker, dataset: PreparedDataset, config: RunConfig) -> np.ndarray:
    training, counts = dataset.training(), np.zeros((dataset.num_items, len(model.behaviours)))
    acts = fulfilled(dataset.event_kinds, model.behaviours)[training.events] * training.is_target[:, None]
    np.add.at(counts, training.items, acts)
    logs = np.log1p(counts)
    valid = judged_examples(dataset, schema.VALID, model.behaviours, config) or judged
    found = np.zeros(judged.labels.shape)
    for head in range(len(model.behaviours)):
        slope, shift = platt(logs[valid.candidates, head], valid.labels[..., head])
        found[..., head] = 1 / (1 + np.exp(-(slope * logs[judged.candidates, head] + shift)))
    return found


def _logit(probabilities: np.ndarray) -> np.ndarray:
    bounded = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
    return np.log(bounded / (1 - bounded))
