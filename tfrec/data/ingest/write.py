"""Writes the files of a PreparedDataset."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.data.ingest.splits import Split, Window
from tfrec.files import write_json
from tfrec.reporting.html_page import Section, render_report


def parquet(frame: pl.DataFrame, path: Path) -> None:
    """Writes a Parquet file. Its bytes depend only on the values, not on the chunks of the frame.

    Raises:
        OSError: The system cannot write the file, e.g. on a full disk.
    """
    try:
        frame.rechunk().write_parquet(path, compression="zstd", compression_level=1, row_group_size=1 << 18)
    except (
        pl.exceptions.PolarsError
    ) as error:  # Polars reports a full disk as a ComputeError with the errno in its text
        if match := re.search(r"\(os error (\d+)\)", str(error)):
            raise OSError(int(match[1]), os.strerror(int(match[1])), str(path)) from error
        raise


def items(folder: Path, table: pl.DataFrame) -> None:
    """Writes items.parquet: item_id, text, train_count, then the given columns."""
    parquet(table, folder / "items.parquet")


def sequences(folder: Path, h: Histories, context: pl.DataFrame) -> None:
    """Writes sequences.parquet: one row per user, with one list per column.

    Args:
        folder: The folder of the dataset.
        h: The histories.
        context: The context_* columns, one row per event.
    """
    flat = {
        schema.ITEMS: h.items,
        schema.EVENTS: h.events,
        schema.TIMESTAMPS: h.timestamps,
        schema.VALUES: h.values,
        schema.IS_TARGET: h.is_target,
    }
    arrays = {name: pa.array(values) for name, values in flat.items()}
    arrays |= {column.name: column.to_arrow(compat_level=pl.CompatLevel.oldest()) for column in context}
    lists = {name: pl.from_arrow(pa.LargeListArray.from_arrays(h.offsets, array)) for name, array in arrays.items()}
    parquet(
        pl.DataFrame({schema.USER_ID: pl.Series(h.user_ids, dtype=pl.String), **lists}), folder / "sequences.parquet"
    )


def split(folder: Path, h: Histories, parts: Split) -> None:
    """Writes splits/train.parquet, valid.parquet and test.parquet."""
    (folder / "splits").mkdir()
    users = np.flatnonzero(parts.train_length)
    train = {schema.USER: users.astype(np.uint32), schema.HISTORY_LENGTH: parts.train_length[users].astype(np.uint32)}
    parquet(pl.DataFrame(train), folder / "splits" / "train.parquet")
    parquet(_window(h, parts.valid), folder / "splits" / "valid.parquet")
    parquet(_window(h, parts.test), folder / "splits" / "test.parquet")


def _window(h: Histories, window: Window) -> pl.DataFrame:
    targets = pl.DataFrame({"query": window.query, "item": h.items[window.position], "cold": window.cold})
    lists = targets.group_by("query", maintain_order=True).agg(
        pl.col("item").filter(~pl.col("cold")).alias(schema.TARGET_ITEMS),
        pl.col("item").filter(pl.col("cold")).alias(schema.COLD_TARGET_ITEMS),
    )
    rows = pl.DataFrame(
        {
            schema.USER: window.user.astype(np.uint32),
            schema.HISTORY_LENGTH: window.history_length.astype(np.uint32),
        }
    )
    # The queries come from np.unique, so they are 0, 1, 2, … in the order of the users.
    return rows.hstack(lists.sort("query").select(schema.TARGET_ITEMS, schema.COLD_TARGET_ITEMS))


def report(folder: Path, content: dict[str, Any]) -> None:
    """Writes report.json and report.html."""
    write_json(folder / "report.json", content)
    (folder / "report.html").write_text(render_report("Prepared data", _sections(content)), encoding="utf-8")


def _sections(content: dict[str, Any]) -> list[Section]:
    events, catalogue = content["events"], content["items"]
    dropped = [
        (where, name.replace("_", " "), problem["count"], "; ".join(map(str, problem["examples"][:2])))
        for where, problems in (("events", events["dropped"]), ("items", catalogue["dropped"]))
        for name, problem in problems.items()
    ]
    size = [
        ("events read", events["read"]),
        ("events kept", events["kept"]),
        ("events kept as context only", events["not_targets"]),
        ("users", content["users"]["kept"]),
        ("items", catalogue["catalogue"]),
        ("items only in events", catalogue["only_in_events"]["count"]),
        ("items without text", catalogue["without_text"]["count"]),
        ("items without events", catalogue["without_events"]),
    ]
    parts = [(name, ", ".join(f"{value:,} {key.replace('_', ' ')}" for key, value in counts.items()))
             for name, counts in content["splits"].items()]  # fmt: skip
    return [
        Section("Size", headers=["what", "count"], rows=size),
        Section("Split", [f"{content['split']}. Time unit: {content['timestamp_unit']}.", *content["notes"]],
                ["part", "contains"], parts),
        Section("Dropped", [] if dropped else ["Nothing."], ["from", "reason", "rows", "examples"], dropped),
        Section("Event kinds", headers=["kind", "events"], rows=list(events["kinds"].items())),
    ]  # fmt: skip
