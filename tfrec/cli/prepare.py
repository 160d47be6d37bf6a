"""`tfrec prepare`: raw logs to a PreparedDataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tfrec.cli.shared_options import Assignments, ConfigFile, Force, run_config


def prepare(
    events: Annotated[Path, typer.Option(help="The log: CSV(.gz), Parquet or JSON lines.")],
    items: Annotated[Path, typer.Option(help="The catalogue, in any of the same forms.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
    users: Annotated[Path | None, typer.Option(help="User attributes, if any.")] = None,
    split: Annotated[
        str | None,
        typer.Option(metavar="leave-one-out|global-time|given", help="Default: by time where there is a clock."),
    ] = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Clean a log and a catalogue, split them, and say what was dropped."""
    settings = run_config(config, assignments)
    from tfrec.data import prepare as prepare_dataset

    dataset = prepare_dataset(events, items, out, users=users, split=split, config=settings, force=force)
    for name, count in dataset.manifest["counts"].items():
        typer.echo(f"{name}: {_count(count)}")
    typer.echo(f"split: {dataset.manifest['split']}")
    typer.echo(f"Wrote {out}; {out / 'report.html'} says what was kept and dropped.")


def _count(count: Any) -> str:
    """A number as it is; counts of parts as "943 users, 98114 events"."""
    if isinstance(count, dict):
        return ", ".join(f"{number} {part.replace('_', ' ')}" for part, number in count.items())
    return str(count)
