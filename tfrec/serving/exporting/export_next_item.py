"""Exports a NextItemModel, alone or with a ranker as the second stage behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.models.baselines.segment_popularity import SegmentPopularity
from tfrec.models.shared.item_features import IMAGE
from tfrec.models.shared.unread_impressions import hides_impressions
from tfrec.serving.exporting.build_index import build_index
from tfrec.serving.exporting.build_item_table import build_item_table
from tfrec.serving.exporting.export_click_ranker import ranker_arguments
from tfrec.serving.exporting.servable import ExportOptions, Servable, catalogue_of, common_facts
from tfrec.serving.modules.next_item import NextItemServing
from tfrec.serving.modules.two_stage import TwoStageServing
from tfrec.serving.saved_model.example_requests import example_requests
from tfrec.serving.saved_model.signatures import input_shapes

if TYPE_CHECKING:
    import numpy as np

    from tfrec.config import ExportConfig
    from tfrec.models.baselines.segment_popularity import PopularLists
    from tfrec.runs import Run


def servable(run: Run, options: ExportOptions) -> Servable:
    """The tf.Module of a next-item run, its entries in `tfrec.json`, and example requests."""
    sizes = run.config.export
    if sizes.history_length is None:
        sizes = sizes.model_copy(update={"history_length": run.model.memory_history})
    catalogue = catalogue_of(run, filter_column=sizes.filter_attribute)
    popular = _popular_lists(run, sizes.max_k + sizes.exclude_length, catalogue.allow)
    measured: dict[str, Any] = {
        "exclude_seen": options.exclude_seen,
        "histories": options.histories,
        "allow": catalogue.allow,
    }
    table, table_report = build_item_table(run.model, sizes, **measured)
    search, report = build_index(run.model, sizes, **measured)
    ranker = options.ranker
    module_class, about = (
        (NextItemServing, {}) if ranker is None else (TwoStageServing, ranker_arguments(ranker, sizes))
    )
    module = module_class(
        run.model,
        catalogue,
        event_kinds=run.event_kinds,
        config=sizes,
        exclude_seen=options.exclude_seen,
        encoder=run.encoder() if run.config.model.use_text else None,
        seq_length=run.config.encoder.seq_length,
        chunk_size=run.config.retrieval.chunk_size,
        search=table or search,
        popular=popular,
        image_encoder=_image_encoder(run),
        unread=schema.IMPRESSION if hides_impressions(run.config, run.event_kinds) else None,
        **about,
    )
    values = sorted({value for row in catalogue.attribute or [] for value in row if value})
    requests = example_requests(
        input_shapes(module),
        item_ids=catalogue.item_ids,
        event_kinds=run.event_kinds,
        texts=[text for text in catalogue.texts if text] or ["text"],
        attribute_values=values,
        segments=popular.segments if popular else (),
    )
    facts = {
        "exclude_seen": options.exclude_seen,
        "index": report.as_dict() if report else {"kind": "exact"},
        "item_table": table_report.as_dict() if table_report else {"kind": "float32"},
        "filter_attribute": sizes.filter_attribute,
        "segment": run.config.retrieval.segment,
        "sizes": _sizes(module, sizes),
        **common_facts(run, module, catalogue),
    }
    if ranker is not None:
        facts["ranker"] = {"behaviours": about["ranker"].weights, **{k: v for k, v in about.items() if k != "ranker"}}
    return Servable(module, facts, requests)


def _image_encoder(run: Run) -> Any:
    """The encoder of pictures; None for a model that reads none."""
    reads_images = any(each.name == IMAGE for each in run.model.modalities)
    return run.image_encoder() if reads_images else None


def _sizes(module: NextItemServing, sizes: ExportConfig) -> dict[str, Any]:
    return {
        "max_k": module.k,
        "history_length": sizes.history_length,
        "exclude_length": sizes.exclude_length,
        "candidates_length": sizes.candidates_length,
        "explain_length": sizes.explain_length,
        "allow_length": sizes.allow_length,
    }


def _popular_lists(run: Run, most: int, allow: np.ndarray | None) -> PopularLists | None:
    """The `most` most popular items of each segment; None without `retrieval.segment`."""
    column = run.config.retrieval.segment
    if column is None:
        return None
    if run.segments is None:
        raise InvalidInput(
            f"retrieval.segment is {column!r}, but {run.path} was trained without it. Train with --set "
            f"retrieval.segment={column}, or leave the option out."
        )
    return SegmentPopularity(run.segments, run.item_counts, {}).lists(most, allow)
