"""`Explainer`: the lists of a run, and for each item the events that decide it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.explanation.counterfactuals import Removals, added_event
from tfrec.explanation.deletions import DeletionScorer, RescoredDeletions
from tfrec.explanation.event_groups import event_groups
from tfrec.explanation.leave_one_out import Effects, leave_one_out, telling_events
from tfrec.explanation.sentences import LANGUAGES, Fact, sentence
from tfrec.models.registry import family_of
from tfrec.retrieval.items_to_recommend import items_to_recommend
from tfrec.retrieval.scorer import Scorer
from tfrec.retrieval.top_items import seen_items
from tfrec.retrieval.top_k_numpy import top_k_numpy
from tfrec.retrieval.two_stage_scorer import TwoStage
from tfrec.retrieval.unit_vectors import unit_vectors
from tfrec.runs.run import Run

WINDOW = 50
"""Newest events that are deleted in turn by default. With the usual decay, the memory hardly knows older ones."""

ADDED = 20
"""Nearest items of an item that are tried as the event that would bring it in."""


def deletions_of(run: Run) -> DeletionScorer:
    """Scores after deletions for a run; `InvalidInput` if its family does not rank the catalogue."""
    name = family_of(run.kind).explanation_module
    if name is None:
        raise InvalidInput(
            f"A {run.kind} run does not rank the catalogue, so it makes no list to explain; {run.path} is one. "
            "Pass a next-item run, or a behaviour-text run with the softmax head."
        )
    found: DeletionScorer = importlib.import_module(name).deletions(run)
    return found


@dataclass(frozen=True)
class Lists:
    """The lists to explain.

    Attributes:
        histories: The histories.
        rows: int `[n]`, their rows.
        items: int32 `[n, m]`, −1 is padding.
        ranks: int32 `[n, m]`, from 1; 0 for an item that is not in the list.
        excluded: bool `[n, num_items]`, items that the list may not hold.
    """

    histories: Histories
    rows: np.ndarray
    items: np.ndarray
    ranks: np.ndarray
    excluded: np.ndarray


class Explainer:
    """Explains lists of a run.

    Args:
        run: The run.
        events: int. Events named for each item that raise it; the one that lowers it most comes last.
        window: int. Number of newest events that are deleted in turn.
        removals: int. Largest set of events that is searched for without which an item leaves the list; 0 for none.
        two_stage: The scorer of the run's lists that a ranker re-ranks; None if there is none.
    """

    def __init__(
        self,
        run: Run,
        *,
        events: int = 3,
        window: int = WINDOW,
        removals: int = 5,
        two_stage: TwoStage | None = None,
    ) -> None:
        self.run, self.events, self.window, self.removals = run, events, window, removals
        self.scorer: Scorer = run.scorer() if two_stage is None else two_stage
        self.deletions = deletions_of(run)
        if two_stage is not None:
            longest = max(self.deletions.max_events, two_stage.predictor.max_history)
            self.deletions = RescoredDeletions(two_stage.parts, longest)
        names = [name for name in schema.TITLES if name in run.items.columns]
        titles = run.items[names[0]].cast(pl.String).to_list() if names else [None] * run.items.height
        ids = [str(item) for item in run.item_ids]
        self.titles = [title or text or item for title, text, item in zip(titles, run.items[schema.TEXT], ids)]
        self.ids = ids

    def lists(self, histories: Histories, rows: np.ndarray, k: int, exclude_seen: bool) -> Lists:
        """The run's lists of `k` items, as `recommend` makes them."""
        scores = self.scorer.scores(histories, rows)
        excluded = self._excluded(histories, rows, exclude_seen)
        items, _, _ = top_k_numpy(np.where(excluded, -np.inf, scores), min(k, scores.shape[1]))
        ranks = np.where(items >= 0, np.arange(1, items.shape[1] + 1), 0)
        return Lists(histories, rows, items, ranks, excluded)

    def asked(self, histories: Histories, rows: np.ndarray, items: np.ndarray, k: int, exclude_seen: bool) -> Lists:
        """The same items int `[m]` for each row, with their ranks in the lists of `k`."""
        made = self.lists(histories, rows, k, exclude_seen)
        table = np.broadcast_to(np.asarray(items, np.int32), [len(rows), len(items)])
        same = table[:, :, None] == made.items[:, None]
        return Lists(histories, rows, table, np.where(same.any(axis=2), same.argmax(axis=2) + 1, 0), made.excluded)

    def frame(self, lists: Lists, k: int) -> pl.DataFrame:
        """One row per user and item, as `explain` returns them."""
        groups = event_groups(lists.histories, lists.rows, self.window)
        effects = leave_one_out(self.deletions, lists.histories, lists.rows, lists.items, groups)
        removed, added = self._removed(lists, k), self._added(lists, k)
        records = [
            self._record(lists, effects, removed.get((row, column)), added.get((row, column)), row, column)
            for row, column in zip(*map(np.ndarray.tolist, np.nonzero(lists.items >= 0)))
        ]
        return pl.DataFrame(records, schema=frame_schema(list(effects.parts)), orient="row")

    def _excluded(self, histories: Histories, rows: np.ndarray, exclude_seen: bool) -> np.ndarray:
        allowed = items_to_recommend(self.run.config, self.run.items)
        excluded = np.zeros([len(rows), len(self.ids)], bool)
        if allowed is not None:
            excluded |= ~allowed
        if exclude_seen:
            seen = seen_items(histories, rows)
            excluded[np.nonzero(seen >= 0)[0], seen[seen >= 0]] = True
        return excluded

    def _removed(self, lists: Lists, k: int) -> dict[tuple[int, int], list[int] | None]:
        """The sets of events without which listed items leave the lists, by row and column of `lists.items`."""
        if not self.removals:
            return {}
        rows, columns = np.nonzero(lists.ranks)
        search = Removals(self.deletions, k, self.removals)
        sets = search.sets(
            lists.histories, lists.rows[rows], lists.items[rows, columns], lists.excluded[rows], self.window
        )
        return {(int(row), int(column)): one for row, column, one in zip(rows, columns, sets)}

    def _added(self, lists: Lists, k: int) -> dict[tuple[int, int], int]:
        """The items of the events that would bring items into the lists, by row and column; items that none would."""
        may_enter = ~np.take_along_axis(lists.excluded, np.maximum(lists.items, 0), axis=1)
        rows, columns = np.nonzero((lists.items >= 0) & (lists.ranks == 0) & may_enter)
        vectors = family_of(self.run.kind).item_vectors(self.run.model)
        if not self.removals or not len(rows) or vectors is None:
            return {}
        items, unit = lists.items[rows, columns], unit_vectors(vectors)
        cosines = unit[items] @ unit.T
        cosines[np.arange(len(items)), items] = -np.inf
        nearest, _, _ = top_k_numpy(cosines, min(ADDED, len(self.ids)))
        found = added_event(self.scorer, lists.histories, lists.rows[rows], items, nearest, k, lists.excluded[rows])
        return {(int(row), int(column)): int(item) for row, column, item in zip(rows, columns, found) if item >= 0}

    def _record(
        self, lists: Lists, effects: Effects, removal: list[int] | None, added: int | None, row: int, column: int
    ) -> tuple[Any, ...]:
        histories, of_row = lists.histories, lists.rows[row]
        length = int(min(histories.lengths[of_row], self.window))
        first = int(histories.offsets[of_row + 1]) - length
        values = effects.effects[row, :length, column]
        named = [
            self._event(histories, first + at, length - at, float(values[at]))
            for at in telling_events(values, self.events)
        ]
        gone = None if removal is None else [int(histories.items[first + at]) for at in removal]
        facts = [Fact(self.titles[event["item"]], event["event"], event["effect"]) for event in named]
        item, listed = int(lists.items[row, column]), bool(lists.ranks[row, column])
        change = gone if listed else [] if added is None else [added]
        titles = [self.titles[other] for other in change or []]
        texts = [sentence(language, self.titles[item], facts, titles, length > 0, listed) for language in LANGUAGES]
        return (
            str(histories.user_ids[of_row]),
            self.ids[item],
            int(lists.ranks[row, column]) or None,
            float(effects.scores[row, column]),
            {name: float(part[row, column]) for name, part in effects.parts.items()},
            [{**event, "item_id": self.ids[event["item"]]} for event in named],
            None if gone is None else [self.ids[other] for other in gone],
            None if added is None else self.ids[added],
            *texts,
        )

    def _event(self, histories: Histories, at: int, age: int, effect: float) -> dict[str, Any]:
        kind = self.run.event_kinds[histories.events[at]] if histories.events[at] >= 0 else ""
        return {"item": int(histories.items[at]), "event": kind, "age": age, "effect": effect}


def frame_schema(parts: Sequence[str]) -> dict[str, Any]:
    """Columns and types of a frame of explanations."""
    event = {schema.ITEM_ID: pl.String, schema.EVENT: pl.String, "age": pl.UInt32, "effect": pl.Float32}
    return {
        schema.USER_ID: pl.String,
        schema.ITEM_ID: pl.String,
        schema.RANK: pl.UInt32,
        schema.SCORE: pl.Float32,
        "parts": pl.Struct(dict.fromkeys(parts, pl.Float32)),
        "events": pl.List(pl.Struct(event)),
        "counterfactual": pl.List(pl.String),
        "added_event": pl.String,
        **{f"sentence_{language}": pl.String for language in LANGUAGES},
    }
