"""Would score weights that depend on the query beat one set of score weights for all?

Validation queries are divided into two halves. On one half the weights of the network, the neighbour memory and the
popularity are searched once for all queries, and then, from there, for each third of the queries by

- length: the number of events of the history,
- recency: the time between the newest two events (only with a clock),
- agreement: how far the network's scores of the memory's ten best unseen items are above its others,
- confidence: the network's largest probability,
- chance: nothing, a random third, which shows what searching more finds by itself.

Each third keeps its own weights (`1.0`), or goes halfway from the common ones (`0.5`, geometrically). The other half
of the queries says what this gains in NDCG@10; then the halves change places, and this is repeated for other halves.
Prints one JSON line: for each gate the gain and its standard error, paired over queries, and as the ratio the NDCG@10
with a gate over that without. Decay and discount of the memory stay as the run has them. `--runs` takes the folders of
finished runs, each followed by that of its prepared data; without it, a run of `--data` is trained with `--set`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine
from quality import DATA, dataset

COMMON = ("cosine", "weight", "text_weight", "newest", "others", "popularity")
OWN = ("cosine", "weight", "text_weight", "popularity")
FACTORS_OF_NETWORK = (1.0, 0.5, 0.25)
SHARES = (0.5, 1.0)
THIRDS = (1 / 3, 2 / 3)
FACTORED = ("cosine", "weight", "text_weight")


class Trials:
    """The NDCG@10 of each query under score weights, of which each is computed once."""

    def __init__(self, parts: Any) -> None:
        self.parts, self.known = parts, dict[Any, np.ndarray]()

    def ndcg(self, weights: Any) -> np.ndarray:
        """float64 `[queries]`."""
        if weights not in self.known:
            self.known[weights] = self.parts.ndcg(weights)
        return self.known[weights]

    def search(self, chosen: np.ndarray, start: Any, names: Sequence[str]) -> Any:
        """The score weights that a search among `names` finds for the queries in the mask `chosen`."""
        from tfrec.models.next_item.score_weights.search import MAX_ROUNDS, coordinate_ascent

        searched = [name for name in self.parts.names if name in names]
        return coordinate_ascent(_Chosen(self, chosen, searched), start, searched, MAX_ROUNDS)


class _Chosen:
    """Some of the queries, as `coordinate_ascent` asks for them."""

    def __init__(self, trials: Trials, chosen: np.ndarray, names: Sequence[str]) -> None:
        self.trials, self.chosen, self.names = trials, chosen, names

    def ndcg(self, weights: Any) -> np.ndarray:
        return self.trials.ndcg(weights)[self.chosen]


def signals(model: Any, queries: Any, rows: np.ndarray) -> dict[str, np.ndarray]:
    """What a gate may read of each query, float64 `[rows]` each."""
    import tensorflow as tf

    from tfrec import schema
    from tfrec.data.padding import history_batch
    from tfrec.evaluation.evaluate_ranking import without_seen

    found: dict[str, list[np.ndarray]] = {"agreement": [], "confidence": [], "recency": []}
    vectors = model.history_vectors()
    for block in np.array_split(rows, max(1, len(rows) // 256)):
        batch = history_batch(queries.history, block, model.memory_history)
        inputs = {name: tf.constant(value) for name, value in batch.items()}
        network = model.cosines(inputs, vectors)
        remembered = model.remembered(inputs[schema.HISTORY_ITEMS], inputs[schema.HISTORY_EVENTS])
        memory = model.memory.catalogue_scores(remembered)
        best = np.argsort(-without_seen(memory.numpy(), queries.history, block), axis=1)[:, :10]
        scores = network.numpy()
        above = np.take_along_axis(scores, best, axis=1).mean(axis=1) - scores.mean(axis=1)
        found["agreement"].append(above / scores.std(axis=1))
        found["confidence"].append(tf.reduce_max(tf.nn.softmax(network), axis=1).numpy())
        newest = np.maximum((batch[schema.HISTORY_ITEMS] >= 0).sum(axis=1) - 1, 0)
        found["recency"].append(batch[schema.HISTORY_GAPS][np.arange(len(block)), newest])
    values = {name: np.concatenate(each).astype(np.float64) for name, each in found.items()}
    if not queries.history.clock:
        del values["recency"]
    return {"length": queries.history.lengths[rows].astype(np.float64), **values}


def between(common: Any, own: Any, share: float) -> Any:
    """Score weights on the way from the common ones to those of a third: geometrically where they are factors."""
    values = {}
    for name, first in asdict(common).items():
        last = asdict(own)[name]
        factored = name in FACTORED and first > 0 and last > 0
        values[name] = float(first ** (1 - share) * last**share) if factored else (1 - share) * first + share * last
    return type(common)(**values)


def gains(trials: Trials, start: Any, groups: dict[str, np.ndarray], halves: Sequence[np.ndarray]) -> dict[str, Any]:
    """What each gate gains on the queries that its weights were not chosen on.

    Args:
        trials: The NDCG@10 of all queries.
        start: The score weights of the run.
        groups: The third of each query, by gate.
        halves: Masks of the queries on which weights are chosen; the others measure them.
    """
    count = len(next(iter(groups.values())))
    base = np.zeros(count)
    change = {(gate, share): np.zeros(count) for gate in groups for share in SHARES}
    for half in halves:
        starts = [replace(start, cosine=start.cosine * factor) for factor in FACTORS_OF_NETWORK]
        found = [trials.search(half, each, COMMON) for each in starts]
        common = max(found, key=lambda weights: trials.ndcg(weights)[half].mean())
        base[~half] += trials.ndcg(common)[~half]
        for gate, group in groups.items():
            for third in np.unique(group):
                own = trials.search(half & (group == third), common, OWN)
                fresh = ~half & (group == third)
                for share in SHARES:
                    gained = trials.ndcg(between(common, own, share)) - trials.ndcg(common)
                    change[gate, share][fresh] += gained[fresh]
    times = len(halves) / 2  # how often each query is a fresh one
    table: dict[str, Any] = {"one set": float(base.mean() / times)}
    for (gate, share), total in change.items():
        each = total / times
        table[f"{gate} {share}"] = {
            "gain": float(each.mean()),
            "standard_error": float(each.std(ddof=1) / np.sqrt(count)),
        }
    return table


def measure(run: Any, data: Any, most: int, repeats: int) -> dict[str, Any]:
    """The table of `gains` of a run."""
    from tfrec.models.next_item.score_weights.decomposition import ScoreParts
    from tfrec.models.next_item.score_weights.weights import ScoreWeights

    model, queries, rng = run.model, data.queries("valid"), np.random.default_rng(0)
    rows = np.sort(rng.permutation(len(queries))[:most])
    rows = rows[np.argsort(queries.history.lengths[rows], kind="stable")]
    trials = Trials(ScoreParts(model, queries, rows, False))
    read = {**signals(model, queries, rows), "chance": rng.random(len(rows))}
    groups = {name: np.searchsorted(np.quantile(each, THIRDS), each, side="right") for name, each in read.items()}
    halves = []
    for _ in range(repeats):
        half = np.zeros(len(rows), bool)
        half[rng.permutation(len(rows))[: len(rows) // 2]] = True
        halves += [half, ~half]
    return {"queries": len(rows), **gains(trials, ScoreWeights.from_model(model), groups, halves)}


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, default="movielens-100k")
    parser.add_argument("--split", choices=["leave-one-out", "global-time"], default="leave-one-out")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="options of the run that is trained")
    parser.add_argument("--runs", nargs="+", default=[], metavar="RUN DATA", help="finished runs and their data")
    parser.add_argument("--queries", type=int, default=3000, help="most validation queries of a run")
    parser.add_argument("--repeats", type=int, default=3, help="how often the queries are divided")
    options = parser.parse_args()
    load_tensorflow(pool=True)  # as the commands do
    import tfrec

    tables: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        pairs = [*zip(options.runs[::2], options.runs[1::2], strict=True)]
        if not pairs:
            data = dataset(options.data, options.split, Path(folder) / "data")
            run = tfrec.train(data, Path(folder) / "run", tfrec.RunConfig().with_values(options.set))
            tables[options.data] = measure(run, data, options.queries, options.repeats)
        for number, (run, data) in enumerate(pairs):
            found = measure(tfrec.load_run(run), tfrec.load_dataset(data), options.queries, options.repeats)
            tables[f"run {number}"] = found
            print(json.dumps(found), flush=True)
    ratios = {
        f"{name}, {gate}": 1 + row["gain"] / table["one set"]
        for name, table in tables.items()
        for gate, row in table.items()
        if isinstance(row, dict)
    }
    versions = {name: version(name) for name in ("tensorflow", "numpy")}
    about = {"data": options.data, "split": options.split, "set": options.set}
    line = {"benchmark": "score_weight_gate", "ratios": ratios, "figures": about | {"runs": tables}}
    print(json.dumps(line | {"machine": machine(), "versions": versions}))


if __name__ == "__main__":
    main()
