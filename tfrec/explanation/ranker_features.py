"""Why a ClickRanker expects what it does of a candidate: events, counts, context, and what two of them do together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.explanation.shapley import Shares, Value, crosses, shapley
from tfrec.models.click_ranker.blocks import context_inputs
from tfrec.models.click_ranker.model import ClickRanker
from tfrec.models.shared.item_table import lookup
from tfrec.retrieval.top_items import places_of_ids
from tfrec.runs.run import Run, load_run

NEWEST = 20
"""Newest events that are features of their own; earlier ones are one feature together."""
EARLIER, CANDIDATE = "earlier events", "what the candidate is"


@dataclass(frozen=True)
class RankingReasons:
    """Why a ranker expects a behaviour.

    Attributes:
        features: What each feature adds to the logit, on average over orders; they add up.
        crosses: What pairs of features do together, beyond what each does to all the others.
    """

    features: Shares
    crosses: dict[tuple[str, str], float]


def explain_ranking(
    run: Run | str | Path,
    history: Sequence[str],
    item_id: str,
    *,
    behaviour: str | None = None,
    events: Sequence[str] | None = None,
    context: Mapping[str, Any] | None = None,
    permutations: int = 8,
    seed: int = 0,
) -> RankingReasons:
    """Takes apart the logit that a user acts on a candidate, before calibration.

    Features are the newest events, the candidate's vector, its counts in training and in the history, and the context.
    Without an event the history is pooled without it, without the candidate's vector it is 0, counts are those of the
    average item, and context is unknown.

    Args:
        run: A click-ranker run, or its folder.
        history: Item ids, oldest first.
        item_id: The candidate.
        behaviour: One of the run's behaviours; None for its first.
        events: The kind of each event; None for the run's first kind.
        context: `context_*` values of the request; None if unknown.
        permutations: int. Orders in which the features come in; more are steadier.
        seed: int. Of these orders.

    Raises:
        InvalidInput: The run is no click-ranker, or an item, a kind or the behaviour is unknown.
    """
    trained = load_run(run)
    model = trained.model
    if not isinstance(model, ClickRanker):
        raise InvalidInput(f"Expected a click-ranker run, {trained.path} is a {trained.kind} run. Pass one.")
    head = model.behaviours[0] if behaviour is None else behaviour
    if head not in model.behaviours:
        raise InvalidInput(f"Expected one of the behaviours {', '.join(model.behaviours)}, received {behaviour!r}.")
    kinds = [trained.event_kinds[0]] * len(history) if events is None else list(events)
    if len(kinds) != len(history):
        raise InvalidInput(f"Expected a kind for each of {len(history)} events, received {len(kinds)}.")
    places = places_of_ids([*history, item_id], trained.item_ids, "items", "the catalogue")
    codes = places_of_ids(kinds, np.array(trained.event_kinds, object), "event kinds", "the run")
    names, value = ranking_features(
        model, places, codes, list(zip(kinds, history)), context, model.behaviours.index(head)
    )
    return RankingReasons(shapley(value, names, permutations=permutations, seed=seed), crosses(value, names))


def ranking_features(
    model: ClickRanker,
    places: np.ndarray,
    codes: np.ndarray,
    said: list[tuple[str, str]],
    context: Mapping[str, Any] | None,
    head: int,
) -> tuple[list[str], Value]:
    """Names of the features of a request, and the logit with some of them.

    Args:
        model: The model.
        places: int `[events + 1]`, the items of the history, oldest first, and the candidate.
        codes: int `[events]`, the kinds of the events.
        said: Kind and item of each event, as they are named.
        context: `context_*` values of the request; None if unknown.
        head: int. The behaviour.
    """
    newest = slice(max(len(said) - model.max_history, 0), len(said))
    items, candidate = places[:-1][newest], places[-1:]
    inputs = {
        schema.HISTORY_ITEMS: tf.constant([items.tolist() or [schema.PADDING]], tf.int32),
        schema.HISTORY_EVENTS: tf.constant([codes[newest].tolist() or [schema.PADDING]], tf.int32),
    }
    vectors = model.items.vectors()
    history = lookup(vectors, inputs[schema.HISTORY_ITEMS])
    facts = model.describe(*inputs.values(), tf.constant([candidate], tf.int32)).numpy()[0]
    columns = None if context is None else {name: np.array([one], object) for name, one in context.items()}
    known, unknown = model.context.encode(columns, 1), model.context.encode(None, 1)

    events = [f"{kind} {item} ({len(said) - at})" for at, (kind, item) in list(enumerate(said))[newest]]
    earlier = len(events) - NEWEST
    grouped = [EARLIER] * max(earlier, 0) + events[max(earlier, 0) :]
    counted = [*(f"{name} in training" for name in model.behaviours), *_counts(model, facts.shape[1])]
    asked = [*model.context.numbers, *model.context.categories]
    names = [*dict.fromkeys(grouped), CANDIDATE, *counted, *asked]
    place = {name: number for number, name in enumerate(names)}
    of_event = [place[name] for name in grouped]

    def value(there: np.ndarray) -> np.ndarray:
        rows = len(there)
        mask = there[:, of_event] if grouped else np.zeros([rows, 1], bool)
        with_counts = facts[None] * there[:, None, [place[name] for name in counted]]
        tensors = [tf.repeat(history, rows, axis=0), tf.repeat(inputs[schema.HISTORY_EVENTS], rows, axis=0), mask]
        tensors += [tf.gather(vectors, candidate)[None] * there[:, place[CANDIDATE], None, None].astype(np.float32)]
        tensors += [with_counts.astype(np.float32)]
        for name in context_inputs(model.context):
            group = model.context.numbers if name == schema.CONTEXT_NUMBERS else model.context.categories
            tensors.append(np.where(there[:, [place[column] for column in group]], known[name], unknown[name]))
        logs = model.body(tensors, training=False).numpy()[:, 0, head].astype(np.float64)
        logits: np.ndarray = logs - np.log(-np.expm1(np.minimum(logs, -1e-7)))
        return logits

    return names, value


def _counts(model: ClickRanker, width: int) -> list[str]:
    """Names of the counts of the candidate in the history."""
    kinds = width - len(model.behaviours) - 2
    return [
        *(f"times in the history, kind {kind}" for kind in range(kinds)),
        "times of unknown kind",
        "recency in the history",
    ]
