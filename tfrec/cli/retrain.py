"""`tfrec retrain`: the scheduled retraining job."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, ConfigFile, EventsQuery, KnownLog, UserTable, run_config

REFUSED = 3
"""Exit code when the new model was not promoted."""


def retrain(  # noqa: PLR0913  one for each option
    home: Annotated[Path, typer.Option(help="The job's own folder, the same in every run.")],
    events: Annotated[list[str] | None, typer.Option(help="The whole event log so far, as `prepare` reads it.")] = None,
    items: Annotated[
        list[str] | None,
        typer.Option(help="The whole catalogue, in any of these forms. Default: the items of the log."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Model folder, e.g. saved_models/shop.")] = None,
    users: UserTable = None,
    reader: KnownLog = None,
    events_query: EventsQuery = None,
    config: ConfigFile = None,
    assignments: Assignments = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Train from scratch instead of from the served weights.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Train even if there are no new events, or only late ones.")
    ] = False,
    rollback: Annotated[bool, typer.Option("--rollback", help="Serve the previous version again.")] = False,
) -> None:
    """Retrain on the grown log, and serve the result if it is no worse than the served model.

    Prints one JSON line. Exit codes: 0 promoted, rolled back or nothing new; 1 internal failure; 2 bad input;
    3 not promoted; 4 another retraining run holds the folder.
    """
    try:
        outcome = (
            _rollback(home)
            if rollback
            else _retrain(
                home,
                events,
                out,
                config,
                assignments,
                events_query,
                items=items,
                users=users,
                reader=reader,
                anew=anew,
                force=force,
            )
        )
    except Exception as error:
        _print({"status": "failed", "kind": type(error).__name__, "error": str(error)})
        raise
    _print(outcome)
    if outcome["status"] == "refused":
        raise typer.Exit(REFUSED)


def _rollback(home: Path) -> dict[str, Any]:
    from tfrec.workflows.retrain import rollback

    return rollback(home)


def _retrain(
    home: Path,
    events: list[str] | None,
    out: Path | None,
    config: Path | None,
    assignments: list[str] | None,
    events_query: str | None,
    *,
    items: list[str] | None,
    users: list[str] | None,
    **options: Any,
) -> dict[str, Any]:
    from tfrec.errors import InvalidInput

    if not events or out is None:
        given = {"--events": events, "--out": out}
        missing = ", ".join(name for name, value in given.items() if not value)
        raise InvalidInput(f"Expected {missing} too. Only --rollback works without.")
    settings = run_config(config, assignments, {("data", "events.query"): events_query})
    load_tensorflow(pool=True)
    from tfrec.workflows.retrain import retrain

    return retrain(events, items or None, home, out, users=users or None, config=settings, **options)


def _print(outcome: dict[str, Any]) -> None:
    typer.echo(json.dumps(outcome, ensure_ascii=False))
