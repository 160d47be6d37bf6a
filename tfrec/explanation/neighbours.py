"""What an item's neighbours are to a model, and why: shared histories and shared words."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.models.next_item.model import NextItemModel
from tfrec.retrieval.top_items import places_of_ids
from tfrec.runs.run import Run, load_run


def explain_neighbours(run: Run | str | Path, item_id: str, k: int = 10) -> pl.DataFrame:
    """The items that an event on an item raises most through the neighbour memory, and the nearest by cosine.

    Args:
        run: A next-item run, or its folder.
        item_id: The item.
        k: int. Number of neighbours of each sort.

    Returns:
        A row a neighbour, those of the memory first: item_id; why ("memory", "cosine", or "both"); adds (Float32, what
        an event on the item alone adds to its score through the memory); together (UInt32, how often both are near each
        other in training histories, 0 if the memory has not kept the pair); cosine (Float32); words (list of the words
        that both texts have, in the order of the item's text).

    Raises:
        InvalidInput: The run is not a next-item run, or the item is not in the catalogue.
    """
    trained = load_run(run)
    model = trained.model
    if not isinstance(model, NextItemModel):
        raise InvalidInput(f"Expected a next-item run, {trained.path} is a {trained.kind} run. Pass one.")
    place = int(places_of_ids([item_id], trained.item_ids, "items", "the catalogue")[0])
    unit = model.item_vectors().numpy()
    cosines = unit @ unit[place]
    adds, together = _remembered(model, place)
    chosen: dict[str, list[int]] = {}
    sorts: dict[str, np.ndarray] = {"memory": np.where(adds > 0, adds, -np.inf), "cosine": cosines}
    for name, of_sort in sorts.items():
        values: np.ndarray = np.where(np.arange(model.num_items) == place, -np.inf, of_sort)
        best = np.argsort(-values, kind="stable")[:k]
        chosen[name] = [int(other) for other in best if np.isfinite(values[other])]
    texts = trained.items[schema.TEXT].to_list()
    rows = [
        {
            schema.ITEM_ID: str(trained.item_ids[other]),
            "why": "both" if all(other in of_sort for of_sort in chosen.values()) else sort,
            "adds": float(adds[other]),
            "together": int(together[other]),
            "cosine": float(cosines[other]),
            "words": shared_words(texts[place] or "", texts[other] or ""),
        }
        for other, sort in {other: sort for sort in reversed(chosen) for other in chosen[sort]}.items()
    ]
    order = [pl.col("why") == "cosine", pl.col("adds"), pl.col("cosine")]
    return pl.DataFrame(rows, schema=_SCHEMA).sort(order, descending=[False, True, True])


_SCHEMA: dict[str, Any] = {
    schema.ITEM_ID: pl.String,
    "why": pl.String,
    "adds": pl.Float32,
    "together": pl.UInt32,
    "cosine": pl.Float32,
    "words": pl.List(pl.String),
}


def shared_words(first: str, second: str) -> list[str]:
    """The words of the first text that the second has too, in lower case.

    Example:
        >>> shared_words("Green tea, loose", "Tea pot, green")
        ['green', 'tea']
    """
    others = set(re.findall(r"\w+", second.lower()))
    return [word for word in dict.fromkeys(re.findall(r"\w+", first.lower())) if word in others]


def _remembered(model: NextItemModel, place: int) -> tuple[np.ndarray, np.ndarray]:
    """What an event on the item adds to every score through the memory, and how often the two were together."""
    together = np.zeros(model.num_items)
    if model.memory is None:
        return np.zeros(model.num_items, np.float32), together
    adds: np.ndarray = model.memory.catalogue_scores(np.array([[place]], np.int32)).numpy()[0]
    if model.memory.k:
        near, counts = model.memory.near[place].numpy(), model.memory.counts[place].numpy()
        together[near[near >= 0]] = counts[near >= 0]
    return adds, together
