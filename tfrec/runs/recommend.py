"""`recommend`: top-k lists of a run for the users of a prepared dataset, as a frame and optionally a file."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from pathlib import Path

import polars as pl

from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.reading import read_ids
from tfrec.data.reading.databases import check_table, is_database, write_table
from tfrec.errors import InvalidInput
from tfrec.files.disk_full import disk_full_is_told
from tfrec.models.registry import family_of
from tfrec.reporting.table_files import check_output, write_frame
from tfrec.retrieval import recommend as lists_of_scorer
from tfrec.retrieval.seen_items import excludes_seen
from tfrec.runs.moved_run import run_on
from tfrec.runs.recommend_on_workers import recommend_on_workers
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
    """Recommends the top `k` items to each user, given the user's full history; `tfrec recommend` writes the same.

    The run's `retrieval.exclude_seen` determines whether seen items may be recommended, as it does in serving, and
    `retrieval.only_catalogue` whether items that are gone from the catalogue may. For your
    own scorer, or for histories that are not in prepared data, use `tfrec.retrieval.recommend`.

    Args:
        run: A run that ranks the catalogue (next-item, or behaviour-text with the softmax head), or its folder.
        data: The prepared data that the run was trained on, or its folder. A next-item run without ids, such as one of
            several datasets, takes any other data too: it reads the items by their text, and neighbours, repeats and
            popularity are counted there.
        k: int. Items per user; fewer if not enough are left (small catalogue, exclusions).
        users: Ids of users, in the order of the result, or a file with one id per line; None for all users.
        ranker: A click-ranker run on the same catalogue, or its folder; it re-ranks the candidates of `run`.
        allow: Item ids that may be recommended; None for all.
        out: A .parquet, .csv or .jsonl file to write as well, or "URL::TABLE" of PostgreSQL or SQLite; written
            completely or not at all. None for none.
        force: Whether an existing file or table `out` may be replaced.

    Returns:
        A Polars frame with one row per recommended item, best first: user_id (String), item_id (String), rank (UInt32,
        from 1) and score (Float32, comparable within a user). Ties are in catalogue order. Without users it is empty.

    Raises:
        InvalidInput: `k` is below 1, the run or the data is not valid, the run does not rank the catalogue, the
            catalogues differ, a user or an allowed item is unknown, or `out` cannot be written. Then nothing is
            written.
    """
    if not isinstance(k, Integral) or k < 1:
        raise InvalidInput(f"Expected k of at least 1, received {k!r}.")
    url, _, table = str(out).partition("::")
    if is_database(out):
        check_table(url, table)
    elif out is not None:
        check_output(out, force)
    user_ids = read_ids(users, "users") if isinstance(users, str | Path) else users
    dataset = load_dataset(data)
    run, second = load_run(run), None if ranker is None else load_run(ranker)
    if run.config.cluster.engine == "ray":
        shared = {"k": int(k), "ranker": second, "allow": allow}
        frame = recommend_on_workers(recommend, run, dataset, user_ids, shared)
    else:
        frame = _lists(run, second, dataset, int(k), user_ids, allow)
    if is_database(out):
        write_table(frame, url, table, force)
    elif out is not None:
        with disk_full_is_told(out):
            write_frame(frame, out, force)
    return frame


def _lists(
    run: Run,
    second: Run | None,
    dataset: PreparedDataset,
    k: int,
    user_ids: Sequence[str] | None,
    allow: Sequence[str] | None,
) -> pl.DataFrame:
    dataset = family_of(run.kind).read_by(run.config, dataset)
    run = run_on(run, dataset)
    masked = excludes_seen(run.config, dataset)
    scorer = two_stage_scorer(run, second, dataset, exclude_seen=masked) if second else run.scorer(dataset)
    return lists_of_scorer(
        scorer,
        dataset,
        item_ids=dataset.item_ids,
        k=k,
        users=None if user_ids is None else [str(user) for user in user_ids],
        exclude_seen=masked,
        allow=allow,
        batch_size=run.config.evaluation.batch_size,
    )
