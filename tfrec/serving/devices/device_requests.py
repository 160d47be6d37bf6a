"""Requests of an export as a device makes them: numbers of items and kinds, and token ids."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfrec import schema
from tfrec.serving.modules.device import EXCLUDE_ITEMS, HISTORY_MASK, HISTORY_VECTORS, ITEMS
from tfrec.serving.saved_model.example_requests import Arrays


class Numbers:
    """The numbers that stand for strings on a device.

    Args:
        item_ids: Ids in catalogue order.
        event_kinds: Event kinds in the order of the run.
        texts: Texts in catalogue order; the first of equal ones counts.
    """

    def __init__(self, item_ids: Sequence[str], event_kinds: Sequence[str], texts: Sequence[str]) -> None:
        self.item_ids = item_ids
        self.items = _first_places(item_ids)
        self.kinds = _first_places(event_kinds)
        self.texts = _first_places([text.strip() for text in texts])

    def of(self, places: Mapping[str, int], strings: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """int32 of the shape of `strings`; −1 for a string that has no number."""
        return np.vectorize(lambda text: places.get(text, -1), otypes=[np.int32])(strings)

    def history(self, request: Arrays) -> Arrays:
        """The inputs of the device's `recommend`, for one row of a request to the export's."""
        return {
            schema.HISTORY_ITEMS: self.of(self.items, request[schema.HISTORY_ITEM_IDS]),
            schema.HISTORY_EVENTS: self.of(self.kinds, request[schema.HISTORY_EVENTS]),
            EXCLUDE_ITEMS: self.of(self.items, request[schema.EXCLUDE_ITEM_IDS]),
        }

    def text_history(self, texts: np.ndarray[Any, Any], vectors: np.ndarray[Any, Any]) -> Arrays:
        """The inputs of the device's `recommend_from_vectors`.

        Args:
            texts: object `[1, H]`.
            vectors: float32 `[1, H, dim]`, of these texts.
        """
        stripped = np.vectorize(str.strip, otypes=[object])(texts)
        mask = (stripped != "").astype(np.int32)
        return {
            HISTORY_VECTORS: (vectors * mask[..., None]).astype(np.float32),
            HISTORY_MASK: mask,
            schema.HISTORY_ITEMS: self.of(self.texts, stripped),
        }

    def answer(self, outputs: Arrays) -> Arrays:
        """The outputs of a device in the words of the export: ids for numbers."""
        items = np.array([*self.item_ids, ""], object)[outputs[ITEMS]]  # −1 is the last
        return {schema.ITEM_IDS: items, **{name: value for name, value in outputs.items() if name != ITEMS}}


def rows_of(request: Arrays) -> Iterator[Arrays]:
    """The rows of a request, as requests of one row."""
    for row in range(len(next(iter(request.values())))):
        yield {name: values[row : row + 1] for name, values in request.items()}


def _first_places(strings: Sequence[str]) -> dict[str, int]:
    places: dict[str, int] = {}
    for place, text in enumerate(strings):
        places.setdefault(text, place)
    places.pop("", None)
    return places
