"""How good lists and probabilities are: full-ranking metrics with intervals, and calibration."""

from tfrec.evaluation.beyond import BeyondResult, evaluate_beyond
from tfrec.evaluation.lists import category_matrix
from tfrec.evaluation.probabilities import evaluate_probabilities
from tfrec.evaluation.ranking import RankingResult, evaluate_ranking

__all__ = [
    "BeyondResult",
    "RankingResult",
    "category_matrix",
    "evaluate_beyond",
    "evaluate_probabilities",
    "evaluate_ranking",
]
