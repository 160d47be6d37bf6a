"""The item space as TensorBoard's embedding projector shows it: a vector and a title an item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema

VECTORS_FILE, METADATA_FILE = "item_vectors.tsv", "items.tsv"
_LONGEST = 100
_COLOURS = 50
"""As many different values of a column as the projector has colours for."""


def write_projector(folder: str | Path, vectors: np.ndarray, items: pl.DataFrame, most: int = 10_000) -> None:
    """Writes what TensorBoard shows under “Projector”.

    Args:
        folder: TensorBoard's log folder; made where there is none. The files go to the newest curves below it, so that
            a `--logdir` above, with many runs, shows each item space under the name of its run.
        vectors: float32 `[num_items, dim]`; they are brought to unit length.
        items: The catalogue, in the order of `vectors`.
        most: int. Items shown, those with most training events, ties in catalogue order; 0 writes nothing.

    An item is labelled with its title (its text where no column is called so, its id where both are empty) and can be
    coloured by its training events and by columns of at most 50 different values.
    """
    if not most or not len(vectors):
        return
    from tensorboard.plugins import projector

    counts = items[schema.TRAIN_COUNT].to_numpy().astype(np.int64)
    shown = np.argsort(-counts, kind="stable")[:most]
    folder = _curves(Path(folder))
    # four decimals of a unit vector are more than a picture shows, and a third of the file
    pl.DataFrame(vectors[shown]).write_csv(
        folder / VECTORS_FILE, separator="\t", include_header=False, float_precision=4
    )
    columns = _columns(items[shown])
    rows = ["\t".join(columns), *("\t".join(row) for row in zip(*columns.values()))]
    (folder / METADATA_FILE).write_text("\n".join(rows) + "\n", encoding="utf-8")
    config = projector.ProjectorConfig()
    config.embeddings.add(tensor_name="items", tensor_path=VECTORS_FILE, metadata_path=METADATA_FILE)
    projector.visualize_embeddings(str(folder), config)


def _curves(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    written = sorted(folder.rglob("events.out.tfevents.*"), key=lambda file: file.stat().st_mtime)
    return written[-1].parent if written else folder


def _columns(items: pl.DataFrame) -> dict[str, list[str]]:
    """Names and cells of the labels; the file has no quoting, so tabs and line breaks become spaces."""
    ids = items[schema.ITEM_ID].to_list()
    texts = items[schema.TEXT].to_list()
    named = next((items[name].to_list() for name in schema.TITLES if name in items.columns), texts)
    titles = [_cell(title) or _cell(text) or _cell(item) for title, text, item in zip(named, texts, ids)]
    cells: dict[str, list[Any]] = {
        "title": titles,
        schema.ITEM_ID: ids,
        "training_events": items[schema.TRAIN_COUNT].to_list(),
    }
    known = {*cells, schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, *schema.TITLES}
    for name in items.columns:
        if name not in known and not items[name].dtype.is_nested() and 1 < items[name].n_unique() <= _COLOURS:
            cells[name] = items[name].to_list()
    return {_cell(name): [_cell(value) for value in values] for name, values in cells.items()}


def _cell(value: Any) -> str:
    return "" if value is None else " ".join(str(value).split())[:_LONGEST]
