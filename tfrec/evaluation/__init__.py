"""Metrics of ranked lists and of probabilities: intervals, slices, calibration and comparisons of systems."""

from tfrec.evaluation.beyond_accuracy import BeyondResult, evaluate_beyond
from tfrec.evaluation.compare_systems import compare_systems
from tfrec.evaluation.evaluate_ranking import RankingResult, evaluate_protocols, evaluate_ranking
from tfrec.evaluation.list_metrics import category_matrix
from tfrec.evaluation.probability_metrics import evaluate_probabilities

__all__ = [
    "BeyondResult",
    "RankingResult",
    "category_matrix",
    "compare_systems",
    "evaluate_beyond",
    "evaluate_probabilities",
    "evaluate_protocols",
    "evaluate_ranking",
]
