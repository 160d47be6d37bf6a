"""A retrieval run and a ranker run as one Scorer, and what the second stage changes."""

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
    """Raises `InvalidInput` unless `ranker` is a click-ranker over the catalogue of `run`, which retrieves."""
    if not family_of(ranker.kind).can(Ability.RANK_CANDIDATES, ranker.config):
        wanted = families_with(Ability.RANK_CANDIDATES)
        raise InvalidInput(f"--ranker must be a run of {wanted}, {ranker.path} is one of {ranker.kind}.")
    if not family_of(run.kind).can(Ability.RANK_CATALOGUE, run.config):
        raise InvalidInput(f"--run must be a run that retrieves, e.g. next-item; {run.path} is one of {run.kind}.")
    run.refuse_other_catalogue(ranker)


def two_stage_scorer(run: Run, ranker: Run, dataset: PreparedDataset, *, exclude_seen: bool) -> TwoStage:
    """The run retrieves, the ranker puts its candidates in order, as the ranker's `retrieval` section says.

    Args:
        run: A run that ranks the catalogue. ranker: A run of click-ranker on the same catalogue.
        dataset: What the histories come from.
        exclude_seen: Whether seen items are no candidates.

    Raises:
        InvalidInput: the runs do not fit together, or a weight names no behaviour of the ranker.
    """
    check_ranker(run, ranker)
    knobs, model = ranker.config.retrieval, ranker.model
    return TwoStage(
        run.scorer(dataset),
        ClickRankerPredictor(model),
        head_weights(model.behaviours, knobs.behaviour_weights),
        candidates=knobs.candidates,
        first_stage=knobs.first_stage,
        exclude_seen=exclude_seen,
        impressions=impression_kind(dataset.event_kinds),
    )


def two_stage_protocol(ranker: Run) -> dict[str, Any]:
    """How the second stage was set up, for a metrics file."""
    knobs = ranker.config.retrieval
    weights = head_weights(ranker.model.behaviours, knobs.behaviour_weights)
    return {
        "candidates": knobs.candidates,
        "behaviour_weights": dict(zip(ranker.model.behaviours, weights.tolist())),
        "first_stage": knobs.first_stage,
    }
