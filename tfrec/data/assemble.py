"""A cleaned log and its catalogue, put together to what a PreparedDataset has: split, counted, reported, written."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.dataset import DATASET_OUTPUT, FORMAT
from tfrec.data.impressions import taken
from tfrec.data.ingest import splits, write
from tfrec.data.ingest.event_log import Log
from tfrec.data.ingest.item_text import render_texts
from tfrec.data.ingest.text_columns import text_columns
from tfrec.data.pair_set import PairSet
from tfrec.files import atomic_folder, write_json
from tfrec.files.checksums import checksums
from tfrec.files.stored_folder import FILES
from tfrec.version import __version__

LOOKS_AHEAD = (
    "leave-one-out looks into the future: training events of one user may be later than test events of another. "
    "Use global-time, if the log has a clock, to estimate how a live system would perform."
)
ITEMS_OF_LOG = "items_of_log"
"""Key of the manifest: whether the catalogue is what people took, and no list of its own."""


@dataclass(frozen=True)
class Assembled:
    """What is written of a prepared log.

    Attributes:
        log: The cleaned log.
        split: Name of the split.
        parts: The split.
        items: The catalogue, as items.parquet has it.
        report: The report.
        config: Section `data`.
    """

    log: Log
    split: str
    parts: splits.Split
    items: pl.DataFrame
    report: dict[str, Any]
    config: RunConfig

    def write(
        self, out: str | Path, users: pl.DataFrame | None, *, items_of_log: bool = False, force: bool = False
    ) -> None:
        """Writes the folder of a PreparedDataset, whole or not at all.

        Args:
            out: The folder.
            users: The table of users, in the order of the histories; None without one.
            items_of_log: Whether the catalogue was made of the log.
            force: Whether to replace an existing folder.
        """
        with atomic_folder(out, DATASET_OUTPUT, force) as folder:
            write.items(folder, self.items)
            write.sequences(folder, self.log.histories, self.log.context)
            write.split(folder, self.log.histories, self.parts)
            if users is not None:
                write.parquet(users, folder / "users.parquet")
            write.report(folder, self.report)
            manifest = _manifest(folder, self.log, self.parts, self.split, self.config, self.report)
            write_json(folder / "manifest.json", {**manifest, ITEMS_OF_LOG: items_of_log})


def assemble(
    log: Log, catalogue: pl.DataFrame, split: str, config: RunConfig, item_problems: dict[str, Any]
) -> Assembled:
    """Splits a cleaned log, counts its items and makes the report.

    Args:
        log: The log.
        catalogue: The items, without `log.unknown_items`.
        split: Name of the split.
        config: Section `data`.
        item_problems: Rows of the items that were dropped, by reason.

    Raises:
        InvalidInput: The split is not possible.
    """
    parts, held = _split(log, split, config), None
    if config.data.held_out_items:
        num_items = catalogue.height + len(log.unknown_items)
        parts, held = splits.hold_out(log.histories, parts, num_items, config.data.held_out_items)
    table, no_text = _item_table(catalogue, log, parts, held, config)
    text_from = config.data.text_template or text_columns(catalogue)
    report = _report(log, parts, split, item_problems, table, no_text, text_from)
    if config.privacy.k > 1:
        _hide_rare(report["events"], log, config.privacy.k)
    return Assembled(log, split, parts, table, report, config)


def _hide_rare(events: dict[str, Any], log: Log, k: int) -> None:
    """Takes out of a report on events, in place, examples of rows, and counts of kinds of fewer than `k` people."""
    events["dropped"] = {reason: {**problem, "examples": []} for reason, problem in events["dropped"].items()}
    _, kinds = PairSet(log.histories.rows, log.histories.events, len(log.kinds)).pairs()
    people = np.bincount(kinds, minlength=len(log.kinds))
    events["kinds"] = {kind: events["kinds"][kind] if people[i] >= k else None for i, kind in enumerate(log.kinds)}


def _split(log: Log, split: str, config: RunConfig) -> splits.Split:
    if split == schema.GLOBAL_TIME:
        return splits.global_time(log.histories, config.data.valid_quantile, config.data.test_quantile)
    if split == schema.GIVEN:
        assert log.part is not None
        return splits.given(log.histories, log.part)
    return splits.leave_one_out(log.histories)


def _item_table(
    catalogue: pl.DataFrame, log: Log, parts: splits.Split, held: np.ndarray | None, config: RunConfig
) -> tuple[pl.DataFrame, list[str]]:
    texts = render_texts(catalogue, config.data.text_template, config.data.normalise_text)
    ours = (schema.TEXT, schema.TRAIN_COUNT, schema.HELD_OUT, schema.IN_CATALOGUE)
    given = catalogue.drop([name for name in ours if name in catalogue.columns])
    table = given.with_columns(pl.Series(schema.TEXT, texts, pl.String))
    unknown = pl.DataFrame({schema.ITEM_ID: log.unknown_items}, {schema.ITEM_ID: pl.String})
    if table.height and unknown.height:  # an empty catalogue says of no item that it is gone
        table = table.with_columns(pl.lit(True).alias(schema.IN_CATALOGUE))
        unknown = unknown.with_columns(pl.lit(False).alias(schema.IN_CATALOGUE))
    table = pl.concat([table, unknown], how="diagonal")
    counted = splits.in_training(log.histories, parts.train_length) & taken(log.histories, log.kinds)
    counts = np.bincount(log.histories.items[counted], minlength=table.height).astype(np.uint32)
    if held is not None:
        counts[held] = 0
        table = table.with_columns(pl.Series(schema.HELD_OUT, held))
    first = [schema.ITEM_ID, schema.TEXT, schema.TRAIN_COUNT]
    table = table.with_columns(pl.col(schema.TEXT).fill_null(""), pl.Series(schema.TRAIN_COUNT, counts))
    table = table.select(*first, pl.exclude(first))
    return table, table.head(catalogue.height).filter(pl.col(schema.TEXT) == "")[schema.ITEM_ID].to_list()


def _report(
    log: Log,
    parts: splits.Split,
    split: str,
    item_problems: dict[str, Any],
    table: pl.DataFrame,
    no_text: list[str],
    text_from: str | list[str],
) -> dict[str, Any]:
    h = log.histories
    occurring = np.bincount(h.items, minlength=table.height)
    kinds = np.bincount(h.events, minlength=len(log.kinds))
    notes = [LOOKS_AHEAD] if split == schema.LEAVE_ONE_OUT else []
    notes += log.notes
    if len(parts.test.user) == 0 or len(parts.valid.user) == 0:
        notes.append("A held-out split has no users, so models cannot be validated or tested on it.")
    return {
        "split": split,
        "clock": h.clock,
        "timestamp_unit": log.timestamp_unit,
        "events": {
            "read": log.rows_read,
            "kept": len(h.items),
            "dropped": log.problems | log.dropped,
            "not_targets": int((~h.is_target).sum()),
            "kinds": {kind: int(kinds[i]) for i, kind in enumerate(log.kinds)},
            "kinds_without_defaults": [kind for kind in log.kinds if kind not in schema.EVENT_KINDS],
            "context_columns": log.context.columns,
            "unused_columns": log.unused_columns,
        },
        "users": {"kept": len(h), "median_events": float(np.median(h.lengths))},
        "items": {
            "catalogue": table.height,
            "dropped": item_problems,
            "without_text": {"count": len(no_text), "examples": no_text[:5]},
            "only_in_events": {
                "count": len(log.unknown_items),
                "events": int(occurring[table.height - len(log.unknown_items) :].sum()),
                "examples": log.unknown_items[:5],
            },
            "without_events": int((occurring == 0).sum()),
            "text_from": text_from,
        },
        "splits": _split_counts(h.lengths, parts),
        "notes": notes,
    }


def _split_counts(lengths: np.ndarray, parts: splits.Split) -> dict[str, Any]:
    counts: dict[str, Any] = {
        schema.TRAIN: {"users": int((parts.train_length > 0).sum()), "events": int(parts.train_length.sum())}
    }
    for name, window in ((schema.VALID, parts.valid), (schema.TEST, parts.test)):
        known = window.history_length > 0
        warm = np.bincount(window.query[~window.cold], minlength=len(window.user)) > 0
        counts[name] = {
            "users": int((known & warm).sum()),
            "targets": int((known[window.query] & ~window.cold).sum()),
            "cold_users": int((~known).sum()),
            "cold_item_targets": int((known[window.query] & window.cold).sum()),
        }
    return counts


def _manifest(
    folder: Path, log: Log, parts: splits.Split, split: str, config: RunConfig, report: dict[str, Any]
) -> dict[str, Any]:
    settings = config.data.model_dump(mode="json")
    digest = hashlib.sha256(json.dumps([split, settings], sort_keys=True).encode())
    files = checksums(folder)
    for name in (name for name in files if name.endswith(".parquet")):
        digest.update(f"{name}\0{files[name]}\n".encode())
    h = log.histories
    return {
        "format": FORMAT,
        "fingerprint": digest.hexdigest(),
        "split": split,
        "clock": h.clock,
        "cuts": parts.cuts,
        "event_kinds": log.kinds,
        "counts": {"users": len(h), "items": report["items"]["catalogue"], "events": len(h.items), **report["splits"]},
        "config": settings,
        "versions": {"tfrec": __version__, "polars": pl.__version__, "numpy": np.__version__},
        FILES: files,
    }
