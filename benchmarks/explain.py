"""What does an explanation cost, compared with the list that it explains?

Exact leave-one-out for a list of ten over 50 events, in turns with the list itself and with scoring each deletion again
as a history of its own; the two ways have to agree. And the signature `explain` for the ten items of a list, in turns
with the signature `recommend` that makes it, one user a request.

The model has the default sizes and random weights, which take as long as trained ones. Prints one JSON line; a ratio
above 1 means that tfrec is faster: `rescored` is the time of scoring again over that of the shared work. `figures` has
the multiples of the list's and of `recommend`'s time (the aims are at most 15 and 1.5) and the seconds that 2,000 users
take (at most 300).
"""

from __future__ import annotations

import argparse
import json
import statistics
from importlib.metadata import version
from typing import Any

import numpy as np
from peers import machine
from serve_timing import in_turns, summary

K, EVENTS, KINDS = 10, 50, ["view", "purchase"]


def make_model(items: int) -> Any:
    """A model of the default sizes with text of MiniLM's width, and neighbours for each item."""
    from tfrec.models.next_item.model import NextItemModel

    rng = np.random.default_rng(0)
    model = NextItemModel(items, len(KINDS), text_dim=384, neighbours=32, text_neighbours=32, max_history=EVENTS)
    model.items.start_from(rng.standard_normal((items, 384), np.float32))
    near, alike = (rng.integers(0, items, (items, 32)).astype(np.int32) for _ in range(2))
    counts, kernel = (rng.random((items, 32)).astype(np.float32) for _ in range(2))
    model.memory.remember((near, counts), (alike, kernel))
    return model


def make_histories(items: int, users: int) -> Any:
    """Histories of 50 events each."""
    from tfrec.data import Histories

    rng, events = np.random.default_rng(1), users * EVENTS
    return Histories(
        user_ids=np.arange(users).astype(str).astype(object),
        offsets=np.arange(users + 1, dtype=np.int64) * EVENTS,
        items=rng.integers(0, items, events).astype(np.int32),
        events=rng.integers(0, len(KINDS), events).astype(np.int16),
        timestamps=np.arange(events, dtype=np.int64),
        values=np.full(events, np.nan, np.float32),
        is_target=np.ones(events, bool),
    )


def in_python(model: Any, histories: Any, seconds: float) -> dict[str, float]:
    """Milliseconds a user of the list, of leave-one-out, and of scoring each deletion again."""
    from tfrec.explanation.deletions import RescoredDeletions
    from tfrec.explanation.event_groups import event_groups
    from tfrec.explanation.leave_one_out import leave_one_out
    from tfrec.explanation.next_item_deletions import NextItemDeletions
    from tfrec.models.next_item.scorer import NextItemScorer
    from tfrec.retrieval import top_k_numpy

    rows, scorer = np.arange(len(histories)), NextItemScorer(model)
    shared, again = NextItemDeletions(model), RescoredDeletions.of_scorer(scorer, EVENTS)
    groups = event_groups(histories, rows, EVENTS)
    items = top_k_numpy(scorer.scores(histories, rows), K)[0]
    ours, theirs = (leave_one_out(one, histories, rows, items, groups).effects for one in (shared, again))
    if np.abs(ours - theirs).max() > 1e-3:
        raise SystemExit(f"The two ways differ by {np.abs(ours - theirs).max():.4f}.")
    calls = {
        "list": lambda: top_k_numpy(scorer.scores(histories, rows), K),
        "leave_one_out": lambda: leave_one_out(shared, histories, rows, items, groups),
        "rescored": lambda: leave_one_out(again, histories, rows, items, groups),
    }
    timed = in_turns(calls, seconds)
    return {name: 1e3 * statistics.median(values) / len(rows) for name, values in timed.items()}


def in_serving(model: Any, histories: Any, seconds: float) -> dict[str, dict[str, float]]:
    """Median and 99th percentile of the milliseconds of `recommend` and `explain`, one user a request."""
    import tensorflow as tf

    from tfrec.config import ExportConfig
    from tfrec.serving import Catalogue, NextItemServing

    ids = [f"item-{item}" for item in range(model.num_items)]
    catalogue = Catalogue(item_ids=ids, texts=ids, counts=np.arange(model.num_items))
    config = ExportConfig(history_length=EVENTS)
    module = NextItemServing(model, catalogue, event_kinds=KINDS, config=config, exclude_seen=True)
    history = {
        "history_item_ids": tf.constant([[ids[item] for item in histories.items[:EVENTS]]]),
        "history_events": tf.constant([[KINDS[kind] for kind in histories.events[:EVENTS]]]),
    }
    nothing = tf.fill([1, config.exclude_length], "")
    listed = module.functions["recommend"](**history, exclude_item_ids=nothing)["item_ids"][:, :K]
    calls = {
        "recommend": lambda: module.functions["recommend"](**history, exclude_item_ids=nothing)["scores"].numpy(),
        "explain": lambda: module.functions["explain"](**history, explain_item_ids=listed)["scores"].numpy(),
    }
    return {name: summary(values) for name, values in in_turns(calls, seconds).items()}


def main() -> None:
    """Measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=3706, help="items of the catalogue; MovieLens-1M has as many")
    parser.add_argument("--users", type=int, default=32, help="users a batch in Python")
    parser.add_argument("--seconds", type=float, default=30.0, help="time for each of the two measurements")
    options = parser.parse_args()

    import tfrec  # noqa: F401  (chooses Keras 2)

    model, histories = make_model(options.items), make_histories(options.items, options.users)
    python, served = in_python(model, histories, options.seconds), in_serving(model, histories, options.seconds)
    figures = {
        "items": options.items,
        "events": EVENTS,
        **{f"{name}_ms_a_user": value for name, value in python.items()},
        "leave_one_out_over_list": python["leave_one_out"] / python["list"],
        "seconds_for_2000_users": 2 * python["leave_one_out"],
        **{f"{name}_{unit}": value for name, values in served.items() for unit, value in values.items()},
        "explain_over_recommend": served["explain"]["p50_ms"] / served["recommend"]["p50_ms"],
    }
    line = {"benchmark": "explain", "ratios": {"rescored": python["rescored"] / python["leave_one_out"]}}
    versions = {name: version(name) for name in ("tensorflow", "numpy")}
    print(json.dumps({**line, "figures": figures, "machine": machine(), "versions": versions}))


if __name__ == "__main__":
    main()
