"""Ranking and probability metrics, per user and on average, with intervals."""

from tfrec.evaluation.probabilities import evaluate_probabilities
from tfrec.evaluation.ranking import RankingResult, evaluate_ranking

__all__ = ["RankingResult", "evaluate_probabilities", "evaluate_ranking"]
