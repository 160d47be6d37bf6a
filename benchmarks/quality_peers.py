"""Fits the peers of `quality.py` and `train.py` that share an environment, and writes their lists.

Reads and writes the files that `quality_files.py` describes. Settings and epochs are chosen on the validation queries.
Prints one JSON line with seconds, settings and versions.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
from quality_files import Budget, K, Validation, masked_name, rectools_events, rectools_lists, write_lists

GSASREC = {"loss": "gBCE", "n_negatives": 256, "gbce_t": 0.75}
"""What the authors of gSASRec recommend."""
TRANSFORMERS: dict[str, tuple[str, dict[str, Any]]] = {
    "sasrec": ("SASRecModel", {"loss": "softmax"}),
    "gsasrec": ("SASRecModel", GSASREC),
    "bert4rec": ("BERT4RecModel", {"loss": "softmax"}),
}
"""Class in RecTools and loss of each."""


def transformer(folder: Path, name: str, minutes: float, length: int) -> dict[str, Any]:
    """One of `TRANSFORMERS` with RecTools' defaults but width 128 and histories of `length`.

    It is validated every 100 steps or more, and the best epoch counts. Training stops after three validations without
    an improvement, or when the minutes are over.
    """
    import rectools.models
    import torch
    from rectools.dataset import Dataset

    torch.manual_seed(0)
    train, context, validation = (
        rectools_events(folder, "train"),
        rectools_events(folder, "context"),
        Validation(folder),
    )
    training_data, history_data = Dataset.construct(train), Dataset.construct(context)
    validation_data = Dataset.construct(rectools_events(folder / "valid", "context"))
    epochs_between = max(1, 100 * 128 // train["user_id"].nunique())
    kind, loss = TRANSFORMERS[name]
    width: dict[str, Any] = {"n_factors": 128, "session_max_len": length, "batch_size": 128}
    model = getattr(rectools.models, kind)(**width, **loss, epochs=1, deterministic=True)
    best, epochs, waited, seconds, started = -1.0, 0, 0, 0.0, time.perf_counter()
    budget, curve = Budget(minutes), []
    while waited < 3 and budget.left():
        begun = time.perf_counter()
        model.fit_partial(training_data, min_epochs=epochs_between, max_epochs=epochs_between)
        seconds += time.perf_counter() - begun
        epochs, waited = epochs + epochs_between, waited + 1
        asked = {"users": validation.users, "dataset": validation_data, "k": 10}
        value = validation(lambda masked, asked=asked: rectools_lists(model.recommend(**asked, filter_viewed=masked)))
        curve.append((time.perf_counter() - started, value))
        if value > best:
            best, waited, kept = value, 0, {"epochs": epochs, "fit_seconds": seconds}
            for masked in (False, True):
                users = context["user_id"].unique()
                lists = model.recommend(users=users, dataset=history_data, k=K, filter_viewed=masked)
                write_lists(folder, masked_name(name, masked), rectools_lists(lists))
    versions = {"rectools": version("rectools"), "torch": version("torch")}
    told = {**kept, "epochs_trained": epochs, "processor_seconds": budget.used(), "curve": curve}
    return {**told, "valid_ndcg@10": best, "stopped": waited >= 3, "versions": versions}


def by_epoch(folder: Path, epochs: int) -> dict[str, Any]:
    """Trains SASRec one epoch at a time: the seconds of each, and after each the NDCG@10 and the seconds so far."""
    import torch
    from rectools.dataset import Dataset
    from rectools.metrics import NDCG
    from rectools.models import SASRecModel

    torch.manual_seed(0)
    train, context = rectools_events(folder, "train"), rectools_events(folder, "context")
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


def main() -> None:
    """Parses the command line, fits one peer and prints the JSON line."""
    from quality_linear import als, ease
    from quality_unisrec import unisrec

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=[*TRANSFORMERS, "unisrec", "als", "ease", "sasrec-by-epoch"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12, help="epochs of sasrec-by-epoch")
    parser.add_argument("--length", type=int, default=50, help="history of all but als and ease")
    parser.add_argument("--minutes", type=float, default=8.0, help="longest training of all but als, processor time")
    options = parser.parse_args()
    if options.peer == "als":
        report = als(options.folder)
    elif options.peer == "ease":
        report = ease(options.folder, options.minutes)
    elif options.peer == "unisrec":
        report = unisrec(options.folder, options.minutes, options.length)
    elif options.peer == "sasrec-by-epoch":
        report = by_epoch(options.folder, options.epochs)
    else:
        report = transformer(options.folder, options.peer, options.minutes, options.length)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
