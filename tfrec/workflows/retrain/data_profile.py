"""What a log and a catalogue look like, kept from night to night to compare the next ones with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.files import atomic_folder, read_json, write_json

PROFILE_FILE = "profile.json"
ITEMS_FILE = "items.parquet"
BINS = 10
_COUNT = "count"


class Profile:
    """The profile in a folder that `write_profile` wrote.

    Attributes:
        facts: events, users, watermark (time of the newest event), kinds and values (event counts), edges of the bins
            of the values, item_columns.
        items: The catalogue as it was given: item_id, and count, its events.
    """

    def __init__(self, folder: str | Path) -> None:
        self.facts: dict[str, Any] = read_json(Path(folder) / PROFILE_FILE)
        self.items = pl.read_parquet(Path(folder) / ITEMS_FILE)

    def popularity(self, items: list[str]) -> np.ndarray:
        """int64 `[11]`: how many of the item ids lie in each tenth of this profile's events, by popularity; the last
        counts those it does not know."""
        ordered = self.items.sort(_COUNT, schema.ITEM_ID, descending=[True, False])
        counts = ordered[_COUNT].to_numpy().astype(np.int64)
        before = np.cumsum(counts) - counts
        tenth = np.minimum(BINS * before // max(1, int(counts.sum())), BINS - 1)
        place = dict(zip(ordered[schema.ITEM_ID].to_list(), tenth.tolist()))
        found = np.array([place.get(item, BINS) for item in items], np.int64)
        return np.bincount(found, minlength=BINS + 1)

    def reference(self) -> np.ndarray:
        """`popularity` of this profile's own events."""
        ordered = np.sort(self.items[_COUNT].to_numpy().astype(np.int64))[::-1]
        before = np.cumsum(ordered) - ordered
        tenth = np.minimum(BINS * before // max(1, int(ordered.sum())), BINS - 1)
        own = np.bincount(tenth, ordered, minlength=BINS + 1).astype(np.int64)
        own[BINS] = self.facts["events"] - own.sum()
        return own


def write_profile(dataset: PreparedDataset, folder: Path, edges: list[float] | None = None) -> Profile:
    """Writes the profile of a dataset.

    Args:
        dataset: What to describe.
        folder: Replaced when it exists.
        edges: Of the bins of the values; the tenths of these values when None.
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
    with atomic_folder(folder, force=True) as work:
        write_json(work / PROFILE_FILE, facts)
        ids = pl.Series(schema.ITEM_ID, dataset.item_ids[:given].tolist(), pl.String)
        pl.DataFrame([ids, pl.Series(_COUNT, counts)]).write_parquet(work / ITEMS_FILE)
    return Profile(folder)


def kind_counts(histories: Histories, kinds: list[str], chosen: np.ndarray) -> dict[str, int]:
    """Events a kind among the chosen ones, bool `[events]`."""
    counts = np.bincount(histories.events[chosen], minlength=len(kinds))
    return {kind: int(count) for kind, count in zip(kinds, counts)}


def value_edges(values: np.ndarray) -> list[float]:
    """The inner edges of up to ten bins that hold about as many of the values each; none without values.

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
    """int64 `[len(edges) + 2]`: values up to each edge, above the last, and events without a value."""
    real = values[~np.isnan(values)]
    places = np.searchsorted(np.asarray(edges, np.float64), real, side="left")
    return np.append(np.bincount(places, minlength=len(edges) + 1), len(values) - len(real))
