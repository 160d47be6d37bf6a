"""How much faster is the search for score weights than one that scores the whole catalogue in every trial?

After a fit, `training.balance` tries many weights of the parts of the score. A trial computes the NDCG@10 of 2,000
validation queries. `ScoreParts` is compared with summing the weighted parts over all items and ranking the targets;
both keep the parts as arrays, and both must give the same result. The NextItemModel has the sizes that `tfrec train`
chooses for the data; it is untrained and has random text vectors, on neither of which the time depends. Prints one JSON
line; a ratio above 1 means that `ScoreParts` is faster.
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
TRIALS = 12


def whole_catalogue(model: Any, queries: Any, rows: np.ndarray) -> Callable[[Any], np.ndarray]:
    """A function from score weights to the NDCG@10 of each query, by the scores of all items.

    The decay and the discount of the memory stay as they are.
    """
    import tensorflow as tf

    from tfrec import schema
    from tfrec.data.padding import history_batch
    from tfrec.evaluation.ranking_metrics import ranking_metrics, target_ranks
    from tfrec.models.next_item.repeat_bias import occurrences

    inputs = {name: tf.constant(value) for name, value in history_batch(queries.history, rows, 200).items()}
    items = inputs[schema.HISTORY_ITEMS]
    cosine = model.cosines(inputs).numpy()
    remembered = {name: part.numpy() for name, part in model.memory.unweighted_catalogue_scores(items).items()}
    last, count = occurrences(items)
    row, column = tf.where(last).numpy().T
    taken, log_count = items.numpy()[row, column], np.log(tf.boolean_mask(count, last).numpy())
    is_newest = column == queries.history.lengths[rows][row] - 1
    flat, offsets = queries.targets_of(rows)
    targets = queries.target_items[flat]

    def ndcg(weights: Any) -> np.ndarray:
        scores = cosine * np.float32(weights.cosine)
        for name, part in remembered.items():
            scores += part * np.float32(getattr(weights, name))
        bias = np.where(is_newest, weights.newest, weights.others) + weights.slope * log_count
        scores[row, taken] += bias.astype(np.float32)
        return ranking_metrics(target_ranks(scores, offsets, targets), offsets, 10)["ndcg"]

    return ndcg


def measure(data: Any) -> dict[str, float]:
    """Median seconds of a trial with both methods, and the seconds that `ScoreParts` needs to prepare."""
    from tfrec.config import RunConfig
    from tfrec.models.next_item.build import build_next_item_model
    from tfrec.models.next_item.score_weights.decomposition import ScoreParts
    from tfrec.models.next_item.score_weights.weights import ScoreWeights

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
    start, seconds = ScoreWeights.from_model(model), {name: list[float]() for name in ways}
    for _ in range(TRIALS):
        cosine, weight, text_weight = rng.uniform(0.1, 2, 3)
        newest, others, slope = rng.normal(0, 3, 3)
        weights = ScoreWeights(cosine, weight, text_weight, start.decay, start.discount, newest, others, slope)
        values = {}
        for name, ndcg in ways.items():
            started = time.perf_counter()
            values[name] = ndcg(weights)
            seconds[name].append(time.perf_counter() - started)
        if (
            abs(values["whole"].mean() - values["parts"].mean()) > 1e-4
        ):  # sums in another order may swap items of equal score
            raise SystemExit(f"NDCG@10 differs: {values['whole'].mean()} and {values['parts'].mean()}.")
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
                "benchmark": "score_weights",
                "ratios": {"whole_catalogue": ratio},
                "figures": about | figures,
                "machine": machine(),
                "versions": versions,
            }
        )
    )


if __name__ == "__main__":
    main()
