"""A prepared dataset without some people: what `prepare` would have made of the log had they never been in it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.assemble import ITEMS_OF_LOG, assemble
from tfrec.data.dataset import SEQUENCES_FILE, SPLITS_FOLDER, PreparedDataset
from tfrec.data.histories import Histories
from tfrec.data.ingest.event_log import Log
from tfrec.errors import InvalidInput

OURS = (schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, schema.IN_CATALOGUE)
"""Columns of the items that `prepare` adds."""


@dataclass(frozen=True)
class Erased:
    """What was erased from a dataset.

    Attributes:
        dataset: The dataset without the people.
        users: How many there were.
        events: How many events they had.
        items: Items that nobody else had, where the log is all that told of them.
    """

    dataset: PreparedDataset
    users: int
    events: int
    items: int


def erase_users(dataset: PreparedDataset, users: Collection[str], out: str | Path, *, force: bool = False) -> Erased:
    """Writes a dataset without some users: their events, what was counted of them, and items that they alone named.

    The log is split again, and items are counted again. Rules of preparation over several people, such as
    `data.min_events_per_item` or the age of events, are not asked again. Examples of rows that were dropped are left
    out of the report: they may be of anybody.

    Args:
        dataset: The dataset.
        users: Ids, as the dataset has them; who is not in it is ignored.
        out: Folder to write, atomically.
        force: Whether to replace an existing folder.

    Raises:
        InvalidInput: Nobody would be left, or the split is not possible without them.
    """
    before = dataset.histories()
    gone = np.isin(before.user_ids.astype(str), list(users))
    if gone.all():
        raise InvalidInput(f"All {len(before)} users of {dataset.path} are to be erased. Delete the folder instead.")
    config = RunConfig().with_values({"data": dataset.manifest["config"]})
    kept = before.prefixes(np.flatnonzero(~gone), before.lengths[~gone])
    known, alone = _catalogue_masks(dataset, before, kept)
    histories, kinds = _renumbered(kept, dataset, alone)
    items = dataset.items.filter(known & ~alone)
    catalogue = items.drop([name for name in OURS if name in items.columns])
    log = Log(
        histories=histories,
        kinds=kinds,
        unknown_items=dataset.items.filter(~known & ~alone)[schema.ITEM_ID].to_list(),
        part=_parts(dataset, gone),
        context=_context(dataset, gone),
        rows_read=dataset.report["events"]["read"] - int(before.lengths[gone].sum()),
        timestamp_unit=dataset.report["timestamp_unit"],
        unused_columns=dataset.report["events"]["unused_columns"],
        problems=_without_examples(dataset.report["events"]["dropped"]),
    )
    problems = _without_examples(dataset.report["items"]["dropped"])
    table = dataset.users
    assemble(log, catalogue, dataset.manifest["split"], config, problems).write(
        out,
        None if table is None else table.filter(~gone),
        items_of_log=dataset.manifest.get(ITEMS_OF_LOG, False),
        force=force,
    )
    return Erased(PreparedDataset(out), int(gone.sum()), int(before.lengths[gone].sum()), int(alone.sum()))


def _catalogue_masks(dataset: PreparedDataset, before: Histories, kept: Histories) -> tuple[np.ndarray, np.ndarray]:
    """bool `[num_items]`: whether each item is of the catalogue, and whether only the erased people told of it."""
    known = np.ones(dataset.num_items, bool)
    if schema.IN_CATALOGUE in dataset.items.columns:
        known = dataset.items[schema.IN_CATALOGUE].fill_null(True).to_numpy()
    had, have = (np.bincount(h.items, minlength=dataset.num_items) > 0 for h in (before, kept))
    told = np.ones(dataset.num_items, bool) if dataset.manifest.get(ITEMS_OF_LOG) else ~known
    return known, told & had & ~have


def _renumbered(kept: Histories, dataset: PreparedDataset, alone: np.ndarray) -> tuple[Histories, list[str]]:
    """The histories with the numbers of the items and the event kinds that are left, and the names of these kinds."""
    occurring = np.bincount(kept.events, minlength=len(dataset.event_kinds)) > 0
    numbers = [(np.cumsum(mask) - 1) for mask in (~alone, occurring)]
    kinds = [kind for kind, there in zip(dataset.event_kinds, occurring, strict=True) if there]
    items, events = numbers[0][kept.items].astype(np.int32), numbers[1][kept.events].astype(np.int16)
    return replace(kept, items=items, events=events), kinds


def _parts(dataset: PreparedDataset, gone: np.ndarray) -> np.ndarray | None:
    """int8 `[events]` that are left: the part of each in a given split; None for other splits."""
    if dataset.manifest["split"] != schema.GIVEN:
        return None
    h = dataset.histories()
    place = np.arange(len(h.items)) - np.repeat(h.offsets[:-1], h.lengths)
    part = (place >= _starts(dataset, schema.TRAIN, np.zeros(len(h), np.int64))[h.rows]).astype(np.int8)
    part[place >= _starts(dataset, schema.TEST, h.lengths)[h.rows]] = 2
    return part[~gone[h.rows]]


def _starts(dataset: PreparedDataset, name: str, otherwise: np.ndarray) -> np.ndarray:
    """The recorded history length of each user in a split, int64 `[users]`; `otherwise` where there is none."""
    frame, length = dataset.stored.parquet(f"{SPLITS_FOLDER}/{name}.parquet"), otherwise.copy()
    length[frame[schema.USER].to_numpy()] = frame[schema.HISTORY_LENGTH].to_numpy()
    return length


def _context(dataset: PreparedDataset, gone: np.ndarray) -> pl.DataFrame:
    """The context columns of the events that are left, one row an event."""
    frame = dataset.stored.parquet(SEQUENCES_FILE).filter(~gone).select(f"^{schema.CONTEXT_PREFIX}.*$")
    return frame.explode(frame.columns, empty_as_null=False) if frame.columns else frame


def _without_examples(problems: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    return {reason: {**problem, "examples": []} for reason, problem in problems.items()}
