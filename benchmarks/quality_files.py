"""What `quality.py` and its peers share: the files they exchange, the measure, and the time a peer may train.

In the folder given to a peer, `train.parquet` holds the training events (user, item, position), `context.parquet` the
histories that lists are made from, and `texts.npy` the text vectors of all items. The subfolder `valid` holds the same
for validation, with `targets.parquet`; settings and epochs are chosen on it. A peer writes `PEER.parquet` (user, item,
rank) with all items, and `PEER-masked.parquet` without the items of the history.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

K = 50
"""Items in a list."""


def measure(lists: Mapping[int, Sequence[int]], targets: Mapping[int, Sequence[int]]) -> dict[str, float]:
    """Mean recall@10, ndcg@10 and recall@50 over the users of `targets`; 0 for users without a list."""
    values = []
    for user, items in targets.items():
        hits = [item in items for item in lists.get(user, [])[:50]]
        gain = sum(hit / np.log2(rank + 2) for rank, hit in enumerate(hits[:10]))
        best = sum(1 / np.log2(rank + 2) for rank in range(min(10, len(items))))
        values.append((sum(hits[:10]) / len(items), gain / best, sum(hits) / len(items)))
    return dict(zip(("recall@10", "ndcg@10", "recall@50"), map(float, np.mean(values, axis=0)), strict=True))


def events(folder: Path, name: str) -> pd.DataFrame:
    """Events of a folder: user, item and position, the events of a user in order."""
    return pd.read_parquet(folder / f"{name}.parquet")


def rectools_events(folder: Path, name: str) -> pd.DataFrame:
    """Events of a folder with the column names of RecTools; the position serves as time."""
    found = events(folder, name).rename(columns={"user": "user_id", "item": "item_id"})
    found["datetime"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(found.pop("position"), unit="s")
    return found.assign(weight=1.0)


def rectools_lists(lists: pd.DataFrame) -> pd.DataFrame:
    """Lists of RecTools with our column names."""
    return lists.rename(columns={"user_id": "user", "item_id": "item"})


def write_lists(folder: Path, name: str, lists: pd.DataFrame) -> None:
    """Writes lists as (user, item, rank)."""
    lists[["user", "item", "rank"]].to_parquet(folder / f"{name}.parquet")


def by_user(lists: pd.DataFrame) -> dict[int, list[int]]:
    """The items of each user, best first."""
    return lists.sort_values(["user", "rank"]).groupby("user")["item"].agg(list).to_dict()


def masked_name(name: str, masked: bool) -> str:
    """Name of the file with a peer's lists."""
    return f"{name}-masked" if masked else name


def top_lists(users: np.ndarray, items: np.ndarray, seen: Mapping[int, set[int]] | None, k: int) -> pd.DataFrame:
    """Lists of the first `k` items in each row of `items` `[users, n]`, without `seen`; an item below 0 is none."""
    rows = []
    for user, ranked in zip(users.tolist(), items.tolist(), strict=True):
        skip = seen.get(user, set()) if seen else set()
        kept = [item for item in ranked if item >= 0 and item not in skip][:k]
        rows += [(user, item, rank) for rank, item in enumerate(kept, start=1)]
    return pd.DataFrame(rows, columns=["user", "item", "rank"])


class Validation:
    """NDCG@10 on the validation queries, the better of lists with and without seen items."""

    def __init__(self, folder: Path) -> None:
        self.context = events(folder / "valid", "context")
        self.targets = events(folder / "valid", "targets").groupby("user")["item"].agg(list).to_dict()
        self.users = np.asarray(sorted(self.targets))

    def __call__(self, lists: Callable[[bool], pd.DataFrame]) -> float:
        return max(measure(by_user(lists(masked)), self.targets)["ndcg@10"] for masked in (False, True))


class Budget:
    """Minutes of processor time that a peer may train; what else runs on the machine takes none of it."""

    def __init__(self, minutes: float) -> None:
        self.seconds, self.started = 60 * minutes, time.process_time()

    def used(self) -> float:
        """Seconds of processor time so far."""
        return time.process_time() - self.started

    def left(self) -> bool:
        """Whether there is time to go on."""
        return self.used() < self.seconds
