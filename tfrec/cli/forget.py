"""`tfrec forget`: removes people from the data, runs and exports of a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Force


def forget(
    home: Annotated[Path, typer.Option(help="Folder with the prepared data, runs and exports.")],
    users: Annotated[Path, typer.Option(help="List of user ids, one a line or a column user_id.")],
    key: Annotated[Path, typer.Option(help="File with the key that signs the receipt.")],
    receipt: Annotated[Path | None, typer.Option(help="JSON file to write. Default: below HOME/receipts.")] = None,
    grace: Annotated[
        float, typer.Option(min=0, help="Days that replaced versions stay; the first call after that removes them.")
    ] = 0.0,
    request_log_key: Annotated[
        Path | None, typer.Option(help="Key file of request logs. Default: the key in $TFREC_REQUEST_LOG_KEY, if any.")
    ] = None,
    force: Force = False,
) -> None:
    """Remove people from all data, runs and exports of a folder, and sign a receipt."""
    load_tensorflow(pool=True)
    from tfrec.workflows.forget import forget

    done = forget(home, users, key=key, receipt=receipt, grace=grace, log_key=request_log_key, force=force)
    people, runs = done["users"], done["runs"]
    typer.echo(f"{people['found']} of {people['asked']} users were found; {people['unknown']} are in no data")
    events = sum(one["events"] for one in done["datasets"].values())
    typer.echo(f"{events} events erased from {len(done['datasets'])} datasets; {len(runs)} runs trained again")
    typer.echo(f"{len(done['exports'])} exported versions replaced, {len(done['versions_to_remove'])} to be removed")
    typer.echo(f"{done['scan']['files']} files were looked through, and none names them")
