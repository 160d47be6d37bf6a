"""Deletions for runs of the behaviour-text family: each variant is rendered as a text and read again."""

from __future__ import annotations

from tfrec.explanation.deletions import DeletionScorer, RescoredDeletions
from tfrec.models.family import TrainedRun
from tfrec.models.registry import family_of


def deletions(run: TrainedRun) -> DeletionScorer:
    """Scores after deletions of a model with the softmax head; `InvalidInput` for the sigmoid head."""
    scorer = family_of(run.config.model.kind).scorer(run)
    return RescoredDeletions.of_scorer(scorer, run.model.max_history)
