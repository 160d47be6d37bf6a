"""UniSRec of RecTools for `quality.py` and `transfer.py`, which reads the text vectors that tfrec reads too.

If the folder of the data has a folder `elsewhere`, the model is trained and validated on the data, and the lists are
for the histories and the items of the catalogue there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback
from quality_files import Budget, K, Validation, events, masked_name, top_lists, write_lists
from rectools.fast_transformers import UniSRecModel

LEARNING_RATES = (1e-3, 1e-4)
"""RecTools' default, 1e-4, is for longer trainings."""
ELSEWHERE = "elsewhere"


class _Histories:
    """Histories as the model reads them, and the items seen in them."""

    def __init__(self, context: pd.DataFrame, length: int) -> None:
        items = context.sort_values(["user", "position"]).groupby("user")["item"].agg(list)
        self.users = items.index.to_numpy()
        self.seen = {user: set(row) for user, row in items.items()}
        self.longest = max(map(len, self.seen.values()))
        self.rows = torch.zeros(len(items), length, dtype=torch.long)  # left-padded, items from 1
        for row, history in zip(self.rows, items, strict=True):
            newest = torch.tensor(history[-length:]) + 1
            row[length - len(newest) :] = newest


def _lists(model: UniSRecModel, histories: _Histories, masked: bool, k: int) -> pd.DataFrame:
    """Lists of `k` items; the model ranks more of them, as seen ones are taken out afterwards."""
    rows = model.map_item_ids(histories.rows)
    asked = min(k + histories.longest, len(model.item_id_mapping)) if masked else k
    found = [model.predict_topk(part, k=asked)[1].numpy() - 1 for part in rows.split(512)]
    return top_lists(histories.users, np.concatenate(found), histories.seen if masked else None, k)


@contextmanager
def _in_catalogue(model: UniSRecModel, vectors: torch.Tensor | None) -> Iterator[None]:
    """Lets the model read other items, with the row of each in the vectors as its id; None: its own."""
    own = model._net.frozen_emb, model._unique_items
    if vectors is not None:
        model._net.frozen_emb, model._unique_items = vectors[:, None], torch.arange(1, len(vectors))
    yield
    model._net.frozen_emb, model._unique_items = own


def _text_vectors(folder: Path) -> torch.Tensor:
    """The text vectors of a catalogue, after a row of zeros for padding."""
    texts = np.load(folder / "texts.npy")
    return torch.from_numpy(np.concatenate([np.zeros_like(texts[:1]), texts]))


class _KeepBest(Callback):
    """Validates after each epoch, writes the lists of the best, and stops after three others or at the end of time."""

    def __init__(self, folder: Path, length: int, report: dict[str, Any]) -> None:
        self.folder, self.report, self.validation = folder, report, Validation(folder)
        self.valid = _Histories(self.validation.context, length)
        other = folder / ELSEWHERE if (folder / ELSEWHERE).is_dir() else None
        self.vectors = None if other is None else _text_vectors(other)
        self.test = _Histories(events(other or folder, "context"), length)

    def start(self, model: UniSRecModel, budget: Budget) -> None:
        """Before each training."""
        self.model, self.budget, self.waited, self.best, self.begun = model, budget, 0, -1.0, time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self.model._net, self.waited = pl_module.net, self.waited + 1
        value = self.validation(lambda masked: _lists(self.model, self.valid, masked, 10))
        if value > self.best:
            self.best, self.waited = value, 0
        if value > self.report["valid_ndcg@10"]:
            epochs, seconds = trainer.current_epoch + 1, time.perf_counter() - self.begun
            self.report |= {"valid_ndcg@10": value, "lr": self.model.lr, "epochs": epochs, "fit_seconds": seconds}
            with _in_catalogue(self.model, self.vectors):
                for masked in (False, True):
                    write_lists(self.folder, masked_name("unisrec", masked), _lists(self.model, self.test, masked, K))
        trainer.should_stop = self.waited >= 3 or not self.budget.left()
        self.report["stopped"] = self.waited >= 3


class _Validated(UniSRecModel):
    """Its `fit` takes no callbacks and gives its network away only at the end."""

    keep_best: _KeepBest

    def _make_trainer(self, max_epochs: int, val_dl: Any = None) -> Any:
        trainer = super()._make_trainer(max_epochs, val_dl)
        trainer.callbacks.append(self.keep_best)
        return trainer


def unisrec(folder: Path, minutes: float, length: int) -> dict[str, Any]:
    """UniSRec with RecTools' defaults but width 128, histories of `length`, and the learning rate that validates best.

    Each learning rate gets the same part of the minutes.
    """
    vectors = _text_vectors(folder)
    train = events(folder, "train")
    columns = [torch.from_numpy(train[name].to_numpy()) for name in ("user", "item", "position")]
    columns[1] = columns[1] + 1
    report: dict[str, Any] = {"valid_ndcg@10": -1.0}
    keep_best, seconds = _KeepBest(folder, length, report), 0.0
    for learning_rate in LEARNING_RATES:
        torch.manual_seed(0)
        model = _Validated(vectors, n_factors=128, session_max_len=length, epochs=1000, lr=learning_rate)
        model.keep_best, budget = keep_best, Budget(minutes / len(LEARNING_RATES))
        keep_best.start(model, budget)
        model.fit(*columns)
        seconds += budget.used()
    return {**report, "processor_seconds": seconds, "versions": {"rectools": version("rectools")}}
