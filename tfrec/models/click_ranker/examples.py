"""Training and evaluation examples of ClickRanker: candidates shown to users, and what the users did with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from tfrec import schema
from tfrec.config import RankerConfig, RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.data.impressions import without_kind
from tfrec.data.pair_set import PairSet
from tfrec.errors import InvalidInput
from tfrec.models.click_ranker.labels import (
    concatenated_windows,
    implied_behaviours,
    labels_ahead,
    labels_of_impressions,
    target_windows,
)
from tfrec.models.click_ranker.predictor import recent_events
from tfrec.training.sampled_negatives import Impressions, Negatives

NEGATIVE_HISTORY = 50
"""Negatives from the history are sampled from this many of its newest events."""


@dataclass(frozen=True)
class RankerExamples:
    """Candidates with labels; each example sees the beginning of a history.

    Attributes:
        histories: Histories without impressions.
        rows: int64 `[n]`, the history of each example.
        stops: int64 `[n]`, flat position just after the newest event that the example sees.
        candidates: int32 `[n, candidates]`, −1 is padding.
        labels: float32 `[n, candidates, behaviours]`, −1 at padding.
        context: `context_*` columns `[n]` of the event that the example is about.
        given: bool. Whether the candidates are recorded impressions rather than sampled.
    """

    histories: Histories
    rows: np.ndarray
    stops: np.ndarray
    candidates: np.ndarray
    labels: np.ndarray
    context: dict[str, np.ndarray]
    given: bool

    def __len__(self) -> int:
        return len(self.rows)


def impression_kind(event_kinds: Sequence[str]) -> int:
    """Index of the event kind `impression`; −1 if there is none."""
    return list(event_kinds).index(schema.IMPRESSION) if schema.IMPRESSION in event_kinds else -1


def training_examples(dataset: PreparedDataset, behaviours: Sequence[str], horizon: int) -> RankerExamples:
    """One example per training impression or, without impressions, per target event that has an event before it.

    The labels of an impression say what the user does with the item until it is shown again; those of a target, what
    the user does with the item within `horizon` events. Each example has one candidate; `TrainingNegatives` adds
    sampled ones.

    Args:
        dataset: Provides the training events.
        behaviours: Names of the heads.
        horizon: int. Events in which a user's reaction counts, the target included.

    Raises:
        InvalidInput: There is no such event.
    """
    training = dataset.training()
    table = implied_behaviours(dataset.event_kinds, behaviours)
    kind = impression_kind(dataset.event_kinds)
    clean, before = without_kind(training, kind)
    rows_of = training.rows
    given = kind >= 0 and bool((training.events == kind).any())
    if given:
        shown = training.events == kind
        acts = table[training.events] * training.is_target[:, None]
        labels = labels_of_impressions(rows_of, training.items, shown, acts, dataset.num_items)
        at = np.flatnonzero(shown)
        stops = before[at]
    else:
        place = np.arange(len(clean.items)) - clean.offsets[:-1][rows_of]
        at = np.flatnonzero((place > 0) & clean.is_target & (table[clean.events].sum(axis=1) > 0))
        labels, stops = labels_ahead(clean, at, table, horizon), at
    if not len(at):
        raise InvalidInput("No user has a training event and a target after it: nothing to learn from. Add events.")
    items = training.items[at]
    context = {name: values[at] for name, values in training.context.items()}
    return RankerExamples(clean, rows_of[at], stops, items[:, None], labels[:, None], context, given)


class TrainingNegatives:
    """Samples negatives for examples whose candidate is a target event.

    Negatives are items that the user never took and items of the history that are not taken again within the horizon.
    Without the latter, every candidate that occurs in the history would be a positive.

    Args:
        examples: The training examples.
        num_items: int. Items in the catalogue.
        config: Numbers and kinds of negatives.
    """

    def __init__(self, examples: RankerExamples, num_items: int, config: RankerConfig) -> None:
        histories, self.config, self.horizon = examples.histories, config, config.horizon
        self._histories = histories
        self._never = Negatives(num_items, histories.rows, histories.items)

    def draw(self, examples: RankerExamples, rng: np.random.Generator) -> RankerExamples:
        """The examples with additional candidates, labelled 0."""
        items = [examples.candidates]
        if self.config.negatives:
            items.append(self._sampled(examples.rows, rng))
        if self.config.history_negatives:
            items.append(self._from_history(examples, rng))
        candidates = np.concatenate(items, axis=1).astype(np.int32)
        labels = np.zeros((*candidates.shape, examples.labels.shape[2]), np.float32)
        labels[:, : examples.labels.shape[1]] = examples.labels
        labels[candidates < 0] = -1
        return replace(examples, candidates=candidates, labels=labels)

    def _sampled(self, rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        drawn = self._never.draw(rows, self.config.negatives, rng)
        popular = self._histories.items[rng.integers(0, len(self._histories.items), drawn.shape)]
        use_popular = rng.random(drawn.shape) < self.config.popular_negatives
        use_popular &= ~self._never.taken.contains(rows[:, None], popular)
        return np.where(use_popular, popular, drawn)

    def _from_history(self, examples: RankerExamples, rng: np.random.Generator) -> np.ndarray:
        h, stops = self._histories, examples.stops
        starts = np.maximum(h.offsets[examples.rows], stops - NEGATIVE_HISTORY)
        shape = (len(stops), self.config.history_negatives)
        places = starts[:, None] + (rng.random(shape) * (stops - starts)[:, None]).astype(np.int64)
        drawn = np.where((stops > starts)[:, None], h.items[np.minimum(places, len(h.items) - 1)], schema.PADDING)
        ends = h.offsets[examples.rows + 1]
        for step in range(self.horizon):
            ahead = np.minimum(stops + step, len(h.items) - 1)
            taken = (h.items[ahead][:, None] == drawn) & (stops + step < ends)[:, None]
            drawn = np.where(taken, schema.PADDING, drawn)
        return drawn


def evaluation_examples(
    dataset: PreparedDataset, split: str, behaviours: Sequence[str], config: RunConfig
) -> RankerExamples | None:
    """Examples that a ClickRanker is evaluated on.

    If the split has impressions, the candidates are the impressions of the queries' users in its window; otherwise each
    target of a query along with `evaluation.negatives` sampled items that are neither in its history nor among its
    targets. Labels say what the user does in the window; the history ends where the window begins.

    Args:
        dataset: The prepared data.
        split: "valid" or "test".
        behaviours: Names of the heads.
        config: Sections `evaluation` (number of negatives) and `training` (seed).

    Returns:
        The examples; None if the split has no queries.
    """
    queries, kind = dataset.queries(split), impression_kind(dataset.event_kinds)
    if not len(queries):
        return None
    table, whole = implied_behaviours(dataset.event_kinds, behaviours), dataset.histories()
    at, query = concatenated_windows(*target_windows(dataset, split, queries))
    history, _ = without_kind(queries.history, kind)
    acts = table[whole.events[at]] * whole.is_target[at][:, None]
    shown = whole.events[at] == kind
    if shown.any():
        labels = labels_of_impressions(query, whole.items[at], shown, acts, dataset.num_items)[:, None]
        rows, candidates, first = query[shown], whole.items[at[shown]][:, None], at[shown]
    else:
        pairs = Impressions.sample(
            replace(queries, history=history), dataset.num_items, config.evaluation.negatives, config.training.seed
        )
        width = 1 + config.evaluation.negatives
        rows, candidates = pairs.rows.reshape(-1, width)[:, 0], pairs.items.reshape(-1, width)
        labels = np.zeros((*candidates.shape, len(behaviours)), np.float32)
        labels[:, 0], first = _labels_of_targets(rows, candidates[:, 0], at, query, acts, whole, dataset.num_items)
    context = {name: values[first] for name, values in whole.context.items()}
    stops = history.offsets[rows + 1]
    return RankerExamples(history, rows, stops, candidates.astype(np.int32), labels, context, bool(shown.any()))


def _labels_of_targets(
    rows: np.ndarray,
    items: np.ndarray,
    at: np.ndarray,
    query: np.ndarray,
    acts: np.ndarray,
    whole: Histories,
    num_items: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Labels of each target in the window, and the flat position of the user's first action on it."""
    targets = PairSet(rows, items, num_items)
    target_at = np.empty(len(targets), np.int64)  # index of the target at each position of the set
    target_at[targets.positions(rows, items)] = np.arange(len(items))
    position = targets.positions(query, whole.items[at])
    acted = (position >= 0) & acts.any(axis=1)
    labels, first = np.zeros((len(items), acts.shape[1]), np.float32), np.full(len(items), len(whole.items))
    np.maximum.at(labels, target_at[position[acted]], acts[acted])
    np.minimum.at(first, target_at[position[acted]], at[acted])
    return labels, np.minimum(first, len(whole.items) - 1)


def inputs_of(examples: RankerExamples, picked: np.ndarray, max_history: int) -> dict[str, np.ndarray]:
    """The model's inputs, except the context, for the examples at the indices `picked`."""
    inputs = recent_events(examples.histories, examples.rows[picked], examples.stops[picked], max_history)
    return {**inputs, schema.CANDIDATES: examples.candidates[picked]}


def select_examples(examples: RankerExamples, picked: np.ndarray) -> RankerExamples:
    """The examples at the indices `picked`; the histories are shared."""
    flat = {name: getattr(examples, name)[picked] for name in ("rows", "stops", "candidates", "labels")}
    return replace(examples, context={name: values[picked] for name, values in examples.context.items()}, **flat)
