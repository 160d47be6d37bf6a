"""Combines a retrieval run and a ranker run into one two-stage scorer."""

from __future__ import annotations

from typing import Any

from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.models.click_ranker.examples import impression_kind
from tfrec.models.click_ranker.predictor import ClickRankerPredictor
from tfrec.models.family import Ability
from tfrec.models.registry import families_with, family_of
from tfrec.retrieval.two_stage_scorer import TwoStage, head_weights
from tfrec.runs.run import Run


def check_ranker(run: Run, ranker: Run) -> None:
    """Raises `InvalidInput` unless `run` can retrieve and `ranker` is a click-ranker on the same catalogue."""
    if not family_of(ranker.kind).can(Ability.RANK_CANDIDATES, ranker.config):
        families = families_with(Ability.RANK_CANDIDATES)
        raise InvalidInput(f"--ranker must be a {families} run; {ranker.path} is a {ranker.kind} run.")
    if not family_of(run.kind).can(Ability.RANK_CATALOGUE, run.config):
        raise InvalidInput(f"--run must be a run that retrieves, e.g. next-item; {run.path} is a {run.kind} run.")
    run.refuse_other_catalogue(ranker)


def two_stage_scorer(run: Run, ranker: Run, dataset: PreparedDataset, *, exclude_seen: bool) -> TwoStage:
    """A scorer that retrieves candidates with one run and re-ranks them with another.

    Args:
        run: A run that ranks the catalogue.
        ranker: A click-ranker run on the same catalogue; its `retrieval` section configures the second stage.
        dataset: The data that the histories come from.
        exclude_seen: Whether seen items are excluded from the candidates.

    Raises:
        InvalidInput: The runs cannot be combined, or a weight names a behaviour that the ranker does not have.
    """
    check_ranker(run, ranker)
    options, model = ranker.config.retrieval, ranker.model
    return TwoStage(
        run.scorer(dataset),
        ClickRankerPredictor(model),
        head_weights(model.behaviours, options.behaviour_weights),
        candidates=options.candidates,
        first_stage=options.first_stage,
        exclude_seen=exclude_seen,
        impressions=impression_kind(dataset.event_kinds),
    )


def two_stage_protocol(ranker: Run) -> dict[str, Any]:
    """The options of the second stage, for the metrics file."""
    options = ranker.config.retrieval
    weights = head_weights(ranker.model.behaviours, options.behaviour_weights)
    return {
        "candidates": options.candidates,
        "behaviour_weights": dict(zip(ranker.model.behaviours, weights.tolist())),
        "first_stage": options.first_stage,
    }
