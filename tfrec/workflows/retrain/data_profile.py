"""The profile of a log and a catalogue that a retraining run leaves for the next one to compare with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.files import OutputKind, atomic_folder, read_json, write_json

PROFILE_FILE = "profile.json"
ITEMS_FILE = "items.parquet"
PROFILE_OUTPUT = OutputKind("a profile", {PROFILE_FILE: ("watermark",)})
BINS = 10
"""Bins of values and of popularity: deciles, as is usual for the PSI."""
_COUNT = "count"


class Profile:
    """A profile, read from the folder that `write_profile` wrote.

    Attributes:
        facts: events and users (counts), watermark (time of the newest event in µs), kinds and values (event counts),
            edges (bin edges of the values), item_columns, cuts (times of the split).
        items: The catalogue as it was given: item_id, and count, the number of its events.
    """

    def __init__(self, folder: str | Path) -> None:
        self.facts: dict[str, Any] = read_json(Path(folder) / PROFILE_FILE)
        self.items = pl.read_parquet(Path(folder) / ITEMS_FILE)

    def popularity(self, items: list[str]) -> np.ndarray:
        """Counts item ids by popularity: each of ten bins holds items with a tenth of this profile's events.

        Args:
            items: The item id of each event.

        Returns:
            int64 `[11]`: events a bin, the most popular items first; unknown items are counted last.
        """
        ordered = self.items.sort(_COUNT, schema.ITEM_ID, descending=[True, False])
        counts = ordered[_COUNT].to_numpy().astype(np.int64)
        before = np.cumsum(counts) - counts
        tenth = np.minimum(BINS * before // max(1, int(counts.sum())), BINS - 1)
        place = dict(zip(ordered[schema.ITEM_ID].to_list(), tenth.tolist()))
        bins = np.array([place.get(item, BINS) for item in items], np.int64)
        return np.bincount(bins, minlength=BINS + 1)

    def reference(self) -> np.ndarray:
        """`popularity` of the events of this profile itself."""
        ordered = np.sort(self.items[_COUNT].to_numpy().astype(np.int64))[::-1]
        before = np.cumsum(ordered) - ordered
        tenth = np.minimum(BINS * before // max(1, int(ordered.sum())), BINS - 1)
        own = np.bincount(tenth, ordered, minlength=BINS + 1).astype(np.int64)
        own[BINS] = self.facts["events"] - own.sum()
        return own


def write_profile(dataset: PreparedDataset, folder: Path, edges: list[float] | None = None) -> Profile:
    """Writes the profile of a dataset and returns it.

    Args:
        dataset: The data of this run.
        folder: Folder to write; an existing one is replaced.
        edges: Bin edges of event values. None: the deciles of this dataset's values.
    """
    h = dataset.histories()
    given = dataset.num_items - int(dataset.report["items"]["only_in_events"][_COUNT])
    counts = np.bincount(h.items, minlength=dataset.num_items)[:given]
    edges = value_edges(h.values) if edges is None else edges
    facts = {
        "events": len(h.items),
        "users": len(h),
        "watermark": int(h.timestamps.max()),
        "kinds": kind_counts(h, dataset.event_kinds, np.ones(len(h.items), bool)),
        "values": value_counts(h.values, edges).tolist(),
        "edges": edges,
        "item_columns": dataset.items.columns,
        "cuts": dataset.manifest["cuts"],
    }
    with atomic_folder(folder, PROFILE_OUTPUT, force=True) as work:
        write_json(work / PROFILE_FILE, facts)
        ids = pl.Series(schema.ITEM_ID, dataset.item_ids[:given].tolist(), pl.String)
        pl.DataFrame([ids, pl.Series(_COUNT, counts)]).write_parquet(work / ITEMS_FILE)
    return Profile(folder)


def kind_counts(histories: Histories, kinds: list[str], chosen: np.ndarray) -> dict[str, int]:
    """Number of events of each kind, among those where `chosen`, bool `[events]`, is true."""
    counts = np.bincount(histories.events[chosen], minlength=len(kinds))
    return {kind: int(count) for kind, count in zip(kinds, counts)}


def value_edges(values: np.ndarray) -> list[float]:
    """Inner edges of up to ten bins with about equally many values each; no edges if there are no values.

    Example:
        >>> value_edges(np.array([1.0, 1.0, 2.0, 3.0, np.nan]))
        [1.0, 2.0]
    """
    real = values[~np.isnan(values)]
    if not len(real):
        return []
    inner = np.unique(np.quantile(real, np.arange(1, BINS) / BINS, method="lower"))
    return [float(edge) for edge in inner if edge < real.max()]


def value_counts(values: np.ndarray, edges: list[float]) -> np.ndarray:
    """Histogram of event values, int64 `[len(edges) + 2]`.

    Bin i holds the values up to `edges[i]`, the bin after the last edge those above it, and the last bin the events
    without a value.
    """
    real = values[~np.isnan(values)]
    places = np.searchsorted(np.asarray(edges, np.float64), real, side="left")
    return np.append(np.bincount(places, minlength=len(edges) + 1), len(values) - len(real))
