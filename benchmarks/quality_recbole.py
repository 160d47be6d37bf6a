"""Fits LightGCN of RecBole for `quality.py`, in an environment of its own because RecBole needs NumPy 1.

Reads and writes the same files as `quality_peers.py`. LightGCN learns a vector for each user, so unlike the others it
cannot use events after training; only its lists without seen items take the whole history into account.
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
import torch
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.model.general_recommender import LightGCN
from recbole.trainer import Trainer
from recbole.utils import init_seed

K = 50


class _TimeIsUp(Exception):
    """Raised when the minutes are over."""


def write_split(folder: Path) -> Path:
    """Writes the split in RecBole's format, with the validation targets in place of the test targets."""
    home = folder / "recbole" / "peer"
    home.mkdir(parents=True, exist_ok=True)
    train, valid = pd.read_parquet(folder / "train.parquet"), pd.read_parquet(folder / "valid" / "targets.parquet")
    valid = valid[valid["user"].isin(train["user"])]
    for name, frame in (("train", train), ("valid", valid), ("test", valid)):
        frame = frame[["user", "item"]].rename(columns={"user": "user_id:token", "item": "item_id:token"})
        frame.to_csv(home / f"peer.{name}.inter", sep="\t", index=False)
    return home.parent


def light_gcn(folder: Path, minutes: float) -> dict[str, Any]:
    """Fits LightGCN with RecBole's settings: validated every five epochs, stopped after ten without an improvement."""
    settings = {
        "data_path": str(write_split(folder)),
        "benchmark_filename": ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id"]},
        "checkpoint_dir": str(folder / "recbole"),
        "epochs": 10_000,
        "eval_step": 5,
        "stopping_step": 10,
        "metrics": ["NDCG"],
        "topk": [10],
        "valid_metric": "NDCG@10",
        "eval_batch_size": 10**7,
        "show_progress": False,
        "use_gpu": False,
        "state": "ERROR",
    }
    config = Config(model="LightGCN", dataset="peer", config_dict=settings)
    init_seed(0, True)
    data = create_dataset(config)
    train, valid, _ = data_preparation(config, data)
    model = LightGCN(config, train.dataset)
    best: dict[str, Any] = {"valid_ndcg@10": -1.0}
    started = time.perf_counter()

    def keep_best(epoch: int, score: float) -> None:
        if score > best["valid_ndcg@10"]:
            weights = {name: value.clone() for name, value in model.state_dict().items()}
            best.update({"valid_ndcg@10": float(score), "epochs": epoch + 1, "weights": weights})
            best["fit_seconds"] = time.perf_counter() - started
        if time.perf_counter() - started > 60 * minutes:
            raise _TimeIsUp

    best["stopped"] = True
    try:
        Trainer(config, model).fit(train, valid, saved=False, show_progress=False, callback_fn=keep_best)
    except _TimeIsUp:
        best["stopped"] = False
    model.load_state_dict(best.pop("weights"))
    model.restore_user_e = model.restore_item_e = None  # cached from the last validation
    write_lists(folder, model, data)
    return {**best, "versions": {"recbole": version("recbole"), "torch": torch.__version__}}


def write_lists(folder: Path, model: LightGCN, data: Any) -> None:
    """Writes lists of all users that it has a vector for, with and without seen items."""
    context = pd.read_parquet(folder / "context.parquet")
    users = {int(token): row for token, row in data.field2token_id["user_id"].items() if token != "[PAD]"}
    items = {int(token): row for token, row in data.field2token_id["item_id"].items() if token != "[PAD]"}
    names = np.full(data.item_num, -1)
    names[list(items.values())] = list(items)
    known = [user for user in context["user"].unique() if user in users]
    seen = context.groupby("user")["item"].agg(set)
    rows: dict[str, list[pd.DataFrame]] = {"lightgcn": [], "lightgcn-masked": []}
    model.eval()
    for start in range(0, len(known), 1024):
        batch = known[start : start + 1024]
        with torch.no_grad():
            scores = model.full_sort_predict({"user_id": torch.tensor([users[user] for user in batch])})
        scores = scores.reshape(len(batch), -1).numpy().copy()
        scores[:, names < 0] = -np.inf
        for name in rows:  # the masked lists last, as they change the scores
            if name.endswith("masked"):
                for row, user in enumerate(batch):
                    scores[row, [items[item] for item in seen[user] if item in items]] = -np.inf
            order = np.argsort(-scores, axis=1)[:, :K]
            frame = {
                "user": np.repeat(batch, K),
                "item": names[order].ravel(),
                "rank": np.tile(range(1, K + 1), len(batch)),
            }
            rows[name].append(pd.DataFrame(frame))
    for name, frames in rows.items():
        pd.concat(frames).to_parquet(folder / f"{name}.parquet")


def main() -> None:
    """Parses the command line, fits, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("peer", choices=["lightgcn"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--length", type=int, help="not used: it reads no order")
    options = parser.parse_args()
    print(json.dumps(light_gcn(options.folder, options.minutes)))


if __name__ == "__main__":
    main()
