"""New items without training: their texts are encoded, and a trained run is widened by them."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.ingest.item_text import render_texts
from tfrec.data.ingest.read import read
from tfrec.data.ingest.validate import typed_items
from tfrec.encoders import EmbeddingStore
from tfrec.errors import InvalidInput
from tfrec.models.shared.neighbours import kernel_of, softly_whitened, unit_rows

if TYPE_CHECKING:
    from tfrec.data.ingest.read import Source
    from tfrec.models.next_item.model import NextItemModel
    from tfrec.runs import Run

_BLOCK = 1024


def with_new_items(run: Run, items: Source) -> tuple[Run, list[str]]:
    """The run with further items, known by their text alone, as if they had been in its catalogue without an event.

    They come after the others, in file order. Items whose id the catalogue has already are left as they are. Nothing is
    learned: a new item's vector is what the model reads in its text, and its text neighbours are found among all. The
    old items keep their vectors; a new item that reads more like one of them than its last text neighbour takes that
    place. Texts that the embedding store has already are not encoded again.

    Args:
        run: A next-item run that reads text. It is not changed.
        items: File or frame with `item_id` and the columns the run's text was made of, read as `prepare` reads items.

    Returns:
        The widened run, which exports as any other, and the ids that are new.

    Raises:
        InvalidInput: a run of another kind or without text, an unreadable file, or no item that is new.
    """
    if run.kind != "next-item" or not run.config.model.use_text:
        raise InvalidInput("New items are known by their text: expected a next-item run with model.use_text=true.")
    added = _new_rows(run, items)
    config = run.config.encoder
    vectors = EmbeddingStore(storage=config.storage).encode(
        added[schema.TEXT].to_list(), run.encoder(), batch_size=config.batch_size, seq_length=config.seq_length
    )
    wide: Any = copy.copy(run)
    try:
        wide.items = pl.concat([run.items, added], how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(f"The new items do not go with the run's columns: {error}. Use the same types.") from None
    wide.model = widened(run.model, vectors)
    wide.text_vectors = wide.model.items.text.numpy()
    return wide, added[schema.ITEM_ID].to_list()


def widened(model: NextItemModel, vectors: np.ndarray) -> NextItemModel:
    """The model with items of the text vectors float32 `[new, ≤ text_dim]` after its own, and all else copied.

    Where the model's rows go on after the text (embedding columns), the new ones get the mean.
    """
    old, new = model.num_items, len(vectors)
    rest = model.items.mean.numpy()[vectors.shape[1] :]
    vectors = np.concatenate([vectors, np.tile(rest, (new, 1))], axis=1)
    wide = type(model).from_config({**model.get_config(), "num_items": old + new})
    fill = {"near": -1, "alike": -1, "unseen": -1e9}  # as for items that training never saw
    for source, target in zip(model.variables, wide.variables, strict=True):
        value = source.numpy()
        if target.shape != source.shape:
            name = source.name.rsplit("/")[-1].split(":")[0]
            rows = np.full((new, *value.shape[1:]), fill.get(name, 0), value.dtype)
            value = np.concatenate([value, np.asarray(vectors, value.dtype) if name == "text" else rows])
        target.assign(value)
    if model.memory is not None and wide.memory is not None and wide.memory.text_k:
        known = model.memory.alike.numpy(), model.memory.kernel.numpy()
        texts = softly_whitened(wide.items.text.numpy(), by=model.items.text.numpy())
        wide.memory.remember(None, extended_neighbours(*known, texts))
    return wide


def extended_neighbours(indices: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What `text_neighbours` would find for all items, given what it found for the first ones.

    Args:
        indices: int32 `[old, k]` and values float32 `[old, k]`, of `text_neighbours`.
        vectors: float `[old + new, dim]`, the text vectors of all items, whitened as those of the first ones were.

    Returns:
        indices and values `[old + new, k]`. The cost is that of comparing the new items with all, not all with all.
    """
    unit = unit_rows(vectors)
    (old, k), total = indices.shape, len(unit)
    empty = np.abs(unit).sum(axis=1) == 0
    found = np.full((total, k), -1, np.int32), np.zeros((total, k), np.float32)
    for start in [*range(0, old, _BLOCK), *range(old, total, _BLOCK)]:
        rows = np.arange(start, min(start + _BLOCK, old if start < old else total))
        others = np.arange(old, total) if start < old else np.arange(total)
        kernel = kernel_of(unit[rows] @ unit[others].T)
        kernel[:, empty[others]] = -1
        kernel[empty[rows]] = -1
        kernel[rows[:, None] == others[None, :]] = -1
        columns = np.broadcast_to(others, kernel.shape)
        if start < old:
            kernel = np.concatenate([np.where(indices[rows] >= 0, values[rows], -1), kernel], axis=1)
            columns = np.concatenate([indices[rows], columns], axis=1)
        order = np.argsort(-kernel, axis=1, kind="stable")[:, :k]
        best = np.take_along_axis(kernel, order, axis=1)
        width = best.shape[1]
        found[0][rows, :width] = np.where(best >= 0, np.take_along_axis(columns, order, axis=1), -1)
        found[1][rows, :width] = np.maximum(best, 0)
    return found


def _new_rows(run: Run, items: Source) -> pl.DataFrame:
    config = run.config.data
    given, _ = typed_items(read(items, "items", config.columns))
    fresh = given.filter(~pl.col(schema.ITEM_ID).is_in(run.items[schema.ITEM_ID].implode()))
    if not fresh.height:
        raise InvalidInput(f"The catalogue has all of the {given.height} items already. Pass items that are new.")
    texts = pl.Series(schema.TEXT, render_texts(fresh, config.text_template, config.normalise_text), pl.String)
    count = pl.lit(0, run.items.schema[schema.TRAIN_COUNT]).alias(schema.TRAIN_COUNT)
    return fresh.with_columns(texts, count)
