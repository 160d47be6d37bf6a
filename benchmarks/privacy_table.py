"""What does private training cost in quality, at ε = 1, 3, 8 and without noise, beside baselines that are private too?

For each data set and ε a next-item model is trained privately, and what the run keeps (the public start, the start with
noisy counts, or the trained weights) is measured on the test split. Beside it stand two baselines that spend all of
ε on one thing: popularity on noisy counts, and co-occurrence on noisy neighbours. ε = inf is a plain training of the
same model, with all that private training switches off, for about as many steps.

Prints one JSON line for each data set and ε, with NDCG@10 where seen items are not listed, and the steps and seconds of
the training. The last line has the ratios: of a private run over the plain one, and over the better of its baselines.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine
from quality import dataset as prepared

DELTA = 1e-5
OPTIONS: dict[str, dict[str, Any]] = {
    "movielens-100k": {},
    "movielens-1m": {},
    "scientific": {},
    "beauty": {},
}
"""Options of both trainings, chosen on validation."""
PLAIN: dict[str, dict[str, Any]] = {name: {"training.epochs": 1} for name in OPTIONS}
"""Options of the plain training, so that it has about as many steps."""


class NoisyCooccurrence:
    """Scores by noisy neighbours of the events of a history, newer ones counting more."""

    def __init__(self, near: tuple[np.ndarray, np.ndarray], decay: float = 0.6) -> None:
        self.near, self.values, self.decay = *near, decay

    def scores(self, histories: Any, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        scores = np.zeros((len(rows), len(self.near)), np.float32)
        for place, row in enumerate(rows):
            items = histories.items[histories.row(row)][-50:]
            weights = self.values[items] * self.decay ** np.arange(len(items))[::-1, None]
            np.add.at(scores[place], np.maximum(self.near[items], 0), weights)
        return scores


class NoisyPopularity:
    """Scores by noisy counts."""

    def __init__(self, counts: np.ndarray) -> None:
        self.counts = counts.astype(np.float32)

    def scores(self, histories: Any, rows: np.ndarray) -> np.ndarray:
        """float32 `[len(rows), num_items]`."""
        return np.tile(self.counts, (len(rows), 1))


def ndcg(scorer: Any, data: Any, split: str) -> float:
    """NDCG@10 with seen items masked, as a private run lists them."""
    from tfrec.evaluation import evaluate_ranking

    queries = data.queries(split, "all_targets")
    result = evaluate_ranking(
        scorer, queries, num_items=data.num_items, exclude_seen=True, ks=(10,), bootstrap=0, keep_predictions=0
    )
    return float(result.metrics["ndcg@10"])


def private_baselines(data: Any, epsilon: float, split: str) -> dict[str, float]:
    """NDCG@10 of baselines that spend ε on one release."""
    from tfrec.data.impressions import taken
    from tfrec.privacy import Mechanism, noise_for
    from tfrec.privacy.noise_source import NoiseSource
    from tfrec.privacy.noisy_counts import noisy_counts
    from tfrec.privacy.noisy_neighbours import noisy_neighbours

    multiplier = noise_for(epsilon, DELTA, Mechanism("all", 1e4))
    training, source = data.training(), NoiseSource(bytes(32))
    counted = taken(training, data.event_kinds)
    near = noisy_neighbours(training, data.num_items, 64, multiplier, source, counted)
    counts = noisy_counts(training, data.num_items, multiplier, source)
    return {
        "popularity": ndcg(NoisyPopularity(counts), data, split),
        "cooccurrence": ndcg(NoisyCooccurrence(near), data, split),
    }


def cell(name: str, data: Any, epsilon: float, seed: int, split: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """One line of the table."""
    from tfrec.runs import train

    private = epsilon != float("inf")
    options = {**OPTIONS[name], "training.seed": seed, "retrieval.exclude_seen": "true", **more}
    options |= {"privacy.epsilon": epsilon, "privacy.delta": DELTA} if private else PLAIN[name]
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        run = train(data, Path(folder) / "run", options)
        seconds = time.perf_counter() - started
        figures: dict[str, Any] = {"ndcg@10": ndcg(run.scorer(data), data, split), "seconds": round(seconds)}
        if private:
            ledger = run.manifest["privacy"]
            noise = {mechanism["name"]: mechanism["multiplier"] for mechanism in ledger["mechanisms"]}
            steps = {mechanism["name"]: mechanism["times"] for mechanism in ledger["mechanisms"]}.get("gradients", 0)
            figures |= {"kept": ledger["details"]["kept"], "noise": noise, "steps": steps}
            figures |= {"batch": ledger["details"]["batch"], "people": ledger["details"]["people"]}
            figures["private_baselines"] = private_baselines(data, epsilon, split)
    return {"data": name, "epsilon": epsilon, "delta": DELTA, "seed": seed, "split": split, **figures}


def table(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """All lines of the table."""
    more = dict(value.partition("=")[::2] for value in options.set)
    for name in options.data.split(","):
        with tempfile.TemporaryDirectory() as folder:
            data = prepared(name, "leave-one-out", Path(folder) / "data")
            for epsilon in map(float, options.epsilons.split(",")):
                for seed in range(options.seeds):
                    yield cell(name, data, epsilon, seed, options.split, more)


def ratios(lines: list[dict[str, Any]]) -> dict[str, float]:
    """Means over seeds of a private NDCG@10 over the plain one, and over the better private baseline."""

    def mean(name: str, epsilon: float) -> float:
        return float(np.mean([line["ndcg@10"] for line in lines if (line["data"], line["epsilon"]) == (name, epsilon)]))

    found = {}
    for name, epsilon in dict.fromkeys((line["data"], line["epsilon"]) for line in lines if line["epsilon"] < np.inf):
        ours = [line["private_baselines"] for line in lines if (line["data"], line["epsilon"]) == (name, epsilon)]
        found[f"{name}_{epsilon:g}_over_baseline"] = mean(name, epsilon) / max(map(max, (b.values() for b in ours)))
        if any((line["data"], line["epsilon"]) == (name, np.inf) for line in lines):
            found[f"{name}_{epsilon:g}_over_plain"] = mean(name, epsilon) / mean(name, np.inf)
    return found


def main() -> None:
    """Measures, and prints the JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="movielens-100k", help=f"data sets, of {', '.join(OPTIONS)}")
    parser.add_argument("--epsilons", default="1,3,8,inf", help="values of ε")
    parser.add_argument("--seeds", type=int, default=1, help="trainings for each ε")
    parser.add_argument("--split", default="test", help="valid or test")
    parser.add_argument("--set", action="append", default=[], help="options of all trainings, section.key=value")
    options = parser.parse_args()

    import tfrec  # noqa: F401  (chooses Keras 2)

    lines = []
    for line in table(options):
        print(json.dumps(line), flush=True)
        lines.append(line)
    versions = {name: version(name) for name in ("tensorflow", "numpy", "dp-accounting")}
    last = {"figures": {"lines": lines}, "machine": machine(), "versions": versions}
    print(json.dumps({"benchmark": "privacy_table", "ratios": ratios(lines), **last}))


if __name__ == "__main__":
    main()
