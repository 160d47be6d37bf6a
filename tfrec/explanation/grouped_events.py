"""`explain_groups`: what sessions, or all events on an item, do to a score when they are deleted together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.dataset import PreparedDataset
from tfrec.data.histories import Histories
from tfrec.explanation.event_groups import By, event_groups
from tfrec.explanation.explain_lists import histories_to_explain, rows_of_users
from tfrec.explanation.explainer import WINDOW, deletions_of
from tfrec.explanation.leave_one_out import leave_one_out
from tfrec.retrieval.top_items import places_of_ids
from tfrec.runs.run import Run, load_run


def explain_groups(
    run: Run | str | Path,
    data: PreparedDataset | Histories | str | Path,
    item_id: str,
    *,
    by: By = "session",
    users: Sequence[str] | None = None,
    window: int = WINDOW,
) -> pl.DataFrame:
    """Deletes groups of events in turn and says what the score of an item loses without each.

    Args:
        run: A run that ranks the catalogue, or its folder.
        data: The prepared data that the run was trained on, or its folder; or histories in the run's indices.
        item_id: The item whose score is explained.
        by: "session", events without a pause of more than 30 minutes between them; "item", all events on an item;
            "event", each alone.
        users: Ids of users, in the order of the result; None for all users.
        window: int. Number of newest events that are deleted.

    Returns:
        One row per user and group, the group that raises the score most first: user_id, effect (Float32, below 0 for a
        group that lowers the score), newest_age (UInt32, 1 is the newest event of the history), item_ids (list, oldest
        first). Effects do not add up.

    Raises:
        InvalidInput: The run does not rank the catalogue, an item or user is unknown, or sessions are asked for and the
            log has no clock.

    Example:
        tfrec.explanation.explain_groups("runs/shop", "data/shop", "i7", by="item", users=["u1"])
    """
    trained = load_run(run)
    histories, _ = histories_to_explain(trained, data)
    rows = rows_of_users(histories, users)
    place = places_of_ids([item_id], trained.item_ids, "items", "the catalogue")
    groups = event_groups(histories, rows, window, by)
    asked = np.broadcast_to(place.astype(np.int32), [len(rows), 1])
    effects = leave_one_out(deletions_of(trained), histories, rows, asked, groups).effects[..., 0]
    records = []
    for row, of_row in enumerate(rows):
        length = int(min(histories.lengths[of_row], window))
        newest = histories.items[histories.row(of_row)][-length:] if length else histories.items[:0]
        for group in np.argsort(-effects[row], kind="stable"):
            inside = np.flatnonzero(groups[row, :length] == group)
            if len(inside):
                ids = [str(trained.item_ids[item]) for item in newest[inside]]
                age = length - int(inside[-1])
                records.append((str(histories.user_ids[of_row]), float(effects[row, group]), age, ids))
    columns: dict[str, Any] = {
        schema.USER_ID: pl.String,
        "effect": pl.Float32,
        "newest_age": pl.UInt32,
        "item_ids": pl.List(pl.String),
    }
    return pl.DataFrame(records, schema=columns, orient="row")
