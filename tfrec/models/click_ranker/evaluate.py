"""Evaluation of ClickRanker: metrics and calibration of each head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.models.click_ranker.calibration import HEADLINE, head_metrics, platt, predicted_probabilities
from tfrec.models.click_ranker.examples import RankerExamples, evaluation_examples
from tfrec.models.click_ranker.labels import implied_behaviours
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.click_ranker.predictor import ClickRankerPredictor


def evaluate_click_ranker(
    model: ClickRanker, dataset: PreparedDataset, split: str, config: RunConfig
) -> dict[str, Any]:
    """AUC, log loss, Brier score and calibration of each head, beside popularity.

    The candidates come from `evaluation_examples`: recorded impressions, or else sampled negatives as for
    BehaviourTextModel. The popularity baseline scores a candidate by its training count of the behaviour and is
    calibrated on validation like the model, so that their log losses can be compared.

    Args:
        model: The model to evaluate.
        dataset: The data that it was trained on.
        split: "valid" or "test".
        config: Sections `evaluation` and `training` (its seed).

    Returns:
        Means of auc, log_loss, brier and ece over the heads; `behaviours`: for each head the metrics of
        `evaluate_probabilities`, `positives`, `log_loss_uncalibrated` and `ece_uncalibrated`; `users`, `items`,
        `protocol` and `baselines`. A head with only one class has auc None. Empty if the split has no queries.
    """
    examples = evaluation_examples(dataset, split, model.behaviours, config)
    if examples is None:
        return {}
    predictor = ClickRankerPredictor(model)
    heads = head_metrics(examples.labels, predicted_probabilities(predictor, examples, True), model.behaviours)
    raw = head_metrics(examples.labels, predicted_probabilities(predictor, examples, False), model.behaviours)
    for name, metrics in heads.items():
        metrics |= {f"{metric}_uncalibrated": raw[name][metric] for metric in ("log_loss", "ece")}
    popularity = head_metrics(
        examples.labels, _popularity_probabilities(examples, model, dataset, config), model.behaviours
    )
    baseline = {name: {metric: metrics[metric] for metric in HEADLINE} for name, metrics in popularity.items()}
    return {
        **mean_over_heads(heads),
        "behaviours": heads,
        "users": len(np.unique(examples.rows)),
        "items": dataset.num_items,
        "protocol": {
            "split": dataset.manifest["split"],
            "part": split,
            "candidates": "given impressions" if examples.given else "sampled",
            "negatives": None if examples.given else config.evaluation.negatives,
            "sampling": None if examples.given else "uniform over items neither in the history nor among the targets",
            "labels": "what the user does with the item in the window; in the funnel, deeper implies shallower",
        },
        "baselines": {"popularity": {**mean_over_heads(baseline), "behaviours": baseline}},
    }


def mean_over_heads(heads: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Means of auc, log_loss, brier and ece over the heads.

    Heads without an auc are left out of its mean; if no head has one, the mean is 0.5.
    """
    means = {}
    for name in HEADLINE:
        known = [metrics[name] for metrics in heads.values() if metrics[name] is not None]
        means[name] = float(np.mean(known)) if known else 0.5
    return means


def _popularity_probabilities(
    examples: RankerExamples, model: ClickRanker, dataset: PreparedDataset, config: RunConfig
) -> np.ndarray:
    """The training count of each candidate for each behaviour, calibrated on validation."""
    training, counts = dataset.training(), np.zeros((dataset.num_items, len(model.behaviours)))
    acts = implied_behaviours(dataset.event_kinds, model.behaviours)[training.events] * training.is_target[:, None]
    np.add.at(counts, training.items, acts)
    logs = np.log1p(counts)
    valid = evaluation_examples(dataset, schema.VALID, model.behaviours, config) or examples
    probabilities = np.zeros(examples.labels.shape)
    for head in range(len(model.behaviours)):
        slope, shift = platt(logs[valid.candidates, head], valid.labels[..., head])
        probabilities[..., head] = 1 / (1 + np.exp(-(slope * logs[examples.candidates, head] + shift)))
    return probabilities
