"""`tfrec prepare`: cleans and splits a log and a catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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

if TYPE_CHECKING:
    from tfrec.data.dataset import PreparedDataset


def prepare(  # noqa: PLR0913  a command's options are its parameters
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
    folds: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With --split global-time: write this many folds, fold-1 to fold-N, whose windows slide over time.",
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

    log = (events, items or None, out)
    given: dict[str, Any] = {"users": users or None, "config": settings, "reader": reader, "force": force}
    if folds is not None:
        _prepare_folds(log, given, folds, split)
        return
    dataset = tfrec.prepare(*log, split=split, **given)
    _print_counts(dataset)
    typer.echo(f"Wrote {out}; {out / 'report.html'} shows what was kept and dropped.")


def _prepare_folds(log: tuple[Any, Any, Path], given: dict[str, Any], folds: int, split: str | None) -> None:
    from tfrec.data import prepare_folds
    from tfrec.errors import InvalidInput

    if split not in (None, "global-time"):
        raise InvalidInput(f"--folds are windows over time. Expected --split global-time, received {split}.")
    for fold in prepare_folds(*log, folds=folds, **given):
        typer.echo(f"{fold.path.name}:")
        _print_counts(fold)
    typer.echo(f"Wrote {log[2]}; train and evaluate on each of its folders.")


def _print_counts(dataset: PreparedDataset) -> None:
    for name, count in dataset.manifest["counts"].items():
        typer.echo(f"{name}: {_format_count(count)}")
    typer.echo(f"split: {dataset.manifest['split']}")


def _format_count(count: Any) -> str:
    """A count as text; a dict of counts as "943 users, 98114 events"."""
    if isinstance(count, dict):
        return ", ".join(f"{number} {part.replace('_', ' ')}" for part, number in count.items())
    return str(count)
