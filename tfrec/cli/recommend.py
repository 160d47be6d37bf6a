"""`tfrec recommend`: writes recommendations to a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tfrec.cli.load_tensorflow import load_tensorflow
from tfrec.cli.shared_options import Data, Force, Ranker, RunFolder


def recommend(
    run: RunFolder,
    data: Data,
    out: Annotated[Path, typer.Option(help="File to write (.parquet, .csv or .jsonl).")],
    users: Annotated[Path | None, typer.Option(help="File of user ids, one a line. Default: all users.")] = None,
    k: Annotated[int, typer.Option(help="Items for each user.")] = 10,
    ranker: Ranker = None,
    force: Force = False,
) -> None:
    """Write the top items for each user."""
    from tfrec.data import PreparedDataset
    from tfrec.errors import InvalidInput
    from tfrec.runs.recommend import check_output, read_users, recommend_from_run, write_frame

    if k < 1:
        raise InvalidInput(f"--k must be at least 1, received {k}.")
    check_output(out, force)
    user_ids = read_users(users) if users else None
    dataset = PreparedDataset.load(data)
    load_tensorflow(pool=True)
    from tfrec.runs import Run

    second = Run.load(ranker) if ranker else None
    frame = recommend_from_run(Run.load(run), dataset, k=k, users=user_ids, ranker=second)
    write_frame(frame, out)
    typer.echo(f"Wrote {frame.height} rows for {frame['user_id'].n_unique()} users to {out}")
