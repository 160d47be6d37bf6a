"""Why items are in a list of the explorer: events that are deleted, and what that does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from tfrec.data.histories import Histories
from tfrec.explanation.counterfactuals import Removals
from tfrec.explanation.event_groups import event_groups
from tfrec.explanation.explainer import WINDOW, deletions_of
from tfrec.explanation.leave_one_out import leave_one_out, telling_events

if TYPE_CHECKING:
    from tfrec.runs import Run

RAISING = 2
"""Events shown that raise a score."""

Because = list[tuple[int, float]]
"""Items of events, and what the score loses without the event."""


class Reasons:
    """Deletes the events of a history one by one, and looks for the smallest set that keeps an item from the list.

    Args:
        run: A run whose family makes lists.
    """

    def __init__(self, run: Run) -> None:
        self.run, self.deletions = run, deletions_of(run)

    def of(
        self, events: Sequence[tuple[int, str]], items: np.ndarray, excluded: np.ndarray, k: int
    ) -> list[tuple[Because, list[int]]]:
        """For each item the events that matter, and the items of the events without which it is not in the list.

        Args:
            events: (item, kind) of each event, oldest first.
            items: int `[n]`, the list.
            excluded: bool `[num_items]`, items that may not be in the list.
            k: int. Length of the list; 0 where its order is not that of the scores, for no search.
        """
        if not events or not len(items):
            return [([], []) for _ in items]
        history, row = self._history(events), np.array([0])
        places = history.items[-WINDOW:]
        groups = event_groups(history, row, WINDOW)
        table = np.asarray(items, np.int32)[None]
        effects = leave_one_out(self.deletions, history, row, table, groups).effects[0]
        sets: list[list[int] | None] = [None] * len(items)
        if k:
            rows = np.zeros(len(items), int)
            left_out = np.broadcast_to(excluded, [len(items), len(excluded)])
            sets = Removals(self.deletions, k).sets(history, rows, np.asarray(items), left_out, WINDOW)
        return [
            (
                [(int(places[at]), float(effects[at, column])) for at in telling_events(effects[:, column], RAISING)],
                [int(places[at]) for at in sets[column] or []],
            )
            for column in range(len(items))
        ]

    def _history(self, events: Sequence[tuple[int, str]]) -> Histories:
        code = {kind: number for number, kind in enumerate(self.run.event_kinds)}
        count = len(events)
        return Histories(
            user_ids=np.array(["page"], object),
            offsets=np.array([0, count], np.int64),
            items=np.array([item for item, _ in events], np.int32),
            events=np.array([code.get(kind, -1) for _, kind in events], np.int16),
            timestamps=np.arange(count, dtype=np.int64),
            values=np.full(count, np.nan, np.float32),
            is_target=np.ones(count, bool),
        )
