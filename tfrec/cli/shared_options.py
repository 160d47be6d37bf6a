"""Options that several commands share, and how they become a RunConfig."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from tfrec.config import RunConfig

ConfigFile = Annotated[Path | None, typer.Option("--config", help="YAML file with any of the knobs.")]
Assignments = Annotated[
    list[str] | None, typer.Option("--set", metavar="SECTION.KEY=VALUE", help="One knob; may be repeated.")
]
Force = Annotated[bool, typer.Option("--force", help="Replace what is there already.")]
Data = Annotated[Path, typer.Option("--data", help="Folder that `tfrec prepare` wrote.")]
Ranker = Annotated[Path | None, typer.Option("--ranker", help="Run of click-ranker, as a second stage.")]
RunFolder = Annotated[Path, typer.Option("--run", help="Folder that `tfrec train` wrote.")]


def run_config(
    file: Path | None, assignments: list[str] | None, flags: dict[tuple[str, str], Any] | None = None
) -> RunConfig:
    """The configuration of a command: the file, over it `--set`, over both the command's own flags.

    Args:
        file: YAML file, or None for the defaults.
        assignments: `section.key=value` strings.
        flags: (section, key) to value; None values are left out.

    Raises:
        InvalidInput: a key or value that RunConfig does not take.
    """
    from tfrec.config import RunConfig

    config = (RunConfig.load(file) if file else RunConfig()).with_values(assignments or [])
    given = {place: value for place, value in (flags or {}).items() if value is not None}
    if not given:
        return config
    values = config.model_dump()
    for (section, key), value in given.items():
        values[section][key] = value
    return RunConfig.from_dict(values)
