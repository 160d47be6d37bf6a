"""Adds new items to a trained run without training, by encoding their texts."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.ingest.item_text import render_texts
from tfrec.data.ingest.text_columns import text_columns
from tfrec.data.ingest.validate import typed_items
from tfrec.data.reading import read_input
from tfrec.encoders import EmbeddingStore
from tfrec.errors import InvalidInput
from tfrec.models.family import Ability
from tfrec.models.registry import families_with, family_of
from tfrec.models.shared.item_features import IMAGE, embedding_column, image_vectors_of
from tfrec.models.shared.modalities import neighbour_vectors, new_item_vectors
from tfrec.models.shared.neighbours import kernel_of
from tfrec.progress import say
from tfrec.retrieval.unit_vectors import unit_vectors

if TYPE_CHECKING:
    from tfrec.data.reading import Source
    from tfrec.models.next_item.model import NextItemModel
    from tfrec.runs import Run

_BLOCK = 1024
"""Items whose neighbours are sought at a time, to bound memory."""


def with_new_items(run: Run | str | Path, items: Source) -> tuple[Run, list[str]]:
    """Adds items to a run as if they had been in its catalogue without any event.

    New items come after the others, in file order; items that the catalogue already has are ignored, and items that
    were gone from it are back, with the vectors that they had. Nothing is trained: a new item's vector is the
    projection of its text, and of its picture and embeddings where the model reads those, and its text neighbours are
    found among all items. Old items keep their vectors, but a new item may replace a text neighbour that is less
    similar. Texts and pictures that the embedding store already holds are not encoded again.

    Args:
        run: A next-item run with `model.use_text`, or its folder. It is not changed.
        items: File or frame with `item_id`, the columns that item texts are made of, and pictures and `*_embedding`
            columns if there are any; an item gets the mean of what it lacks.

    Returns:
        A run with all items, which can be exported, and the ids of the items that are new or back.

    Raises:
        InvalidInput: the run is of another kind or does not use text, the file cannot be read, no item is new, or
            embeddings are not of the width that the run has.
    """
    from tfrec.runs import load_run

    run = load_run(run)
    if not family_of(run.kind).can(Ability.ADD_ITEMS, run.config):
        families = families_with(Ability.ADD_ITEMS)
        raise InvalidInput(f"New items are known by their text. Expected a {families} run with model.use_text=true.")
    added, back = _new_items(run, items)
    wide: Any = copy.copy(run)
    if back:
        listed = pl.col(schema.IN_CATALOGUE) | pl.col(schema.ITEM_ID).is_in(back)
        wide.items = run.items.with_columns(listed.alias(schema.IN_CATALOGUE))
    if not added.height:
        return wide, back
    config = run.config.encoder
    vectors = EmbeddingStore(storage=config.storage).encode(
        added[schema.TEXT].to_list(), run.encoder(), batch_size=config.batch_size, seq_length=config.seq_length
    )
    try:
        wide.items = pl.concat([wide.items, added], how="diagonal_relaxed")
    except pl.exceptions.PolarsError as error:
        raise InvalidInput(
            f"The columns of the new items do not fit those of the run: {error}. Use the same types."
        ) from None
    if run.model.modalities:
        given = {"text": vectors, **_pictures(run, added), **_embeddings(run, added)}
        vectors = new_item_vectors(given, run.model.modalities, run.model.items.mean.numpy())
    wide.model = extended_model(run.model, vectors)
    wide.text_vectors = wide.model.items.text.numpy()
    return wide, [*added[schema.ITEM_ID].to_list(), *back]


def _pictures(run: Run, added: pl.DataFrame) -> dict[str, np.ndarray]:
    """Unit vectors of the pictures of new items, by the name of the modality; none where the run reads none."""
    reads_images = any(each.name == IMAGE for each in run.model.modalities)
    encoder = run.image_encoder() if reads_images and run.config.encoder.image_column in added.columns else None
    return {} if encoder is None else {IMAGE: unit_vectors(image_vectors_of(added, encoder, run.config))}


def _embeddings(run: Run, added: pl.DataFrame) -> dict[str, np.ndarray]:
    """Unit vectors of the `*_embedding` columns of new items that the run reads, by name."""
    found = {}
    for each in run.model.modalities:
        if not each.name.endswith(schema.EMBEDDING_SUFFIX) or each.name not in added.columns:
            continue
        if added[each.name].null_count() == added.height:
            continue
        found[each.name] = embedding_column(added, each.name, fill=False)
        width = found[each.name].shape[1]
        if width != each.width:
            raise InvalidInput(
                f"The run reads {each.name} of width {each.width}; that of the new items has {width}. "
                "Make it as before."
            )
    return found


def extended_model(model: NextItemModel, vectors: np.ndarray) -> NextItemModel:
    """A copy of a model with new items after its own.

    Args:
        model: The model. It is not changed.
        vectors: float32 `[new, width]`, text vectors of the new items, or the first columns of them; the new items get
            the mean in the others.
    """
    old, new = model.num_items, len(vectors)
    other_columns = model.items.mean.numpy()[vectors.shape[1] :]
    vectors = np.concatenate([vectors, np.tile(other_columns, (new, 1))], axis=1)
    wide = type(model).from_config({**model.get_config(), "num_items": old + new})
    fill = {"near": -1, "alike": -1, "unseen": -1e9}  # values of items that training never saw
    for source, target in zip(model.variables, wide.variables, strict=True):
        value = source.numpy()
        if target.shape != source.shape:
            name = source.name.rsplit("/")[-1].split(":")[0]
            rows = np.full((new, *value.shape[1:]), fill.get(name, 0), value.dtype)
            value = np.concatenate([value, np.asarray(vectors, value.dtype) if name == "text" else rows])
        target.assign(value)
    if model.memory is not None and wide.memory is not None and wide.memory.text_k:
        known = model.memory.alike.numpy(), model.memory.kernel.numpy()
        texts = neighbour_vectors(wide.items.text.numpy(), model.modalities, by=model.items.text.numpy())
        wide.memory.remember(None, extended_neighbours(*known, texts))
    return wide


def extended_neighbours(indices: np.ndarray, values: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Text neighbours of all items, given those among the old items.

    The result is that of `text_neighbours` over all items, but only the new items are compared with all others.

    Args:
        indices: int32 `[old, k]`, text neighbours of the old items; −1 where there are fewer.
        values: float32 `[old, k]`, their similarities.
        vectors: float `[old + new, dim]`, text vectors of all items, whitened like those of the old ones.

    Returns:
        indices int32 and values float32, `[old + new, k]`.
    """
    unit = unit_vectors(vectors)
    (old, k), total = indices.shape, len(unit)
    empty = np.abs(unit).sum(axis=1) == 0
    new_indices, new_values = np.full((total, k), -1, np.int32), np.zeros((total, k), np.float32)
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
        new_indices[rows, :width] = np.where(best >= 0, np.take_along_axis(columns, order, axis=1), -1)
        new_values[rows, :width] = np.maximum(best, 0)
    return new_indices, new_values


