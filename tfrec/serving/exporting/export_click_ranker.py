"""Exports a ClickRanker, alone or as the second stage behind a NextItemModel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfrec.errors import InvalidInput
from tfrec.retrieval.two_stage_scorer import head_weights
from tfrec.serving.exporting.servable import ExportOptions, Servable, catalogue_of, common_facts
from tfrec.serving.modules.click_ranker import ClickRankerServing, RankerGraph
from tfrec.serving.saved_model.example_requests import example_requests
from tfrec.serving.saved_model.signatures import input_shapes

if TYPE_CHECKING:
    from tfrec.config import ExportConfig
    from tfrec.runs import Run


def ranker_arguments(ranker: Run, sizes: ExportConfig) -> dict[str, Any]:
    """Arguments of `TwoStageServing` for the ranker, from the `retrieval` section of the ranker's run.

    Raises:
        InvalidInput: `export.diversity` is set, which a ranker's order would undo.
    """
    if sizes.diversity:
        raise InvalidInput(
            f"export.diversity is {sizes.diversity:g}, but the ranker decides the order of lists. Set it to 0, or "
            "leave the ranker out."
        )
    retrieval, model = ranker.config.retrieval, ranker.model
    graph = RankerGraph(model, ranker.event_kinds, head_weights(model.behaviours, retrieval.behaviour_weights).tolist())
    return {"ranker": graph, "candidates": retrieval.candidates, "first_stage": retrieval.first_stage}


def servable(run: Run, options: ExportOptions) -> Servable:
    """The tf.Module of a click-ranker run, its entries in `tfrec.json`, and example requests."""
    model, sizes, catalogue = run.model, run.config.export, catalogue_of(run)
    if sizes.history_length is None:
        sizes = sizes.model_copy(update={"history_length": model.max_history})
    weights = head_weights(model.behaviours, run.config.retrieval.behaviour_weights).tolist()
    module = ClickRankerServing(model, catalogue.item_ids, event_kinds=run.event_kinds, weights=weights, config=sizes)
    context = [value for values in model.context.categories.values() for value in values]
    context += [f"{mean:g}" for mean, _ in model.context.numbers.values()]
    requests = example_requests(
        input_shapes(module), item_ids=catalogue.item_ids, event_kinds=run.event_kinds, texts=context
    )
    facts = {
        "behaviours": dict(zip(model.behaviours, weights)),
        "context": module.context,
        "sizes": {"history_length": sizes.history_length, "candidates_length": sizes.candidates_length},
        **common_facts(run, module, catalogue),
    }
    return Servable(module, facts, requests)
