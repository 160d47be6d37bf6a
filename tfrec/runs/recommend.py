"""Lists for the users of a PreparedDataset, from a Run, and the file that holds them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from tfrec.errors import InvalidInput
from tfrec.files import refuse_existing
from tfrec.schema import USER_ID

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset
    from tfrec.runs import Run

_FORMS = (".parquet", ".csv", ".jsonl")


def recommend_from_run(
    run: Run,
    dataset: PreparedDataset,
    *,
    k: int = 10,
    users: Sequence[str] | None = None,
    ranker: Run | None = None,
) -> pl.DataFrame:
    """The top `k` items of each user, given all of the user's events; seen items by `retrieval.exclude_seen`.

    With `ranker`, a run of click-ranker on the same catalogue, it puts what the run finds in order.

    Returns:
        Columns user_id, item_id, rank (from 1) and score, in the order of the users; a user with fewer than `k`
        items left has fewer rows.

    Raises:
        InvalidInput: the run was trained on another catalogue, or a user is not in the data.
    """
    if list(run.item_ids) != list(dataset.item_ids):
        raise InvalidInput(
            f"The run knows {len(run.item_ids)} items and {dataset.path} has {dataset.num_items}, or in another order. "
            "Pass the data that the run was trained on, or train again."
        )
    from tfrec.retrieval import recommend
    from tfrec.runs.evaluate import serves_without_seen
    from tfrec.runs.two_stage import two_stage_scorer

    masked = serves_without_seen(run, dataset)
    return recommend(
        two_stage_scorer(run, ranker, dataset, exclude_seen=masked) if ranker else run.scorer(dataset),
        dataset,
        item_ids=dataset.item_ids,
        k=k,
        users=users,
        exclude_seen=masked,
        batch_size=run.config.evaluation.batch_size,
    )


def read_users(path: Path) -> list[str]:
    """User ids of a file: one a line, or the user_id column of a Parquet file; a first line `user_id` is a heading.

    Raises:
        InvalidInput: no such file, no user_id column, or no ids in it.
    """
    if not path.is_file():
        raise InvalidInput(f"--users: there is no file {path}.")
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
        if USER_ID not in frame.columns:
            raise InvalidInput(f"{path} has no column {USER_ID!r}; found {', '.join(map(repr, frame.columns))}.")
        ids = frame[USER_ID].drop_nulls().cast(pl.String).to_list()
    else:
        ids = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
        ids = [line for line in ids if line]
        if ids and ids[0] == USER_ID:
            ids = ids[1:]
    if not ids:
        raise InvalidInput(f"{path} holds no user ids; expected one a line.")
    return list(dict.fromkeys(ids))


def check_output(path: Path, force: bool = False) -> None:
    """Raises `InvalidInput` when the recommendations cannot go to `path`; call it before any work."""
    if path.suffix not in _FORMS:
        raise InvalidInput(f"--out must end with one of {', '.join(_FORMS)}, received {path.name!r}.")
    refuse_existing(path, force)
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"--out: {path} is not a file in an existing folder. Choose another place.")


def write_frame(frame: pl.DataFrame, path: Path) -> None:
    """Writes a frame in the form that the name's ending says, whole or not at all."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        if path.suffix == ".parquet":
            frame.write_parquet(temporary)
        elif path.suffix == ".csv":
            frame.write_csv(temporary)
        else:
            frame.write_ndjson(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
