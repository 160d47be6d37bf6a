"""Counterfactuals: the smallest set of events without which an item leaves a list, and an event that brings one in."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from tfrec.data.histories import Histories
from tfrec.explanation.deletions import DeletionScorer, total
from tfrec.retrieval.scorer import Scorer

_BATCH = 8


def list_margins(scores: np.ndarray, items: np.ndarray, k: int, excluded: np.ndarray) -> np.ndarray:
    """By how much items are in the top k: their scores, less the k-th best score of the others.

    Args:
        scores: float32 `[n, variants, num_items]`.
        items: int `[n]`, an item a row.
        k: int. Length of the list.
        excluded: bool `[n, num_items]`, the other items that may not be in the list.

    Returns:
        float32 `[n, variants]`: below 0 where the item is not in the list. A tie is none of its places, so that no
        order of the catalogue is taken for a reason. inf if there are fewer than k others.
    """
    at = np.asarray(items)[:, None, None]
    own = np.take_along_axis(scores, np.broadcast_to(at, [*scores.shape[:2], 1]), axis=2)[..., 0]
    others = np.where(excluded[:, None], -np.inf, scores)
    np.put_along_axis(others, np.broadcast_to(at, [*scores.shape[:2], 1]), -np.inf, axis=2)
    if others.shape[2] < k:
        return np.full(own.shape, np.inf, np.float32)
    best = -np.partition(-others, k - 1, axis=2)[..., k - 1]
    return np.where(np.isneginf(best), np.inf, own - best)


class Removals:
    """Searches for the smallest set of events without which items are not in the top k.

    What the list leaves out, such as the items of the history, stays left out when events are deleted.

    Args:
        deletions: Scores after deletions.
        k: int. Length of the list.
        most: int. Largest set that is searched for.
        exact: int. Size up to which all sets are tried, so that a set of this size is the smallest there is; sets of
            one event always are. Beyond, the search is greedy: it deletes the event that costs the item most, again
            and again.
        beam: int. Number of events, those that alone cost the item most, that a larger set is made of.
    """

    def __init__(self, deletions: DeletionScorer, k: int, most: int = 5, exact: int = 1, beam: int = 10) -> None:
        self.deletions, self.k, self.most, self.exact, self.beam = deletions, k, most, exact, beam

    def sets(
        self, histories: Histories, rows: np.ndarray, items: np.ndarray, excluded: np.ndarray, events: int
    ) -> list[list[int] | None]:
        """The events to delete.

        Args:
            histories: The histories.
            rows: int `[n]`, a row for each item; rows may repeat.
            items: int `[n]`, items that are in the lists of the rows.
            excluded: bool `[n, num_items]`, items that may not be in the list.
            events: int. Number of newest events that may be deleted.

        Returns:
            For each row the places among its newest `events` events, oldest first; None where no set of up to `most`
            events was found.
        """
        found: list[list[int] | None] = []
        for start in range(0, len(rows), _BATCH):
            part = slice(start, start + _BATCH)
            found += self._sets(histories, rows[part], items[part], excluded[part], events)
        return found

    def _sets(
        self, histories: Histories, rows: np.ndarray, items: np.ndarray, excluded: np.ndarray, events: int
    ) -> list[list[int] | None]:
        lengths = np.minimum(histories.lengths[rows], events)
        width = max(int(lengths.max(initial=0)), 1)

        def margins(sets: list[list[tuple[int, ...]]], at: list[int]) -> np.ndarray:
            """float `[len(at), most sets of a row]`: the margins without each set; inf where a row has no such set."""
            keep = np.ones([len(at), max(map(len, sets)), width], bool)
            for row, of_row in enumerate(sets):
                for number, one in enumerate(of_row):
                    keep[row, number, list(one)] = False
            scores = total(self.deletions.parts(histories, rows[at], keep, None))
            values = list_margins(scores, items[at], self.k, excluded[at])
            there = np.arange(values.shape[1]) < np.array([len(of_row) for of_row in sets])[:, None]
            return np.where(there, values, np.inf)

        everyone = [row for row in range(len(rows)) if lengths[row]]
        answers: list[list[int] | None] = [None] * len(rows)
        if not everyone:
            return answers
        singles: list[list[tuple[int, ...]]] = [[(event,) for event in range(lengths[row])] for row in everyone]
        alone = margins(singles, everyone)
        ranked = {row: np.argsort(alone[place], kind="stable")[: lengths[row]] for place, row in enumerate(everyone)}
        best = {row: (singles[place][ranked[row][0]], alone[place].min()) for place, row in enumerate(everyone)}
        for size in range(2, self.most + 1):
            still = [row for row, (one, margin) in best.items() if margin >= 0 and lengths[row] >= size]
            if not still:
                break
            tried = [self._larger(best[row][0], ranked[row], size) for row in still]
            values = margins(tried, still)
            for place, row in enumerate(still):
                number = int(values[place].argmin())
                best[row] = tried[place][number], values[place, number]
        for row, (one, margin) in best.items():
            answers[row] = sorted(int(event) for event in one) if margin < 0 else None
        return answers

    def _larger(self, before: tuple[int, ...], ranked: np.ndarray, size: int) -> list[tuple[int, ...]]:
        """The sets of a size to try, after the best smaller one."""
        if size <= self.exact:
            return list(combinations(ranked.tolist(), size))
        candidates = [event for event in ranked.tolist() if event not in before][: self.beam]
        return [(*before, event) for event in candidates]


def added_event(
    scorer: Scorer,
    histories: Histories,
    rows: np.ndarray,
    items: np.ndarray,
    candidates: np.ndarray,
    k: int,
    excluded: np.ndarray,
) -> np.ndarray:
    """The event which, added as the newest, would bring an item into the top k.

    Args:
        scorer: The model.
        histories: The histories.
        rows: int `[n]`.
        items: int `[n]`, items that are not in the lists of the rows.
        candidates: int32 `[n, m]`, the items that an event may be on; −1 is padding. The kind is that of the newest
            event of the row, or the first one.
        k: int. Length of the list.
        excluded: bool `[n, num_items]`, items that may not be in the list.

    Returns:
        int32 `[n]`: the candidate with which the item stands highest, −1 if it comes into no list. A candidate is
        not an answer for itself.
    """
    n, m = candidates.shape
    longer = with_event(histories, np.repeat(rows, m), np.maximum(candidates, 0).ravel())
    scores = scorer.scores(longer, np.arange(n * m)).reshape(n, m, -1)
    margins = list_margins(scores, items, k, excluded)
    margins = np.where((candidates >= 0) & (candidates != np.asarray(items)[:, None]), margins, -np.inf)
    best = margins.argmax(axis=1)
    reached = np.take_along_axis(margins, best[:, None], axis=1)[:, 0] > 0
    return np.where(reached, np.take_along_axis(candidates, best[:, None], axis=1)[:, 0], -1)


def with_event(histories: Histories, rows: np.ndarray, items: np.ndarray) -> Histories:
    """Histories of the rows with one more event each, on the given items int `[n]`, of the kind of the event before."""
    lengths = histories.lengths[rows]
    copies = histories.prefixes(rows, lengths)
    ends = copies.offsets[1:]
    last = np.maximum(ends - 1, 0)

    def longer(values: np.ndarray, new: np.ndarray) -> np.ndarray:
        return np.insert(values, ends, new.astype(values.dtype))

    def repeated(values: np.ndarray, default: float | int | bool) -> np.ndarray:
        if not len(values):
            return np.full(len(rows), default)
        return np.where(lengths > 0, values[np.minimum(last, len(values) - 1)], default)

    return Histories(
        user_ids=copies.user_ids,
        offsets=copies.offsets + np.arange(len(rows) + 1),
        items=longer(copies.items, np.asarray(items)),
        events=longer(copies.events, repeated(copies.events, 0)),
        timestamps=longer(copies.timestamps, repeated(copies.timestamps, 0)),
        values=longer(copies.values, np.full(len(rows), np.nan)),
        is_target=longer(copies.is_target, np.ones(len(rows), bool)),
        clock=copies.clock,
        context={
            name: longer(values, repeated(values, values[0] if len(values) else 0))
            for name, values in copies.context.items()
        },
    )
