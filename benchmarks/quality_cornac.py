"""Sequential models of Cornac 3 for `quality.py`, in an environment of their own.

Reads and writes the files that `quality_files.py` describes. Each model has Cornac's defaults; epochs are chosen on the
validation queries.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from cornac.data import SequentialDataset
from quality_files import Budget, K, Validation, events, masked_name, top_lists, write_lists

CLASSES = {"cornac-sasrec": ("sasrec", "SASRec"), "cornac-gru4rec": ("gru4rec", "GRU4Rec")}
"""Module and class in `cornac.models` of each."""


class _TimeIsUp(Exception):
    """Raised when the minutes are over, or three validations have brought nothing."""


class _KeepBest:
    """Takes the place of Cornac's own validation after an epoch, which scores one person at a time by its own split."""

    def __init__(self, folder: Path, name: str, minutes: float) -> None:
        self.folder, self.name, self.budget = folder, name, Budget(minutes)
        self.validation, self.context = Validation(folder), events(folder, "context")
        self.started, self.epochs, self.waited = time.perf_counter(), 0, 0
        self.best: dict[str, Any] = {"valid_ndcg@10": -1.0}

    def __call__(self, model: Any, *_: Any, **__: Any) -> float:
        self.epochs, self.waited = self.epochs + 1, self.waited + 1
        value = self.validation(lambda masked: lists(model, self.validation.context, masked, 10))
        if value > self.best["valid_ndcg@10"]:
            seconds, self.waited = time.perf_counter() - self.started, 0
            self.best = {"valid_ndcg@10": value, "epochs": self.epochs, "fit_seconds": seconds}
            for masked in (False, True):
                write_lists(self.folder, masked_name(self.name, masked), lists(model, self.context, masked, K))
        if self.waited >= 3 or not self.budget.left():
            raise _TimeIsUp
        return value


def lists(model: Any, context: pd.DataFrame, masked: bool, k: int) -> pd.DataFrame:
    """Lists of `k` items for the users of `context`, made by one call of `score` each, as Cornac has it."""
    known = model.iid_map
    names = np.empty(len(known), np.int64)
    names[list(known.values())] = list(known)
    histories = context.sort_values(["user", "position"]).groupby("user")["item"].agg(list)
    seen = {user: set(row) for user, row in histories.items()}
    asked = min(k + (max(map(len, seen.values())) if masked else 0), len(names))
    ranked = np.empty((len(histories), asked), np.int64)
    for row, history in enumerate(histories):
        scores = np.asarray(model.score(None, [known[item] for item in history if item in known])).ravel()
        best = np.argpartition(-scores, asked - 1)[:asked]
        ranked[row] = names[best[np.argsort(-scores[best], kind="stable")]]
    return top_lists(histories.index.to_numpy(), ranked, seen if masked else None, k)


def cornac_model(folder: Path, name: str, minutes: float, length: int) -> dict[str, Any]:
    """A model of `CLASSES` with Cornac's defaults; a person's history is one session.

    GRU4Rec fails where there are fewer sessions than a batch has.
    """
    module, kind = CLASSES[name]
    train = events(folder, "train")
    longer = int((train.groupby("user").size() > 1).sum())
    settings = {"max_len": length} if name == "cornac-sasrec" else {"batch_size": min(512, longer)}
    sessions = list(train[["user", "user", "item", "position"]].itertuples(index=False, name=None))
    data = SequentialDataset.build(sessions, fmt="USIT", seed=0)
    keep_best = _KeepBest(folder, name, minutes)
    import_module(f"cornac.models.{module}.recom_{module}").val_score = keep_best  # it has no callbacks
    selection = {"model_selection": "best", "val_eval_every": 1}
    model = getattr(import_module("cornac.models"), kind)(n_epochs=1000, seed=0, **selection, **settings)
    with contextlib.suppress(_TimeIsUp):
        model.fit(data, data)
    told = {**keep_best.best, "epochs_trained": keep_best.epochs, "processor_seconds": keep_best.budget.used()}
    return {**told, "stopped": keep_best.waited >= 3, "versions": {"cornac": version("cornac")}}


def main() -> None:
    """Parses the command line, fits, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=list(CLASSES))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--length", type=int, default=50)
    parser.add_argument("--minutes", type=float, default=8.0)
    options = parser.parse_args()
    print(json.dumps(cornac_model(options.folder, options.peer, options.minutes, options.length)))


if __name__ == "__main__":
    main()
