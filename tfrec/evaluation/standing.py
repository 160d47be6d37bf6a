"""How a run stands beside the best untrained baseline: ahead, level or behind, by a rule and not by chance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from tfrec.evaluation.evaluate_ranking import RankingResult
from tfrec.evaluation.significance import paired_difference

METRIC = "ndcg@10"
AHEAD, LEVEL, BEHIND = "ahead", "level", "behind"
TRAINED, UNTRAINED = "trained", "untrained"


class MeasuredBaseline(NamedTuple):
    """A baseline on the queries of an evaluation.

    Attributes:
        result: Its result.
        settings: Those with the best NDCG@10 on validation.
        valid_ndcg: That NDCG@10; None without validation queries.
    """

    result: RankingResult
    settings: dict[str, Any]
    valid_ndcg: float | None


def standing(result: RankingResult, baselines: Mapping[str, MeasuredBaseline]) -> dict[str, Any]:
    """The best baseline, by how much the run is better than it, and which of them the rule says wins.

    The best baseline is the one that is best on validation, so that the test does not choose it; without validation
    queries it is the best on the queries themselves, which is unfair to the run. The run is ahead or behind if the mean
    difference is larger than its standard error, paired by query, and level otherwise.

    Args:
        result: Of the run.
        baselines: By name, at least one, measured on the same queries.

    Returns:
        `baseline`, a name; `difference`, the run's NDCG@10 minus the baseline's; `standard_error` of the difference,
        None for a single query, which decides nothing; and `verdict`, "ahead", "level" or "behind".
    """
    name = max(baselines, key=lambda each: _chosen_by(baselines[each]))
    mean, error = paired_difference(_each(result), _each(baselines[name].result))
    verdict = LEVEL if error is None or abs(mean) <= error else AHEAD if mean > 0 else BEHIND
    return {"baseline": name, "difference": mean, "standard_error": error, "verdict": verdict}


def standing_words(found: Mapping[str, Any]) -> str:
    """`standing` as a sentence.

    Example:
        >>> standing_words({"baseline": "text", "difference": 0.02, "standard_error": 0.015, "verdict": "ahead"})
        'The model is ahead of the best untrained baseline, text: ndcg@10 +0.0200 (standard error 0.0150).'
    """
    words = {AHEAD: "ahead of", LEVEL: "level with", BEHIND: "behind"}[found["verdict"]]
    name = found["baseline"]
    error = "of one user" if found["standard_error"] is None else f"standard error {found['standard_error']:.4f}"
    numbers = f"ndcg@10 {found['difference']:+.4f} ({error})"
    advice = " Serve what is better, or give the model more data." if found["verdict"] == BEHIND else ""
    return f"The model is {words} the best untrained baseline, {name}: {numbers}.{advice}"


def score_weights_words(found: Mapping[str, Any]) -> str:
    """What a run kept on validation, its trained network or counts and texts alone, as a sentence.

    Args:
        found: `score_weights` of the run's manifest.

    Example:
        >>> values = {"trained": 0.04, "untrained": 0.041}
        >>> print(score_weights_words({"chosen": "untrained", "valid_ndcg@10": values, "difference": -0.001,
        ...                            "standard_error": 0.005, "queries": 245}))
        Kept on validation: untrained (ndcg@10 0.0410; trained -0.0010, standard error 0.0050; 245 users).
    """
    values = found["valid_ndcg@10"]
    error = "" if found["standard_error"] is None else f", standard error {found['standard_error']:.4f}"
    return (
        f"Kept on validation: {found['chosen']} (ndcg@10 {values[UNTRAINED]:.4f}; trained "
        f"{found['difference']:+.4f}{error}; {found['queries']:,} users)."
    )


def _chosen_by(baseline: MeasuredBaseline) -> float:
    return baseline.result.metrics[METRIC] if baseline.valid_ndcg is None else baseline.valid_ndcg


def _each(result: RankingResult) -> np.ndarray:
    """NDCG@10 of each query."""
    return result.per_user[METRIC].to_numpy()
