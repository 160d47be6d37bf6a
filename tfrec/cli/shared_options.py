"""Options that several commands share, and the RunConfig they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tfrec.config import RunConfig

ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file with configuration options.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One configuration option; may be repeated."),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite existing output.")]
Data = Annotated[Path, typer.Option("--data", help="Prepared data: a folder that `tfrec prepare` wrote.")]
Ranker = Annotated[
    Path | None, typer.Option("--ranker", help="Run of a click-ranker that re-ranks the candidates of --run.")
]
Events = Annotated[list[str], typer.Option(help="Event log: a file, folder, pattern or URL; may be repeated.")]
EventsQuery = Annotated[
    str | None, typer.Option(help="SQL or table, where --events is postgresql://, sqlite:// or duckdb://.")
]
Items = Annotated[
    list[str] | None, typer.Option(help="Items, in any of the forms of --events. Default: the items of the log.")
]


def list_known_logs(name: str | None) -> str | None:
    """Prints what each reader reads, after `--as list`."""
    if name == "list":
        from tfrec.data.readers import READERS

        width = max(map(len, READERS))
        for reader in READERS.values():
            typer.echo(f"{reader.name:{width}}  {reader.about}")
        raise typer.Exit
    return name


KnownLog = Annotated[
    str | None,
    typer.Option(
        "--as",
        metavar="NAME",
        help="A well-known log as downloaded; `list` names them.",
        callback=list_known_logs,
        is_eager=True,
    ),
]
UserTable = Annotated[list[str] | None, typer.Option(help="Attributes of users, in any of the forms of --events.")]
RunFolder = Annotated[Path, typer.Option("--run", help="Run folder that `tfrec train` wrote.")]


def run_config(
    file: Path | None, assignments: list[str] | None, flags: dict[tuple[str, str], Any] | None = None
) -> RunConfig:
    """The configuration of a command. `--set` overrides the file, and the command's own flags override both.

    Args:
        file: YAML file, or None for the defaults.
        assignments: `section.key=value` strings.
        flags: Value by (section, key); None leaves the option alone.

    Raises:
        InvalidInput: an unknown key or an invalid value.
    """
    from tfrec.config import RunConfig

    config = (RunConfig.load(file) if file else RunConfig()).with_values(assignments or [])
    given = {f"{section}.{key}": value for (section, key), value in (flags or {}).items() if value is not None}
    return config.with_values(given)
