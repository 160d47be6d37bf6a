"""`recommend`: a Run's lists for the users of a PreparedDataset, as a frame and, where asked for, as a file."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import polars as pl

from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.ingest.user_ids import read_users
from tfrec.errors import InvalidInput
from tfrec.reporting.table_files import check_output, write_frame
from tfrec.retrieval import recommend as lists_of_scorer
from tfrec.retrieval.seen_items import excludes_seen
from tfrec.runs.run import Run, load_run
from tfrec.runs.two_stage import two_stage_scorer


def recommend(
    run: Run | str | Path,
    data: PreparedDataset | str | Path,
    k: int = 10,
    *,
    users: Sequence[str] | str | Path | None = None,
    ranker: Run | str | Path | None = None,
    allow: Sequence[str] | None = None,
    out: str | Path | None = None,
    force: bool = False,
) -> pl.DataFrame:
    """The top `k` items of each user, given all that the user did: what `tfrec recommend` writes.

    Whether a list may hold items that the user has had before is as the run's `retrieval.exclude_seen` says, and so as
    it will be served. For a scorer of your own, or histories that are in no prepared data, there is
    `tfrec.retrieval.recommend`.

    Args:
        run: A run that ranks the catalogue (next-item, or behaviour-text with the softmax head), or its folder.
        data: The prepared data that it was trained on, or its folder.
        k: int. Items a user. Where fewer are left (small catalogue, exclusions), the user has fewer rows.
        users: Ids of the users to answer, in this order, or a file of them, one a line; None for all.
        ranker: A run of click-ranker on the same catalogue, or its folder: it puts what the run finds in order.
        allow: Item ids that may be recommended; None for all.
        out: A .parquet, .csv or .jsonl file to write too, whole or not at all; None for none.
        force: Whether `out` may replace a file.

    Returns:
        A Polars frame, one row an item of a list, best first: user_id (String), item_id (String), rank (UInt32, from 1)
        and score (Float32, comparable within a user). Ties go to the item first in the catalogue. No user, no row.

    Raises:
        InvalidInput: `k` below 1, a run or data that is none, that does not rank or has another catalogue, a user or
            an allowed item that is not there, or a place that cannot be written to. Nothing is written then.
    """
    if not isinstance(k, Integral) or k < 1:
        raise InvalidInput(f"Expected k of at least 1, received {k!r}.")
    if out is not None:
        check_output(out, force)
    wanted = read_users(users) if isinstance(users, str | Path) else users
    dataset = load_dataset(data)
    run, second = load_run(run), None if ranker is None else load_run(ranker)
    run.refuse_other_catalogue(dataset)
    masked = excludes_seen(run.config, dataset)
    scorer = two_stage_scorer(run, second, dataset, exclude_seen=masked) if second else run.scorer(dataset)
    frame = lists_of_scorer(
        scorer,
        dataset,
        item_ids=dataset.item_ids,
        k=int(k),
        users=None if wanted is None else [str(user) for user in wanted],
        exclude_seen=masked,
        allow=allow,
        batch_size=run.config.evaluation.batch_size,
    )
    if out is not None:
        write_frame(frame, out)
    return frame
