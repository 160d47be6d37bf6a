"""Faithfulness of the explanations of a click-ranker: the features that each method names are deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tfrec.data.histories import Histories
from tfrec.errors import InvalidInput
from tfrec.evaluation.group_slices import activity_groups, popularity_groups
from tfrec.explanation.faithfulness.curves import (
    SIZES,
    curve_measures,
    events_for_share,
    named_events,
    rank_agreement,
)
from tfrec.explanation.faithfulness.summary import RANDOM, methods_summary
from tfrec.explanation.ranker_features import ranking_features
from tfrec.explanation.shapley import Value, shapley
from tfrec.progress import track
from tfrec.runs.run import Run

SHAPLEY: Final = "Shapley values"
"""What `explain_ranking` answers."""

Weigh = Callable[[Value, list[str]], np.ndarray]
"""From the logit with some of the features, and their names, to float `[features]`: what each is worth."""


def measure_ranker(run: Run, histories: Histories, users: int, seed: int) -> dict[str, Any]:
    """As `measure_faithfulness`, of a click-ranker: the candidate is the item of a user's newest event.

    Args:
        run: A click-ranker run.
        histories: The histories, in the run's indices.
        users: int. Users to draw.
        seed: int.

    Raises:
        InvalidInput: No user has two events.
    """
    rows = np.flatnonzero(histories.lengths > 1)
    if not len(rows):
        raise InvalidInput("No user has two events: a history, and an item to rank after it. Pass data with more.")
    rng = np.random.default_rng(seed)
    rows = rng.choice(rows, min(users, len(rows)), replace=False)
    measured = [_of_user(run, histories, int(row), rng) for row in track(rows, "Measuring explanations")]
    of_methods = {
        method: {name: np.concatenate([of_user[method][name] for of_user in measured]) for name in measures}
        for method, measures in measured[0].items()
    }
    candidates = histories.items[histories.offsets[rows + 1] - 1]
    groups = {
        "activity": activity_groups(histories.lengths[rows] - 1),
        "popularity of the item": popularity_groups(run.item_counts)[candidates],
    }
    return {"units": "features", **methods_summary(of_methods, SHAPLEY, groups, seed=seed, fewest=run.config.privacy.k)}


def _of_user(run: Run, histories: Histories, row: int, rng: np.random.Generator) -> dict[str, dict[str, np.ndarray]]:
    """The measures of each method, float `[1]` by name."""
    events = histories.row(row)
    newest = events.stop - 1
    said = [
        (run.event_kinds[kind] if kind >= 0 else "", str(run.item_ids[item]))
        for item, kind in zip(histories.items[events.start : newest], histories.events[events.start : newest])
    ]
    context = {name: values[newest] for name, values in histories.context.items()} or None
    names, value = ranking_features(
        run.model, histories.items[events], histories.events[events.start : newest], said, context, 0
    )
    weights = {name: weigh(value, names) for name, weigh in _methods(rng).items()}
    return _measures(value, weights)


def _methods(rng: np.random.Generator) -> dict[str, Weigh]:
    return {
        SHAPLEY: lambda value, names: shapley(value, names, seed=0).effects,
        "leave-one-out": _leave_one_out,
        RANDOM: lambda value, names: rng.random(len(names)),
    }


def _leave_one_out(value: Value, names: list[str]) -> np.ndarray:
    there = np.concatenate([np.ones([1, len(names)], bool), ~np.eye(len(names), dtype=bool)])
    logits = value(there)
    return logits[0] - logits[1:]


def _measures(value: Value, weights: dict[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """What happens to the logit when the features that each method names go, or are all there is."""
    features = len(next(iter(weights.values())))
    lengths, place = np.array([features]), np.arange(features)
    named = {name: named_events(of_method[None], lengths, SIZES[-1])[0] for name, of_method in weights.items()}
    only = [np.isin(place, events[:size]) for events in named.values() for size in SIZES]
    kept = np.stack([np.zeros(features, bool), *only])
    logits = value(np.concatenate([~kept, kept]))
    left, alone = logits[: len(kept)], logits[len(kept) :]
    ours = next(iter(weights.values()))[None]
    measured = {}
    for number, (name, of_method) in enumerate(weights.items()):
        at = slice(1 + len(SIZES) * number, 1 + len(SIZES) * (number + 1))
        measured[name] = curve_measures(left[None, :1], left[None, at], alone[None, :1], alone[None, at])
        measured[name]["events_for_80%"] = events_for_share(of_method[None], lengths)
        measured[name]["agreement"] = rank_agreement(of_method[None], ours, lengths)
    return measured
