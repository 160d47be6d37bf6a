"""What ClickRanker's heads are worth, a behaviour at a time, and their calibration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.models.click_ranker.calibration import HEADLINE, head_metrics, platt, predicted_probabilities
from tfrec.models.click_ranker.examples import RankerExamples, judged_examples
from tfrec.models.click_ranker.labels import fulfilled
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.click_ranker.predictor import ClickRankerJudge


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
    heads = head_metrics(judged.labels, predicted_probabilities(judge, judged, True), model.behaviours)
    raw = head_metrics(judged.labels, predicted_probabilities(judge, judged, False), model.behaviours)
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


def mean_over_heads(heads: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """Means of auc, log_loss, brier and ece over the heads; those without an auc are left out of its mean, which is 0.5
    where no head has one."""
    means = {}
    for name in HEADLINE:
        known = [found[name] for found in heads.values() if found[name] is not None]
        means[name] = float(np.mean(known)) if known else 0.5
    return means


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
