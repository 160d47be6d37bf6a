"""`recommend` for many users, shared by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.cluster import whole_batches, workers_of
from tfrec.data.dataset import PreparedDataset
from tfrec.models.registry import family_of
from tfrec.retrieval.top_items import places_of_ids
from tfrec.runs.run import Run

PARTS_PER_WORKER = 2
"""A worker loads the model for each part, so there are few of them."""


def recommend_on_workers(
    recommend: Callable[..., pl.DataFrame],
    run: Run,
    dataset: PreparedDataset,
    users: Sequence[str] | None,
    shared: dict[str, Any],
) -> pl.DataFrame:
    """The lists of all users, in their order, each part of them made by a worker.

    A single process goes through users by the length of their histories. A part is a number of its batches, so that
    scores are the same to the last bit.

    Args:
        recommend: The function `recommend`.
        run: The run; its section `cluster` says who works. Its folder and that of the data are on shared storage.
        dataset: The data.
        users: Ids of users; None for all.
        shared: The other arguments of `recommend`.
    """
    histories = family_of(run.kind).read_by(run.config, dataset).histories()
    ids: list[str] = list(histories.user_ids) if users is None else [str(user) for user in users]
    places = places_of_ids(ids, histories.user_ids, "users", "the data")
    rows = places[np.sort(np.unique(places, return_index=True)[1])]  # each user once, in the order given
    by_length = histories.user_ids[rows[np.argsort(histories.lengths[rows], kind="stable")]]
    here = run.with_values({"cluster.engine": "none"})
    call = (recommend, str(run.path.absolute()), here.config.model_dump(mode="json"), str(dataset.path.absolute()))
    if (second := shared["ranker"]) is not None:
        shared = {**shared, "ranker": str(second.path.absolute())}
    with workers_of(run.config.cluster) as workers:
        cuts = whole_batches(len(by_length), run.config.evaluation.batch_size, workers.count * PARTS_PER_WORKER)
        parts = [by_length[cut].tolist() for cut in cuts] or [[]]
        lists = pl.concat(workers.map(_lists_of, [(*call, part, shared) for part in parts], "Recommending"))
    order = pl.DataFrame({schema.USER_ID: ids}, {schema.USER_ID: pl.String})
    return order.join(lists, on=schema.USER_ID, maintain_order="left_right").select(lists.columns)


def _lists_of(
    recommend: Callable[..., pl.DataFrame],
    run: str,
    config: dict[str, Any],
    data: str,
    users: list[str],
    shared: dict[str, Any],
) -> pl.DataFrame:
    return recommend(Run(run).with_values(config), data, users=users, **shared)
