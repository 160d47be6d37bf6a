"""Scores after some of the events of a history are deleted: what every explanation here is measured by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from tfrec.data.histories import Histories, row_numbers
from tfrec.retrieval.scorer import Scorer

SCORE = "score"
"""The one part of models that have no parts."""


class DeletionScorer(Protocol):
    """Scores items after events are deleted.

    Attributes:
        max_events: int. Number of newest events that a score can depend on.
    """

    max_events: int

    def parts(
        self, histories: Histories, rows: np.ndarray, keep: np.ndarray, items: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """What each part of the model adds to the scores of variants of histories, in each of which events are missing.

        Args:
            histories: The histories.
            rows: int `[n]`, their rows.
            keep: bool `[n, variants, events]`, which of the newest `events` events of a row are kept, oldest first and
                padded on the right. Older events are kept, up to the newest `max_events`; still older ones are never
                read.
            items: int32 `[n, m]`, the items to score; −1 is padding. None for the whole catalogue.

        Returns:
            From the name of a part to float32 `[n, variants, m]`; the sum is the score. Undefined at padding.
        """
        ...


def total(parts: dict[str, np.ndarray]) -> np.ndarray:
    """The sum of the parts."""
    return np.sum(list(parts.values()), axis=0)


def without_events(histories: Histories, rows: np.ndarray, keep: np.ndarray, max_events: int) -> Histories:
    """The variants of the rows as histories of their own, `len(rows) · variants` of them, variant after variant.

    Args:
        histories: The histories.
        rows: int `[n]`.
        keep: As for `DeletionScorer.parts`.
        max_events: int. Number of newest events that are read.
    """
    n, variants, events = keep.shape
    repeated = np.repeat(rows, variants)
    copies = histories.prefixes(repeated, histories.lengths[repeated])
    place = np.arange(len(copies.items)) - copies.offsets[row_numbers(copies.lengths)]
    row = row_numbers(copies.lengths)
    first, oldest = (np.maximum(copies.lengths - newest, 0)[row] for newest in (events, max_events))
    flat = keep.reshape(n * variants, events)
    kept = (place >= oldest) & ((place < first) | flat[row, np.maximum(place - first, 0)])
    before = np.concatenate([[0], np.cumsum(kept)])
    names = ("items", "events", "timestamps", "values", "is_target")
    context = {name: values[kept] for name, values in copies.context.items()}
    return replace(
        copies, offsets=before[copies.offsets], context=context, **{name: getattr(copies, name)[kept] for name in names}
    )


class RescoredDeletions:
    """Deletes events and scores what is left like any other history: for every model, and slow.

    Args:
        score_parts: From histories and rows to the parts of the scores of the whole catalogue, float32
            `[rows, num_items]` each.
        max_events: int. Number of newest events that a score can depend on.
        batch_size: int. Histories scored at a time.
    """

    def __init__(
        self,
        score_parts: Callable[[Histories, np.ndarray], dict[str, np.ndarray]],
        max_events: int,
        batch_size: int = 256,
    ) -> None:
        self.score_parts, self.max_events, self.batch_size = score_parts, max_events, batch_size

    @classmethod
    def of_scorer(cls, scorer: Scorer, max_events: int) -> RescoredDeletions:
        """Deletions for any scorer, whose score is its only part."""
        return cls(lambda histories, rows: {SCORE: scorer.scores(histories, rows)}, max_events)

    def parts(
        self, histories: Histories, rows: np.ndarray, keep: np.ndarray, items: np.ndarray | None
    ) -> dict[str, np.ndarray]:
        """As `DeletionScorer.parts`."""
        n, variants, _ = keep.shape
        deleted = without_events(histories, rows, keep, self.max_events)
        asked = None if items is None else np.repeat(np.maximum(items, 0), variants, axis=0)
        found = []
        for start in range(0, len(deleted), self.batch_size):
            part = np.arange(start, min(start + self.batch_size, len(deleted)))
            scores = self.score_parts(deleted, part)
            found.append(
                {
                    name: value if asked is None else np.take_along_axis(value, asked[part], axis=1)
                    for name, value in scores.items()
                }
            )
        joined = {name: np.concatenate([part[name] for part in found]) for name in found[0]}
        return {name: value.reshape(n, variants, -1) for name, value in joined.items()}
