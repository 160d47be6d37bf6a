"""`tfrec explain`: writes why the items of lists are in them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, Data, Force, RunFolder


def explain(
    run: RunFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="File to write (.parquet or .jsonl).")],
    users: Annotated[
        str | None, typer.Option(help="List of user ids, one a line or a column user_id. Default: all users.")
    ] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="Item to explain, in the list or not; may be repeated. Default: the list.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Items for each user.")] = 10,
    events: Annotated[int, typer.Option(min=1, help="Events named for each item.")] = 3,
    counterfactuals: Annotated[
        int, typer.Option(min=0, help="Largest set of events searched for without which an item leaves the list.")
    ] = 5,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Write why the top items of each user are in the list: the events without which their scores would be lower."""
    load_tensorflow(pool=True)
    import tfrec

    trained = tfrec.load_run(run).with_values(assignments) if assignments else run
    frame = tfrec.explain(
        trained,
        data,
        k,
        users=users,
        items=item,
        events=events,
        counterfactuals=counterfactuals,
        out=out,
        force=force,
    )
    typer.echo(f"Wrote {frame.height} rows for {frame['user_id'].n_unique()} users to {out}")
