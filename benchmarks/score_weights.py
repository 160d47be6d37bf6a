"""How much faster does the balance try strengths than by scoring the whole catalogue?

A NextItemModel of the sizes that `tfrec train` picks for the data, untrained, with random text vectors (time depends on
neither), and 2,000 validation queries. A try is the NDCG@10 of each query under other strengths. Against `ScoreParts`
stands the sum of the parts over all items, which are kept as arrays too, and `target_ranks`. Both must find the same.
Prints one JSON line; a ratio above 1 means that `ScoreParts` is ahead.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine
from quality import DATA, dataset

QUERIES = 2000
TRIES = 12


def whole_catalogue(model: Any, queries: Any, rows: np.ndarray) -> Callable[[Any], np.ndarray]:
    """What finds the NDCG@10 of each query from the scores of all items; the memory's decay and discount stay."""
    import tensorflow as tf

    from tfrec import schema
    from tfrec.data.padding import history_batch
    from tfrec.evaluation.ranking_metrics import ranking_metrics, target_ranks
    from tfrec.models.next_item.repeat_bias import occurrences

    inputs = {name: tf.constant(value) for name, value in history_batch(queries.history, rows, 200).items()}
    items = inputs[schema.HISTORY_ITEMS]
    cosine = model.cosines(inputs).numpy()
    remembered = {name: part.numpy() for name, part in model.memory.parts_of_whole(items).items()}
    last, count = occurrences(items)
    row, column = tf.where(last).numpy().T
    taken, log_count = items.numpy()[row, column], np.log(tf.boolean_mask(count, last).numpy())
    is_newest = column == queries.history.lengths[rows][row] - 1
    flat, offsets = queries.targets_of(rows)
    targets = queries.target_items[flat]

    def ndcg(by: Any) -> np.ndarray:
        scores = cosine * np.float32(by.cosine)
        for name, part in remembered.items():
            scores += part * np.float32(getattr(by, name))
        bias = np.where(is_newest, by.newest, by.others) + by.slope * log_count
        scores[row, taken] += bias.astype(np.float32)
        return ranking_metrics(target_ranks(scores, offsets, targets), offsets, 10)["ndcg"]

    return ndcg


def measure(data: Any) -> dict[str, float]:
    """Median seconds of a try both ways, and those that `ScoreParts` takes to get ready."""
    from tfrec.config import RunConfig
    from tfrec.models.next_item.build import build_next_item_model
    from tfrec.models.next_item.score_weights.decomposition import ScoreParts
    from tfrec.models.next_item.score_weights.weights import Balance

    rng = np.random.default_rng(0)
    texts = rng.normal(size=(data.num_items, 384)).astype(np.float32)
    config = RunConfig().with_values(["model.repeat_kinds=false", "model.popular=0"])
    model = build_next_item_model(data, texts, config)
    queries = data.queries("valid")
    rows = np.sort(rng.choice(len(queries), min(len(queries), QUERIES), replace=False))
    rows = rows[np.argsort(queries.history.lengths[rows], kind="stable")]
    ways: dict[str, Callable[[Any], np.ndarray]] = {}
    ways["whole"] = whole_catalogue(model, queries, rows)
    started = time.perf_counter()
    ways["parts"] = ScoreParts(model, queries, rows, exclude_seen=False).ndcg
    figures = {"ready_seconds": time.perf_counter() - started}
    start, seconds = Balance.of(model), {name: list[float]() for name in ways}
    for _ in range(TRIES):
        cosine, weight, text_weight = rng.uniform(0.1, 2, 3)
        newest, others, slope = rng.normal(0, 3, 3)
        by = Balance(cosine, weight, text_weight, start.decay, start.discount, newest, others, slope)
        found = {}
        for name, ndcg in ways.items():
            started = time.perf_counter()
            found[name] = ndcg(by)
            seconds[name].append(time.perf_counter() - started)
        if abs(found["whole"].mean() - found["parts"].mean()) > 1e-4:  # sums of another order may swap neighbours
            raise SystemExit(f"NDCG@10 differs: {found['whole'].mean()} and {found['parts'].mean()}.")
    figures |= {f"{name}_seconds": statistics.median(times[1:]) for name, times in seconds.items()}
    return {"items": data.num_items, "queries": len(rows), **figures}


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, default="scientific")
    parser.add_argument("--split", choices=["leave-one-out", "global-time"], default="leave-one-out")
    options = parser.parse_args()
    load_tensorflow(pool=True)  # as the commands do
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(dataset(options.data, options.split, Path(folder) / "data"))
    ratio = figures["whole_seconds"] / figures["parts_seconds"]
    versions = {name: version(name) for name in ("tensorflow", "numpy")}
    about = {"data": options.data, "split": options.split}
    print(
        json.dumps(
            {
                "benchmark": "balance",
                "ratios": {"whole_catalogue": ratio},
                "figures": about | figures,
                "machine": machine(),
                "versions": versions,
            }
        )
    )


if __name__ == "__main__":
    main()
