"""Untrained baselines: popularity, text similarity, co-occurrence, and co-occurrence with text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Self

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories, concatenate_ranges, row_numbers
from tfrec.data.impressions import taken
from tfrec.errors import InvalidInput
from tfrec.models.baselines.near_items import NearItemCounter, NearItems
from tfrec.models.shared.recent_counts import event_weights, recent_counts
from tfrec.retrieval.unit_vectors import unit_vectors

# The numbers of the baselines come from a prototype on Amazon Scientific (leave-one-out): a window of 10 with decayed
# weights and text had an NDCG@10 of .090, a window of 5 with neither .073. They are the same for every data set.
WINDOW = 10
"""Two items co-occur if at most this many events apart."""
DECAY = 0.8
"""Weight of an event relative to the next newer one."""
HISTORY = 50
"""Newest events that count; `DECAY` leaves older ones no weight (0.8^50 is about 1e-5)."""
TEXT_WEIGHT = 0.3
"""Weight of text similarity relative to co-occurrence shares."""
TEXT_TEMPERATURE = 0.1
"""Width of the kernel exp((cos − 1) / 0.1); only nearly identical texts get a noticeable weight."""
_BLOCK = 2048
"""History items compared with the catalogue at a time."""


class Popularity:
    """Scores items by their number of target events in training, the same for every history."""

    name = "popularity"
    num_items: int
    counts: np.ndarray

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Counts the target events; `text_vectors` is not used."""
        training = dataset.training()
        self.num_items = dataset.num_items
        self.counts = np.bincount(training.items[training.is_target], minlength=self.num_items).astype(np.float32)
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`; all rows are equal, and the array is read-only."""
        return np.broadcast_to(self.counts, (len(rows), self.num_items))


class RecentPopularity(Popularity):
    """Popularity in which an event counts half for every `half_life` that it is older than the newest one.

    What is popular changes faster than a log is long: on MovieLens-100K by time, with seen items masked, plain counts
    have an NDCG@10 of .150, and counts with a half-life of five days .212.

    Args:
        half_life: float. Days.
    """

    name = "popularity_recent"

    def __init__(self, half_life: float) -> None:
        self.half_life = half_life

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Counts the target events; `text_vectors` is not used."""
        self.num_items = dataset.num_items
        self.counts = recent_counts(dataset.training(), self.num_items, self.half_life).astype(np.float32)
        return self


class LastItemText:
    """Scores items by the cosine between their text vector and that of the history's last item; 0 without a history.

    The last item itself is not treated specially: its cosine is 1, so it ranks first unless seen items are masked.
    """

    name = "text"
    num_items: int
    vectors: np.ndarray

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Normalises the text vectors, float `[num_items, dim]`; raises `InvalidInput` without them."""
        self.num_items = dataset.num_items
        self.vectors = unit_vectors(_checked(text_vectors, self.num_items))
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        rows = np.asarray(rows)
        last = histories.offsets[rows + 1] - 1
        real = last >= histories.offsets[rows]
        scores = np.zeros((len(rows), self.num_items), np.float32)
        scores[real] = self.vectors[histories.items[last[real]]] @ self.vectors.T
        return scores


class Cooccurrence:
    """Scores items by how often they occur near the history's items in training sequences.

    `C[i, j]` counts how often j occurs within `window` events of i, before or after it. The score of j is the sum of
    `decay^k * C[i, j]` over the history, where k = 0 for its newest event. Only the newest 50 events are used; older
    ones would weigh less than `decay^50`. Without a history all scores are 0. Counts are not divided by the frequency
    of i: on Amazon Scientific that reduced the validation NDCG by 7% with seen items masked and by 14% without.

    Args:
        window: int. Maximum distance in events, to each side.
        decay: float. Weight of an event relative to the next newer one.
    """

    name = "cooccurrence"
    num_items: int
    _near: NearItems | NearItemCounter

    def __init__(self, window: int = WINDOW, decay: float = DECAY) -> None:
        self.window, self.decay = window, decay

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Counts the pairs of the training sequences; `text_vectors` is not used.

        Those of a large log (`pair_counts.MOST_PAIRS`) would not fit into memory. They are counted for the items of the
        histories that are scored, each time.
        """
        self.num_items = dataset.num_items
        training = dataset.training()
        counted = taken(training, dataset.event_kinds)
        counter = NearItemCounter(training, self.num_items, self.window, counted, self._weights(training))
        self._near = self._rows(counter.all()) if counter.fits_into_memory else counter
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        rows, near = np.asarray(rows), self._near
        if isinstance(near, NearItems):
            return self._scores(near, histories, rows)
        query, items, _ = _weighted_history(histories, rows, self.decay)
        cuts = near.cuts(query, items, len(rows))
        of_part = np.split(items, np.searchsorted(query, cuts))
        parts = zip(np.split(rows, cuts), of_part, strict=True)
        return np.concatenate([self._scores(self._rows(near.of(each)), histories, part) for part, each in parts])

    def _scores(self, near: NearItems, histories: Histories, rows: np.ndarray) -> np.ndarray:
        query, items, weights = _weighted_history(histories, rows, self.decay)
        lengths = near.starts[items + 1] - near.starts[items]
        places = concatenate_ranges(near.starts[items], lengths)
        cells = np.repeat(query * self.num_items, lengths) + near.others[places]
        size = len(rows) * self.num_items
        summed = np.bincount(cells, weights=np.repeat(weights, lengths) * near.values[places], minlength=size)
        return summed.astype(np.float32).reshape(len(rows), self.num_items)

    def _weights(self, training: Histories) -> Callable[[np.ndarray], np.ndarray] | None:
        """What pairs count by the positions of their later events; None for once each."""
        return None

    def _rows(self, near: NearItems) -> NearItems:
        """What is scored by, of counts."""
        return near


class RecentCooccurrence(Cooccurrence):
    """Co-occurrence in which a pair counts half for every `half_life` that its later event is older than the newest.

    Args:
        half_life: float. Days.
        window: int. Maximum distance in events, to each side.
        decay: float. Weight of an event of the history relative to the next newer one.
    """

    name = "cooccurrence_recent"

    def __init__(self, half_life: float, window: int = WINDOW, decay: float = DECAY) -> None:
        super().__init__(window, decay)
        self.half_life = half_life

    def _weights(self, training: Histories) -> Callable[[np.ndarray], np.ndarray]:
        newest = int(training.timestamps.max(initial=0))
        return partial(_weights_at, training.timestamps, self.half_life, newest)


class CooccurrenceText(Cooccurrence):
    """Co-occurrence with text: uses `P[i, j] + 0.3 * exp((cos(i, j) - 1) / 0.1)` instead of `C[i, j]`.

    `P[i, j]` is the share of j among the items near i, so that the weight of the text means the same on sparse and
    dense logs. Nearly identical texts count, unrelated ones do not, and items without training events are found too.
    """

    name = "cooccurrence_text"

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Self:
        """Counts the pairs and normalises the text vectors, float `[num_items, dim]`.

        Raises:
            InvalidInput: There are no text vectors, or not one per item.
        """
        self.vectors = unit_vectors(_checked(text_vectors, dataset.num_items))
        return super().fit(dataset)

    def _rows(self, near: NearItems) -> NearItems:
        return near.as_shares()

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        scores = super().scores(histories, rows)
        query, items, weights = _weighted_history(histories, np.asarray(rows), self.decay)
        weights = (TEXT_WEIGHT * weights).astype(np.float32)
        distinct, place = np.unique(items, return_inverse=True)
        for start in range(0, len(distinct), _BLOCK):  # in blocks to bound memory
            near = self.vectors[distinct[start : start + _BLOCK]] @ self.vectors.T
            near = np.exp((near - 1) / TEXT_TEMPERATURE)
            here = np.flatnonzero((place >= start) & (place < start + len(near)))
            for part in np.split(here, np.flatnonzero(np.diff(query[here])) + 1 if len(here) else []):
                if len(part):
                    scores[query[part[0]]] += weights[part] @ near[place[part] - start]
        return scores


def _weighted_history(
    histories: Histories, rows: np.ndarray, decay: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The newest events of the rows as flat arrays: row within the batch, item, and weight `decay^k`."""
    stop = histories.offsets[rows + 1]
    lengths = np.minimum(stop - histories.offsets[rows], HISTORY)
    places = concatenate_ranges(stop - lengths, lengths)
    age = np.repeat(stop, lengths) - 1 - places
    return row_numbers(lengths), histories.items[places], decay**age


def _weights_at(timestamps: np.ndarray, half_life: float, now: int, positions: np.ndarray) -> np.ndarray:
    """`event_weights` of some events. A function of the module, as scorers are sent to other processes."""
    return event_weights(timestamps[positions], half_life, now)


def _checked(vectors: np.ndarray | None, num_items: int) -> np.ndarray:
    shape = None if vectors is None else np.shape(vectors)
    if vectors is None or len(np.shape(vectors)) != 2 or len(vectors) != num_items:
        raise InvalidInput(
            f"Expected text vectors of shape [{num_items}, dim], received {shape}. Encode the texts of this dataset."
        )
    return vectors
