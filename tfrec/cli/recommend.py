"""`tfrec recommend`: writes recommendations to a file."""

from __future__ import annotations

from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Assignments, Data, Force, Ranker, RunFolder


def recommend(
    run: RunFolder,
    data: Data,
    out: Annotated[str, typer.Option(help="File to write (.parquet, .csv or .jsonl), or postgresql://…::TABLE.")],
    users: Annotated[
        str | None, typer.Option(help="List of user ids, one a line or a column user_id. Default: all users.")
    ] = None,
    k: Annotated[int, typer.Option(min=1, help="Items for each user.")] = 10,
    ranker: Ranker = None,
    assignments: Assignments = None,
    force: Force = False,
) -> None:
    """Write the top items for each user."""
    load_tensorflow(pool=True)
    import tfrec

    trained = tfrec.load_run(run).with_values(assignments) if assignments else run
    frame = tfrec.recommend(trained, data, k, users=users, ranker=ranker, out=out, force=force)
    typer.echo(f"Wrote {frame.height} rows for {frame['user_id'].n_unique()} users to {_shown(out)}")


def _shown(out: str) -> str:
    """A file as it is, a database without user and password."""
    from tfrec.data.reading.databases import is_database, without_secrets

    return without_secrets(out) if is_database(out) else out
