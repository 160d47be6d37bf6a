"""A NextItemModel with every part, none of which is silent, and histories of all lengths."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)
from tfrec.config import RunConfig
from tfrec.data.histories import Histories
from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.scorer import NextItemScorer

ITEMS = 9


def make_model(**options):
    rng = np.random.default_rng(4)
    sizes = {"dim": 8, "heads": 2, "layers": 1, "max_history": 4, "neighbours": 2, "text_neighbours": 2, "popular": 3}
    model = NextItemModel(ITEMS, 2, **{**sizes, **options})
    for weight in model.body.weights:  # positions, kinds and biases start at 0
        weight.assign_add(rng.normal(size=weight.shape).astype(np.float32) * 0.3)
    model.items.ids.assign(rng.normal(size=(ITEMS, 8)).astype(np.float32))
    near, alike = (np.stack([(np.arange(ITEMS) + step) % ITEMS for step in steps], 1) for steps in ((1, 2), (3, 4)))
    counts, kernel = (rng.uniform(1, 5, [ITEMS, 2]).astype(np.float32) for _ in range(2))
    frequencies = rng.integers(1, 20, ITEMS)
    model.memory.remember((near, counts), (alike, kernel), frequencies)
    model.memory.assign(weight=0.7, text_weight=-0.4)
    model.repeats.scaled.assign([-0.1, 0.05, 0.02, 0.03, -0.06])
    model.popularity.remember(frequencies)
    model.popularity.weight.assign(0.5)
    return model


def make_histories(rows, kinds=None):
    """Histories of the given lists of items, with kinds 0 and 1 in turn, a minute apart."""
    flat = np.array([item for row in rows for item in row], np.int32)
    events = np.arange(len(flat)) % 2 if kinds is None else np.array([kind for row in kinds for kind in row])
    return Histories(
        user_ids=np.array([f"u{row}" for row in range(len(rows))], object),
        offsets=np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64),
        items=flat,
        events=events.astype(np.int16),
        timestamps=np.arange(len(flat)).astype(np.int64) * 60_000_000,
        values=np.ones(len(flat), np.float32),
        is_target=np.ones(len(flat), bool),
        clock=True,
    )


ROWS = [[3, 5, 3, 1], [7], [], [2, 2, 8, 0, 3, 2, 6], [1, 4, 1, 1, 5]]


class ToyRun(SimpleNamespace):
    """A run in memory. Item i is titled "Film i"."""

    @property
    def item_ids(self):
        return self.items["item_id"].to_numpy()

    @property
    def item_counts(self):
        return self.items["train_count"].to_numpy().astype(np.int64)

    def scorer(self, dataset=None):
        return NextItemScorer(self.model)


def make_run(model=None, **manifest):
    items = {"item_id": [f"i{i}" for i in range(ITEMS)], "title": [f"Film {i}" for i in range(ITEMS)]}
    return ToyRun(
        kind="next-item",
        path=Path("nowhere"),
        config=RunConfig(),
        manifest={"exclude_seen": True, **manifest},
        model=model or make_model(memory_history=8),
        items=pl.DataFrame({**items, "text": items["title"], "train_count": range(1, ITEMS + 1)}),
        event_kinds=["view", "purchase"],
    )
