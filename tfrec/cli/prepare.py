"""`tfrec prepare`: cleans and splits a log and a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tfrec.cli.shared_options import (
    Assignments,
    ConfigFile,
    Events,
    EventsQuery,
    Force,
    Items,
    KnownLog,
    UserTable,
    run_config,
)


def prepare(
    events: Events,
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    items: Items = None,
    users: UserTable = None,
    reader: KnownLog = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="leave-one-out|global-time|given",
            help="Default: global-time if the log has a clock, else leave-one-out.",
        ),
    ] = None,
    events_query: EventsQuery = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Clean an event log and a catalogue, split the log, and report what was dropped.

    Reads CSV, TSV, JSON, Parquet and Excel files, packed or not, folders, patterns and URLs. What it is not told, it
    finds out and says.
    """
    settings = run_config(config, assignments, {("data", "events.query"): events_query})
    import tfrec

    dataset = tfrec.prepare(
        events, items or None, out, users=users or None, split=split, config=settings, reader=reader, force=force
    )
    for name, count in dataset.manifest["counts"].items():
        typer.echo(f"{name}: {_format_count(count)}")
    typer.echo(f"split: {dataset.manifest['split']}")
    typer.echo(f"Wrote {out}; {out / 'report.html'} shows what was kept and dropped.")


def _format_count(count: Any) -> str:
    """A count as text; a dict of counts as "943 users, 98114 events"."""
    if isinstance(count, dict):
        return ", ".join(f"{number} {part.replace('_', ' ')}" for part, number in count.items())
    return str(count)
