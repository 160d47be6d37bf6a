"""How good lists and probabilities are: metrics with intervals, slices, calibration, comparisons."""

from tfrec.evaluation.beyond import BeyondResult, evaluate_beyond
from tfrec.evaluation.comparison import compare_systems
from tfrec.evaluation.lists import category_matrix
from tfrec.evaluation.probabilities import evaluate_probabilities
from tfrec.evaluation.ranking import RankingResult, evaluate_protocols, evaluate_ranking

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
