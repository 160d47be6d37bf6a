"""A synthetic log (users who walk round a ring of items) and a retraining job on it."""

from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from tfrec.config import RunConfig
from tfrec.workflows.retrain import releases as release
from tfrec.workflows.retrain import retrain
from tfrec.workflows.retrain.job_state import State

START = datetime(2024, 1, 1, tzinfo=UTC)
USERS, ITEMS = 40, 12


def log(days, users=USERS):
    """Users who take one step a day round a ring of 12 items."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{u}", f"i{(start + day) % ITEMS}", "view", START + timedelta(days=day, seconds=int(u)))
        for u, start in enumerate(rng.integers(0, ITEMS, users))
        for day in range(days)
    ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")


def catalogue(items=ITEMS):
    return pl.DataFrame({"item_id": [f"i{i}" for i in range(items)], "title": [f"thing {i}" for i in range(items)]})


SMALL = [
    *("training.learning_rate=0.03", "training.balance=false", "model.neighbour_window=1"),
    "retrieval.exclude_seen=false",  # after eleven days, masking seen items alone would leave the right item
    *("model.dim=8", "model.heads=2", "model.layers=1", "model.use_text=false", "model.max_history=8"),
    *("training.batch_size=64", "training.epochs=1", "retrain.check=false"),
    *(
        "export.max_k=5",
        "export.exclude_length=4",
        "export.candidates_length=2",
        "export.allow_length=1",
        "export.explain_length=0",
    ),
]


class Job:
    """A retraining job; `retrain(days)` runs it on that many days of the log, a day after the last event."""

    def __init__(self, folder):
        self.home, self.out = folder / "home", folder / "saved_models" / "ring"

    def retrain(self, days, *settings, events=None, items=None, now=None, **options):
        config = RunConfig().with_values([*SMALL, *settings])
        events = log(days) if events is None else events
        items = catalogue() if items is None else items
        now = now or START + timedelta(days=days)
        return retrain(events, items, self.home, self.out, config=config, now=now, **options)

    def served(self):
        return release.labels(self.out).get("stable")

    def versions(self):
        return sorted(int(path.name) for path in self.out.iterdir() if path.name.isdecimal())

    def state(self):
        return State(self.home)


class Killed(BaseException):
    """Stands for a kill of the process: a BaseException that nothing catches."""
