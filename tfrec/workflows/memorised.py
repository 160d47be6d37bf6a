"""Memorised single sequences: does a run list an item that one person alone had, after what that person had before?"""

from __future__ import annotations

from typing import Any

import numpy as np

from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.models.baselines.counting import LastItemText
from tfrec.retrieval.scorer import Scorer

MOST = 1000
"""Sequences that are asked about; of more, so many are drawn."""
LIST = 10
"""Length of the lists."""
_BATCH = 256


def rare_events(training: Histories, num_items: int) -> tuple[np.ndarray, np.ndarray]:
    """The events that only one person has: the first with an item that nobody else took, if there is one before it.

    Args:
        training: The training sequences.
        num_items: int. Items in the catalogue.

    Returns:
        rows: int64 `[n]`, the person. places: int64 `[n]`, the number of events before it, at least 1.
    """
    rows, items = training.rows, training.items.astype(np.int64)
    _, first = np.unique(rows * num_items + items, return_index=True)  # one event of a person and item
    people = np.bincount(items[first], minlength=num_items)
    alone = np.sort(first[(people[items[first]] == 1) & training.is_target[first]])
    places = alone - training.offsets[rows[alone]]
    return rows[alone][places > 0], places[places > 0]


def memorised_sequences(
    scorer: Scorer, dataset: PreparedDataset, text_vectors: np.ndarray | None, rng: np.random.Generator
) -> dict[str, Any]:
    """How often a run lists the rare item of a person after that person's own events, and for no other reason.

    What it lists there and nowhere else it has of that person. The references need no model of the log: the texts
    alone, which may give the item away, and the same question after the events of another person, drawn at random.

    Args:
        scorer: Of the run.
        dataset: The data that the run was trained on, as the model reads them.
        text_vectors: float32 `[num_items, dim]`; None for a run without texts.
        rng: Draws the sequences, where there are many, and the other persons.

    Returns:
        sequences: how many were asked about. listed, by_text, after_others: the shares with the item among the first
        10. memorised: the share listed after the own events, neither by text nor after others, with low and high, its
        95% interval (Wilson 1927). None of all but `sequences` where there is none.
    """
    training = dataset.training()
    rows, places = rare_events(training, dataset.num_items)
    if len(rows) > MOST:
        drawn = np.sort(rng.choice(len(rows), MOST, replace=False))
        rows, places = rows[drawn], places[drawn]
    if not len(rows):
        return {"sequences": 0, "listed": None, "by_text": None, "after_others": None, "memorised": None}
    items = training.items[training.offsets[rows] + places]
    own = training.prefixes(rows, places)
    others = (rows + rng.integers(1, max(len(training), 2), len(rows))) % len(training)
    theirs = training.prefixes(others, np.minimum(places, training.lengths[others]))
    texts = LastItemText().fit(dataset, text_vectors) if text_vectors is not None else None
    listed, after_others = _listed(scorer, own, items), _listed(scorer, theirs, items)
    by_text = _listed(texts, own, items) if texts is not None else np.zeros(len(rows), bool)
    return {
        "sequences": len(rows),
        "listed": float(listed.mean()),
        "by_text": float(by_text.mean()),
        "after_others": float(after_others.mean()),
        "memorised": _share(listed & ~by_text & ~after_others),
    }


def _listed(scorer: Scorer, histories: Histories, items: np.ndarray) -> np.ndarray:
    """bool `[n]`: whether each item is among the first `LIST` after each history; ties go against it."""
    found = []
    for first in range(0, len(items), _BATCH):
        rows = np.arange(first, min(first + _BATCH, len(items)))
        scores = scorer.scores(histories, rows)
        own = scores[np.arange(len(rows)), items[rows]]
        found.append((scores >= own[:, None]).sum(axis=1) <= LIST)
    return np.concatenate(found)


def _share(found: np.ndarray) -> dict[str, float]:
    from scipy.stats import binomtest

    low, high = binomtest(int(found.sum()), len(found)).proportion_ci(method="wilson")
    return {"share": float(found.mean()), "low": float(low), "high": float(high)}
