"""Untrained recommenders that a trained one has to beat: popularity, text of the last item, co-occurrence."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec import schema
from tfrec.data.dataset import Histories, PreparedDataset

WINDOW = 10
"""How many events apart two items may be to count as taken together."""
DECAY = 0.8
"""How much less the event before counts than the one after it, when a history is scored."""


class Popularity:
    """Scores each item by its training events, the same for everybody."""

    name = "popularity"

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Popularity:
        """Reads the counts of the training split."""
        self._counts = dataset.items[schema.TRAIN_COUNT].to_numpy().astype(np.float32)
        self.num_items = len(self._counts)
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        return np.tile(self._counts, (len(rows), 1))


class LastItemText:
    """Scores each item by the cosine of its text vector to that of the last item of the history.

    An empty history scores 0 everywhere.
    """

    name = "text"

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray) -> LastItemText:
        """Keeps the text vectors, float32 `[num_items, dim]`, at unit length."""
        norms = np.linalg.norm(text_vectors, axis=1, keepdims=True)
        self._vectors = (text_vectors / np.maximum(norms, 1e-12)).astype(np.float32)
        self.num_items = len(self._vectors)
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        some = histories.offsets[rows + 1] > histories.offsets[rows]
        scores = np.zeros((len(rows), self.num_items), np.float32)
        last = histories.items[histories.offsets[rows + 1][some] - 1]
        scores[some] = self._vectors[last] @ self._vectors.T
        return scores


class Cooccurrence:
    """Scores items by how often training users took them within ten events after those of the history.

    A pair counts 1 / distance; the history's newest event weighs 1, the one before 0.8, and so on. Rows of the
    transition table have sum 1.
    """

    name = "cooccurrence"

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray | None = None) -> Cooccurrence:
        """Counts the pairs of the training split into a sparse table."""
        self.num_items = dataset.num_items
        training = dataset.training()
        keys, weights = _pairs(training, self.num_items)
        unique, inverse = np.unique(keys, return_inverse=True)
        totals = np.bincount(inverse, weights, len(unique))
        source, self._target = unique // self.num_items, (unique % self.num_items).astype(np.int64)
        row_sums = np.bincount(source, totals, self.num_items)
        self._weight = totals / row_sums[source]
        self._start = np.searchsorted(source, np.arange(self.num_items + 1))
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        scores = np.zeros((len(rows), self.num_items))
        for i, row in enumerate(rows):
            newest_first = histories.items[histories.offsets[row] : histories.offsets[row + 1]][::-1][:50]
            for age, item in enumerate(newest_first):
                part = slice(self._start[item], self._start[item + 1])
                scores[i, self._target[part]] += DECAY**age * self._weight[part]  # targets of one row are distinct
        return scores.astype(np.float32)


class CooccurrenceText:
    """Co-occurrence plus 0.3 · exp((cosine − 1) / 0.1) of the text of the last item."""

    name = "cooccurrence_text"

    def fit(self, dataset: PreparedDataset, text_vectors: np.ndarray) -> CooccurrenceText:
        """Fits both parts."""
        self._pairs = Cooccurrence().fit(dataset)
        self._text = LastItemText().fit(dataset, text_vectors)
        self.num_items = dataset.num_items
        return self

    def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        text = np.exp((self._text.scores(histories, rows) - 1) / 0.1)
        scores: np.ndarray = self._pairs.scores(histories, rows) + np.float32(0.3) * text
        return scores


def _pairs(training: Histories, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys source · num_items + target, and weights 1 / distance, of all pairs at most WINDOW events apart."""
    row = np.repeat(np.arange(len(training)), np.diff(training.offsets))
    items = training.items.astype(np.int64)
    keys: list[Any] = []
    weights: list[Any] = []
    for distance in range(1, WINDOW + 1):
        same = row[distance:] == row[:-distance]
        keys.append((items[:-distance] * num_items + items[distance:])[same])
        weights.append(np.full(int(same.sum()), 1 / distance))
    return np.concatenate(keys), np.concatenate(weights)
