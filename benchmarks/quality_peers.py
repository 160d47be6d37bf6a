"""Fits the peers of `quality.py` and `train.py` and writes their lists. Runs in the environment of the peers.

In the folder given, `train.parquet` holds the training events (user, item, position) and `context.parquet` the
histories that lists are made from. The subfolder `valid` holds the same for validation, with `targets.parquet`;
settings and epochs are chosen on it. Writes `PEER.parquet` (user, item, rank) with all items, and `PEER-masked.parquet`
without the items of the history. Prints one JSON line with seconds and versions.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

K = 50


def frames(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training events and histories, with the column names of RecTools."""
    both = []
    for name in ("train", "context"):
        frame = pd.read_parquet(folder / f"{name}.parquet")
        frame["datetime"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame.pop("position"), unit="s")
        both.append(frame.rename(columns={"user": "user_id", "item": "item_id"}).assign(weight=1.0))
    return both[0], both[1]


def write(folder: Path, name: str, reco: pd.DataFrame) -> None:
    """Writes lists as (user, item, rank)."""
    frame = reco.rename(columns={"user_id": "user", "item_id": "item"})[["user", "item", "rank"]]
    frame.to_parquet(folder / f"{name}.parquet")


class Validation:
    """NDCG@10 on the validation queries, the better of lists with and without seen items."""

    def __init__(self, folder: Path) -> None:
        _, self.context = frames(folder / "valid")
        targets = pd.read_parquet(folder / "valid" / "targets.parquet")
        self.targets = targets.rename(columns={"user": "user_id", "item": "item_id"})
        self.users = self.context["user_id"].unique()

    def __call__(self, lists: Callable[[bool], pd.DataFrame]) -> float:
        from rectools.metrics import NDCG

        metric = NDCG(10, divide_by_achievable=True)
        return max(float(metric.calc(lists(masked), self.targets)) for masked in (False, True))


