"""Exports a ClickRanker, alone or as the second stage behind a NextItemModel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfrec.errors import InvalidInput
from tfrec.serving.saved_model.example_requests import Arrays, example_requests
from tfrec.serving.saved_model.signatures import describe_signatures, input_widths

if TYPE_CHECKING:
    from tfrec.config import ExportConfig
    from tfrec.runs import Run
    from tfrec.serving.modules.click_ranker import ClickRankerServing
    from tfrec.serving.modules.item_index import Catalogue


def check_ranker_fits(run: Run, ranker: Run) -> None:
    """Raises `InvalidInput` unless `run` is a next-item run and `ranker` a click-ranker run over the same catalogue."""
    from tfrec.runs.two_stage import check_ranker

    check_ranker(run, ranker)
    if run.kind != "next-item":
        raise InvalidInput(f"Expected a next-item run as the first stage, {run.path} is a run of {run.kind}. Pass one.")


def ranker_arguments(ranker: Run, sizes: ExportConfig) -> dict[str, Any]:
    """Arguments of `TwoStageServing` for the ranker, from the `retrieval` section of the ranker's run.

    Raises:
        InvalidInput: `export.diversity` is set, which a ranker's order would undo.
    """
    from tfrec.retrieval.two_stage_scorer import head_weights
    from tfrec.serving.modules.click_ranker import RankerGraph

    if sizes.diversity:
        raise InvalidInput(
            f"export.diversity is {sizes.diversity:g}, but the ranker decides the order of lists. Set it to 0, or "
            "leave the ranker out."
        )
    retrieval, model = ranker.config.retrieval, ranker.model
    graph = RankerGraph(model, ranker.event_kinds, head_weights(model.behaviours, retrieval.behaviour_weights).tolist())
    return {"ranker": graph, "candidates": retrieval.candidates, "first_stage": retrieval.first_stage}


def export_click_ranker(
    run: Run, catalogue: Catalogue
) -> tuple[ClickRankerServing, dict[str, Any], list[tuple[str, Arrays]]]:
    """The tf.Module of a click-ranker run, its entries in `tfrec.json`, and example requests."""
    from tfrec.retrieval.two_stage_scorer import head_weights
    from tfrec.serving.modules.click_ranker import ClickRankerServing

    model, sizes = run.model, run.config.export
    if sizes.history_length is None:
        sizes = sizes.model_copy(update={"history_length": model.max_history})
    weights = head_weights(model.behaviours, run.config.retrieval.behaviour_weights).tolist()
    module = ClickRankerServing(model, catalogue.item_ids, event_kinds=run.event_kinds, weights=weights, config=sizes)
    context = [value for values in model.context.categories.values() for value in values]
    context += [f"{mean:g}" for mean, _ in model.context.numbers.values()]
    requests = example_requests(
        input_widths(module), item_ids=catalogue.item_ids, event_kinds=run.event_kinds, texts=context
    )
    facts = {
        "behaviours": dict(zip(model.behaviours, weights)),
        "context": module.context,
        "event_kinds": run.event_kinds,
        "sizes": {"history_length": sizes.history_length, "candidates_length": sizes.candidates_length},
        "catalogue": {"items": len(catalogue.item_ids), "sha256": catalogue.sha256()},
        "signatures": describe_signatures(module),
    }
    return module, facts, requests
