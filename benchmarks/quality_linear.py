"""Peers of `quality.py` that are linear: ALS of `implicit`, and EASE of RecTools."""

from __future__ import annotations

import itertools
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from quality_files import (
    Budget,
    K,
    Validation,
    events,
    masked_name,
    rectools_events,
    rectools_lists,
    write_lists,
)

REGULARISATIONS = (300.0, 100.0, 1000.0, 30.0, 3000.0)
"""Of EASE, the likely ones first, as the minutes may end before all have been tried."""


def als(folder: Path) -> dict[str, Any]:
    """ALS of `implicit`, with factors and confidence chosen on validation; user vectors are computed from histories."""
    import implicit
    import scipy.sparse as sp

    train, context, validation = events(folder, "train"), events(folder, "context"), Validation(folder)
    users, items = (int(max(train[name].max(), context[name].max())) + 1 for name in ("user", "item"))

    def matrix(frame: pd.DataFrame) -> Any:
        cells = np.ones(len(frame), np.float32), (frame["user"], frame["item"])
        return sp.csr_matrix(cells, shape=(users, items))

    def lists(model: Any, frame: pd.DataFrame, k: int, masked: bool) -> pd.DataFrame:
        known, rows = matrix(frame), np.sort(frame["user"].unique())
        items_of, _ = model.recommend(rows, known[rows], N=k, filter_already_liked_items=masked, recalculate_user=True)
        ranks = np.tile(np.arange(1, items_of.shape[1] + 1), len(rows))
        found = pd.DataFrame({"user": np.repeat(rows, items_of.shape[1]), "item": items_of.ravel(), "rank": ranks})
        return found[found["item"] >= 0]

    started, best, kept = time.perf_counter(), -1.0, {}
    for factors, alpha in itertools.product((64, 128, 256), (1.0, 10.0, 40.0)):
        settings = {"factors": factors, "alpha": alpha, "iterations": 15, "random_state": 0}
        model = implicit.als.AlternatingLeastSquares(**settings)
        begun = time.perf_counter()
        model.fit(matrix(train), show_progress=False)
        seconds = time.perf_counter() - begun
        value = validation(lambda masked, model=model: lists(model, validation.context, 10, masked))
        if value > best:
            best, kept = value, {"factors": factors, "alpha": alpha, "fit_seconds": seconds}
            for masked in (False, True):
                write_lists(folder, masked_name("als", masked), lists(model, context, K, masked))
    kept["search_seconds"] = time.perf_counter() - started
    return {**kept, "valid_ndcg@10": best, "versions": {"implicit": version("implicit")}}


def ease(folder: Path, minutes: float) -> dict[str, Any]:
    """EASE of RecTools, each person's item counted once; its regularisation chosen on validation.

    Its weights belong to the items of training in their order, so histories are brought into that order and lose items
    that training has not. RecTools 0.19 sums rows of the weights where the paper sums columns; both are tried.
    """
    from rectools.dataset import Dataset, IdMap, Interactions
    from rectools.models import EASEModel

    def once(part: Path, name: str) -> pd.DataFrame:
        return rectools_events(part, name).drop_duplicates(["user_id", "item_id"])

    training_data, validation, budget = Dataset.construct(once(folder, "train")), Validation(folder), Budget(minutes)
    known = training_data.item_id_map

    def histories(part: Path) -> tuple[Any, np.ndarray]:
        context = once(part, "context")
        context = context[context["item_id"].isin(known.external_ids)]
        users = IdMap.from_values(context["user_id"])
        return Dataset(users, known, Interactions.from_raw(context, users, known)), context["user_id"].unique()

    def lists(model: Any, asked: tuple[Any, np.ndarray], masked: bool, k: int) -> pd.DataFrame:
        return rectools_lists(model.recommend(users=asked[1], dataset=asked[0], k=k, filter_viewed=masked))

    valid, test = histories(folder / "valid"), histories(folder)
    best, kept, tried = -1.0, {}, []
    for regularisation in REGULARISATIONS:
        if not budget.left():
            break
        begun = time.perf_counter()
        model = EASEModel(regularization=regularisation, recommend_n_threads=1).fit(training_data)
        seconds = time.perf_counter() - begun
        for sums in ("rows", "columns"):
            model.weight = model.weight if sums == "rows" else np.ascontiguousarray(model.weight.T)
            value = validation(lambda masked, model=model: lists(model, valid, masked, 10))
            tried.append((regularisation, sums, value))
            if value > best:
                best, kept = value, {"regularisation": regularisation, "sums": sums, "fit_seconds": seconds}
                for masked in (False, True):
                    write_lists(folder, masked_name("ease", masked), lists(model, test, masked, K))
    told = {**kept, "tried": tried, "processor_seconds": budget.used()}
    return {**told, "valid_ndcg@10": best, "versions": {"rectools": version("rectools")}}
