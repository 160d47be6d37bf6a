"""The peers' half of `quality.py` and `train.py`, run in their own environment: fit, recommend, write lists.

Reads `train.parquet` and `context.parquet` (user, item, position) in the folder: what they learn from, and what is
known of the users when lists are made. Writes `PEER.parquet` (user, item, rank) without masking, and
`PEER-masked.parquet` without items of the context. Prints one JSON line: seconds and versions.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

K = 50


def frames(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training and context in RecTools' columns."""
    both = []
    for name in ("train", "context"):
        frame = pd.read_parquet(folder / f"{name}.parquet")
        frame["datetime"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(frame.pop("position"), unit="s")
        both.append(frame.rename(columns={"user": "user_id", "item": "item_id"}).assign(weight=1.0))
    return both[0], both[1]


def write(folder: Path, name: str, reco: pd.DataFrame) -> None:
    """Lists as (user, item, rank)."""
    frame = reco.rename(columns={"user_id": "user", "item_id": "item"})[["user", "item", "rank"]]
    frame.to_parquet(folder / f"{name}.parquet")


def transformer(folder: Path, name: str, epochs: int) -> dict[str, Any]:
    """RecTools' SASRec or BERT4Rec as documented, with softmax loss, for `epochs` epochs."""
    import torch
    from rectools.dataset import Dataset
    from rectools.models import BERT4RecModel, SASRecModel

    torch.manual_seed(0)
    kinds = {"sasrec": SASRecModel, "bert4rec": BERT4RecModel}
    train, context = frames(folder)
    model = kinds[name](
        n_factors=128, session_max_len=50, batch_size=256, epochs=epochs, loss="softmax", deterministic=True, verbose=0
    )
    started = time.perf_counter()
    model.fit(Dataset.construct(train))
    seconds = time.perf_counter() - started
    known = Dataset.construct(context)
    users = context["user_id"].unique()
    for masked in (False, True):
        reco = model.recommend(users=users, dataset=known, k=K, filter_viewed=masked)
        write(folder, f"{name}-masked" if masked else name, reco)
    return {"fit_seconds": seconds, "versions": {"rectools": version("rectools"), "torch": version("torch")}}


def by_epoch(folder: Path, epochs: int) -> dict[str, Any]:
    """SASRec an epoch at a time: seconds of each, and after each its NDCG@10 and the seconds so far."""
    import torch
    from rectools.dataset import Dataset
    from rectools.metrics import NDCG
    from rectools.models import SASRecModel

    torch.manual_seed(0)
    train, context = frames(folder)
    learnt, known, users = Dataset.construct(train), Dataset.construct(context), context["user_id"].unique()
    targets = pd.read_parquet(folder / "targets.parquet").rename(columns={"user": "user_id", "item": "item_id"})
    model = SASRecModel(n_factors=128, session_max_len=50, batch_size=256, epochs=1, loss="softmax", verbose=0)
    found: dict[str, list[float]] = {"epoch_seconds": [], "seconds": [], "valid_ndcg@10": []}
    started = time.perf_counter()
    for _ in range(epochs):
        before = time.perf_counter()
        model.fit_partial(learnt, min_epochs=1, max_epochs=1)
        found["epoch_seconds"].append(time.perf_counter() - before)
        reco = model.recommend(users=users, dataset=known, k=10, filter_viewed=False)
        found["valid_ndcg@10"].append(float(NDCG(10, divide_by_achievable=True).calc(reco, targets)))
        found["seconds"].append(time.perf_counter() - started)
    return {**found, "versions": {"rectools": version("rectools"), "torch": version("torch")}}


def als(folder: Path, factors: int = 128) -> dict[str, Any]:
    """`implicit`'s ALS with confidence 1 + 40 · count; users are folded in from the context."""
    import implicit
    import scipy.sparse as sp

    train, context = frames(folder)
    users, items = (int(max(train[name].max(), context[name].max())) + 1 for name in ("user_id", "item_id"))

    def matrix(frame: pd.DataFrame) -> Any:
        cells = np.ones(len(frame), np.float32), (frame["user_id"], frame["item_id"])
        return sp.csr_matrix(cells, shape=(users, items))

    model = implicit.als.AlternatingLeastSquares(factors=factors, alpha=40.0, iterations=15, random_state=0)
    started = time.perf_counter()
    model.fit(matrix(train), show_progress=False)
    seconds = time.perf_counter() - started
    known, rows = matrix(context), np.sort(context["user_id"].unique())
    for masked in (False, True):
        found, _ = model.recommend(rows, known[rows], N=K, filter_already_liked_items=masked, recalculate_user=True)
        ranks = np.tile(np.arange(1, found.shape[1] + 1), len(rows))
        lists = pd.DataFrame({"user": np.repeat(rows, found.shape[1]), "item": found.ravel(), "rank": ranks})
        lists[lists["item"] >= 0].to_parquet(folder / ("als-masked.parquet" if masked else "als.parquet"))
    return {"fit_seconds": seconds, "versions": {"implicit": version("implicit")}}


def main() -> None:
    """Parses the command line, fits one peer, prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["sasrec", "bert4rec", "als", "sasrec-by-epoch"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=12)
    options = parser.parse_args()
    if options.peer == "als":
        found = als(options.folder)
    elif options.peer == "sasrec-by-epoch":
        found = by_epoch(options.folder, options.epochs)
    else:
        found = transformer(options.folder, options.peer, options.epochs)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