def _new_items(run: Run, items: Source) -> tuple[pl.DataFrame, list[str]]:
    """The items that the run does not know, with their texts, and the ids of those that were gone and are back."""
    config = run.config.data
    read = read_input(items, "items", config.items, config.columns)
    for notice in read.notices:
        say(str(notice))
    given, _ = typed_items(read.frame, read.typed)
    new = given.filter(~pl.col(schema.ITEM_ID).is_in(run.items[schema.ITEM_ID].implode()))
    back = _gone(run, given[schema.ITEM_ID])
    if not new.height and not back:
        raise InvalidInput(f"The catalogue already has all {given.height} items. Pass items that are new.")
    if not new.height:
        return new, back
    columns = None if config.text_template else _text_columns_of(run, new)
    texts = pl.Series(schema.TEXT, render_texts(new, config.text_template, config.normalise_text, columns), pl.String)
    count = pl.lit(0, run.items.schema[schema.TRAIN_COUNT]).alias(schema.TRAIN_COUNT)
    return new.with_columns(texts, count), back


def _gone(run: Run, item_ids: pl.Series) -> list[str]:
    """Those of the items that the run knows from events alone."""
    if schema.IN_CATALOGUE not in run.items.columns:
        return []
    gone = run.items.filter(~pl.col(schema.IN_CATALOGUE))[schema.ITEM_ID]
    return item_ids.filter(item_ids.is_in(gone.implode())).to_list()


def _text_columns_of(run: Run, new: pl.DataFrame) -> list[str]:
    """The columns that the texts of the run were made of; raises `InvalidInput` where new items lack one of them."""
    names = text_columns(run.items.drop(schema.TEXT)) or [schema.TEXT]
    missing = [name for name in names if name not in new.columns]
    if missing:
        raise InvalidInput(
            f"The run's texts are made of {', '.join(map(repr, names))}; the new items lack "
            f"{', '.join(map(repr, missing))}, and have {', '.join(map(repr, new.columns))}. "
            "Add it, empty where unknown."
        )
    return names
