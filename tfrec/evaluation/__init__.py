"""How good lists and probabilities are: full-ranking metrics with intervals, and calibration."""

from tfrec.evaluation.probabilities import evaluate_probabilities
from tfrec.evaluation.ranking import RankingResult, evaluate_ranking

__all__ = ["RankingResult", "evaluate_probabilities", "evaluate_ranking"]
