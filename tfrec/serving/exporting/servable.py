"""What the export module of a family gives: a module with signatures, and what is written beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.retrieval.items_to_recommend import items_to_recommend
from tfrec.serving.saved_model.example_requests import Arrays
from tfrec.serving.saved_model.signatures import describe_signatures

if TYPE_CHECKING:
    from tfrec.data.histories import Histories
    from tfrec.runs import Run
    from tfrec.serving.modules.item_index import Catalogue


@dataclass(frozen=True)
class ExportOptions:
    """What `export` was asked for.

    Attributes:
        exclude_seen: Whether answers leave out items of the history.
        histories: Whose queries an approximate index is measured with; None for one item each.
        ranker: The run that puts what is found in order; only where the family can `EXPORT_TWO_STAGES`.
    """

    exclude_seen: bool
    histories: Histories | None = None
    ranker: Run | None = None


@dataclass(frozen=True)
class Servable:
    """What becomes a version folder.

    Attributes:
        module: tf.Module with `functions`: signature to concrete function.
        facts: What `tfrec.json` says of it beside what all exports have.
        requests: Signature and inputs, for the warm-up and the examples.
    """

    module: Any
    facts: dict[str, Any]
    requests: list[tuple[str, Arrays]]


def common_facts(run: Run, module: Any, catalogue: Catalogue) -> dict[str, Any]:
    """The entries of `tfrec.json` that every family has: event kinds, catalogue and signatures."""
    return {
        "event_kinds": run.event_kinds,
        "catalogue": {"items": len(catalogue.item_ids), "sha256": catalogue.sha256(), **_not_served(catalogue)},
        "signatures": describe_signatures(module),
    }


def _not_served(catalogue: Catalogue) -> dict[str, int]:
    return {} if catalogue.allow is None else {"not_served": int((~catalogue.allow).sum())}


def catalogue_of(run: Run, *, filter_column: str | None = None) -> Catalogue:
    """The run's catalogue as serving modules read it; with the values of a column, where answers can be filtered."""
    from tfrec.serving.modules.item_index import Catalogue

    return Catalogue(
        item_ids=[str(item) for item in run.item_ids],
        texts=[text or "" for text in run.items[schema.TEXT].to_list()],
        counts=run.item_counts,
        attribute=attribute_values(run.items, filter_column) if filter_column else None,
        allow=items_to_recommend(run.config, run.items),
    )


def attribute_values(items: pl.DataFrame, column: str) -> Sequence[Sequence[str]]:
    """The values of each item in a column of single values or of lists, as strings."""
    if column not in items.columns:
        raise InvalidInput(
            f"export.filter_attribute is {column!r}, but the items have only {', '.join(items.columns)}. "
            f"Name one of these, or leave the option out."
        )
    rows = [row if isinstance(row, list) else [row] for row in items[column].to_list()]
    return [[str(value) for value in row if value is not None] for row in rows]