def transformer(folder: Path, name: str, minutes: float, length: int) -> dict[str, Any]:
    """RecTools' SASRec or BERT4Rec with its defaults but width 128, histories of `length` and softmax loss.

    It is validated every 100 steps or more, and the best epoch counts. Training stops after three validations without
    an improvement, or when the minutes are over.
    """
    import torch
    from rectools.dataset import Dataset
    from rectools.models import BERT4RecModel, SASRecModel

    torch.manual_seed(0)
    train, context = frames(folder)
    validation, training_data, history_data = Validation(folder), Dataset.construct(train), Dataset.construct(context)
    validation_data, users = Dataset.construct(validation.context), context["user_id"].unique()
    epochs_between = max(1, 100 * 128 // train["user_id"].nunique())
    kind = {"sasrec": SASRecModel, "bert4rec": BERT4RecModel}[name]
    model = kind(n_factors=128, session_max_len=length, batch_size=128, epochs=1, loss="softmax", deterministic=True)
    best, epochs, waited, seconds, started = -1.0, 0, 0, 0.0, time.perf_counter()
    curve = []
    while waited < 3 and time.perf_counter() - started < 60 * minutes:
        begun = time.perf_counter()
        model.fit_partial(training_data, min_epochs=epochs_between, max_epochs=epochs_between)
        seconds += time.perf_counter() - begun
        epochs, waited = epochs + epochs_between, waited + 1
        value = validation(
            lambda masked: model.recommend(users=validation.users, dataset=validation_data, k=10, filter_viewed=masked)
        )
        curve.append((time.perf_counter() - started, value))
        if value > best:
            best, waited, kept = value, 0, {"epochs": epochs, "fit_seconds": seconds}
            for masked in (False, True):
                reco = model.recommend(users=users, dataset=history_data, k=K, filter_viewed=masked)
                write(folder, f"{name}-masked" if masked else name, reco)
    versions = {"rectools": version("rectools"), "torch": version("torch")}
    return {**kept, "valid_ndcg@10": best, "curve": curve, "stopped": waited >= 3, "versions": versions}


def by_epoch(folder: Path, epochs: int) -> dict[str, Any]:
    """Trains SASRec one epoch at a time: the seconds of each, and after each the NDCG@10 and the seconds so far."""
    import torch
    from rectools.dataset import Dataset
    from rectools.metrics import NDCG
    from rectools.models import SASRecModel

    torch.manual_seed(0)
    train, context = frames(folder)
    training_data, history_data, users = (
        Dataset.construct(train),
        Dataset.construct(context),
        context["user_id"].unique(),
    )
    targets = pd.read_parquet(folder / "targets.parquet").rename(columns={"user": "user_id", "item": "item_id"})
    model = SASRecModel(n_factors=128, session_max_len=50, batch_size=256, epochs=1, loss="softmax", verbose=0)
    epoch_figures: dict[str, list[float]] = {"epoch_seconds": [], "seconds": [], "valid_ndcg@10": []}
    started = time.perf_counter()
    for _ in range(epochs):
        before = time.perf_counter()
        model.fit_partial(training_data, min_epochs=1, max_epochs=1)
        epoch_figures["epoch_seconds"].append(time.perf_counter() - before)
        reco = model.recommend(users=users, dataset=history_data, k=10, filter_viewed=False)
        epoch_figures["valid_ndcg@10"].append(float(NDCG(10, divide_by_achievable=True).calc(reco, targets)))
        epoch_figures["seconds"].append(time.perf_counter() - started)
    return {**epoch_figures, "versions": {"rectools": version("rectools"), "torch": version("torch")}}


def als(folder: Path) -> dict[str, Any]:
    """ALS of `implicit`, with factors and confidence chosen on validation; user vectors are computed from histories."""
    import implicit
    import scipy.sparse as sp

    train, context = frames(folder)
    validation = Validation(folder)
    users, items = (int(max(train[name].max(), context[name].max())) + 1 for name in ("user_id", "item_id"))

    def matrix(frame: pd.DataFrame) -> Any:
        cells = np.ones(len(frame), np.float32), (frame["user_id"], frame["item_id"])
        return sp.csr_matrix(cells, shape=(users, items))

    def lists(model: Any, frame: pd.DataFrame, k: int, masked: bool) -> pd.DataFrame:
        known, rows = matrix(frame), np.sort(frame["user_id"].unique())
        items_of, _ = model.recommend(rows, known[rows], N=k, filter_already_liked_items=masked, recalculate_user=True)
        ranks = np.tile(np.arange(1, items_of.shape[1] + 1), len(rows))
        reco = pd.DataFrame({"user_id": np.repeat(rows, items_of.shape[1]), "item_id": items_of.ravel(), "rank": ranks})
        return reco[reco["item_id"] >= 0]

    started, best, kept = time.perf_counter(), -1.0, {}
    for factors, alpha in itertools.product((64, 128, 256), (1.0, 10.0, 40.0)):
        settings = {"factors": factors, "alpha": alpha, "iterations": 15, "random_state": 0}
        model = implicit.als.AlternatingLeastSquares(**settings)
        begun = time.perf_counter()
        model.fit(matrix(train), show_progress=False)
        seconds = time.perf_counter() - begun
        value = validation(lambda masked, model=model: lists(model, validation.context, 10, masked))
        if value > best:
            best, kept = value, {"factors": factors, "alpha": alpha, "fit_seconds": seconds}
            for masked in (False, True):
                write(folder, "als-masked" if masked else "als", lists(model, context, K, masked))
    kept["search_seconds"] = time.perf_counter() - started
    return {**kept, "valid_ndcg@10": best, "versions": {"implicit": version("implicit")}}


def main() -> None:
    """Parses the command line, fits one peer and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["sasrec", "bert4rec", "als", "sasrec-by-epoch"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12, help="epochs of sasrec-by-epoch")
    parser.add_argument("--length", type=int, default=50, help="history of sasrec and bert4rec")
    parser.add_argument("--minutes", type=float, default=8.0, help="longest training of sasrec and bert4rec")
    options = parser.parse_args()
    if options.peer == "als":
        report = als(options.folder)
    elif options.peer == "sasrec-by-epoch":
        report = by_epoch(options.folder, options.epochs)
    else:
        report = transformer(options.folder, options.peer, options.minutes, options.length)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
