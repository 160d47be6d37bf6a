"""Writes item vectors and titles for TensorBoard's embedding projector."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.retrieval.unit_vectors import unit_vectors

VECTORS_FILE, METADATA_FILE = "item_vectors.tsv", "items.tsv"
_LONGEST = 100
"""Characters of a label."""
_COLOURS = 50
"""Number of colours that the projector has for the values of a column."""


def write_projector(folder: str | Path, vectors: np.ndarray, items: pl.DataFrame, most: int = 10_000) -> None:
    """Writes the files that TensorBoard shows under “Projector”.

    Args:
        folder: TensorBoard's log folder; created if needed. The files go next to the newest event file below it, so
            that with a `--logdir` that contains many runs each projection appears under the name of its run.
        vectors: float32 `[num_items, dim]`; their directions are shown.
        items: The catalogue, in the order of `vectors`.
        most: int. Number of items to show, those with the most training events, ties in catalogue order; 0 writes
            nothing.

    An item's label is its title, or its text if there is no title column, or its id if both are empty. Items can be
    coloured by training events and by columns with at most 50 distinct values.
    """
    if not most or not len(vectors):
        return
    from tensorboard.plugins import projector

    counts = items[schema.TRAIN_COUNT].to_numpy().astype(np.int64)
    shown = np.argsort(-counts, kind="stable")[:most]
    folder = _event_folder(Path(folder))
    # Four decimals are more than a picture shows and shrink the file to a third.
    pl.DataFrame(unit_vectors(vectors[shown])).write_csv(
        folder / VECTORS_FILE, separator="\t", include_header=False, float_precision=4
    )
    columns = _columns(items[shown])
    rows = ["\t".join(columns), *("\t".join(row) for row in zip(*columns.values()))]
    (folder / METADATA_FILE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    config = projector.ProjectorConfig()
    config.embeddings.add(tensor_name="items", tensor_path=VECTORS_FILE, metadata_path=METADATA_FILE)
    projector.visualize_embeddings(str(folder), config)


def _event_folder(folder: Path) -> Path:
    """The folder of the newest event file below `folder`; `folder` itself if there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    written = sorted(folder.rglob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime)
    return written[-1].parent if written else folder


def _columns(items: pl.DataFrame) -> dict[str, list[str]]:
    """Columns of the label file; its format has no quoting, so tabs and line breaks become spaces."""
    ids = items[schema.ITEM_ID].to_list()
    texts = items[schema.TEXT].to_list()
    raw_titles = next((items[name].to_list() for name in schema.TITLES if name in items.columns), texts)
    titles = [_cell(title) or _cell(text) or _cell(item) for title, text, item in zip(raw_titles, texts, ids)]
    cells: dict[str, list[Any]] = {
        "title": titles,
        schema.ITEM_ID: ids,
        "training_events": items[schema.TRAIN_COUNT].to_list(),
    }
    known = {*cells, schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, *schema.TITLES}
    for name in items.columns:
        dtype = items[name].dtype
        is_label = name not in known and not dtype.is_nested() and dtype != pl.Binary
        if is_label and 1 < items[name].n_unique() <= _COLOURS:
            cells[name] = items[name].to_list()
    return {_cell(name): [_cell(value) for value in values] for name, values in cells.items()}


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())[:_LONGEST]
