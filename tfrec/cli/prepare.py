"""`tfrec prepare`: cleans and splits a log and a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tfrec.cli.shared_options import Assignments, ConfigFile, Force, run_config


def prepare(
    events: Annotated[Path, typer.Option(help="Event log: CSV(.gz), Parquet or JSON lines.")],
    items: Annotated[Path, typer.Option(help="Items file, in any of these formats.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    users: Annotated[Path | None, typer.Option(help="Users file with attributes, in any of these formats.")] = None,
    split: Annotated[
        str | None,
        typer.Option(
            metavar="leave-one-out|global-time|given",
            help="Default: global-time if the log has a clock, else leave-one-out.",
        ),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Clean an event log and an items file, split the log, and report what was dropped."""
    settings = run_config(config, assignments)
    import tfrec

    dataset = tfrec.prepare(events, items, out, users=users, split=split, config=settings, force=force)
    for name, count in dataset.manifest["counts"].items():
        typer.echo(f"{name}: {_format_count(count)}")
    typer.echo(f"split: {dataset.manifest['split']}")
    typer.echo(f"Wrote {out}; {out / 'report.html'} shows what was kept and dropped.")


def _format_count(count: Any) -> str:
    """A count as text; a dict of counts as "943 users, 98114 events"."""
    if isinstance(count, dict):
        return ", ".join(f"{number} {part.replace('_', ' ')}" for part, number in count.items())
    return str(count)
