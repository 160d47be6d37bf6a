"""How much of an ensemble's gain is left in one model that learns from it (`training.teachers`)?

Trains the default model on `--teachers` seeds, measures their ensemble (the mean of their probabilities) by full
ranking, and trains the same model on another seed without them and with them as teachers. Everything is measured on
validation and once on the test split. `--home` keeps the runs, and those found there are not trained again. Prints one
JSON line; the ratio is NDCG@10 on the test split, taught over untaught, and differences are paired by user, with the
standard error of their mean.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine
from quality import DATA, dataset

SPLITS = ("valid", "test")


class Ensemble:
    """The mean of the probabilities of several models, as a `Scorer`."""

    name = "ensemble"

    def __init__(self, scorers: list[Any]) -> None:
        self._scorers, self.num_items = scorers, scorers[0].num_items

    def scores(self, histories: Any, rows: np.ndarray) -> np.ndarray:
        """The logarithms of the mean probabilities, float32 `[len(rows), num_items]`."""
        total = np.zeros((len(rows), self.num_items))
        for scorer in self._scorers:
            scores = scorer.scores(histories, rows).astype(np.float64)
            shares = np.exp(scores - scores.max(axis=1, keepdims=True))
            total += shares / shares.sum(axis=1, keepdims=True)
        return np.log(np.maximum(total, 1e-300)).astype(np.float32)


def trained(data: Any, home: Path, name: str, config: Any) -> tuple[Any, float]:
    """The run `name`, trained unless it is there, and the seconds of its fit."""
    from tfrec.runs import Run, train

    run = Run(home / name) if (home / name).is_dir() else train(data, home / name, config)
    return run, float(run.manifest["timings"]["fit_s"])


def ndcg(scorer: Any, data: Any) -> dict[str, np.ndarray]:
    """NDCG@10 of each user of the splits."""
    from tfrec.evaluation import evaluate_ranking

    found = {}
    for split in SPLITS:
        report = evaluate_ranking(scorer, data.queries(split), num_items=scorer.num_items, ks=(10,), bootstrap=0)
        found[split] = report.per_user["ndcg@10"].to_numpy()
    return found


def measure(options: argparse.Namespace, home: Path) -> dict[str, Any]:
    """The figures: NDCG@10 by model and split, the paired difference, and the seconds of the fits."""
    from tfrec.config import RunConfig
    from tfrec.models.next_item.scorer import NextItemScorer

    data = dataset(options.data, options.split, home / f"data-{time.time_ns()}")
    config = RunConfig().with_values(options.set)
    seeds = range(1, options.teachers + 1)
    teachers = [trained(data, home, f"seed-{seed}", config.with_values({"training.seed": seed}))[0] for seed in seeds]
    paths = {"training.teachers": [str(run.path) for run in teachers], "training.teachers_weight": options.weight}
    untaught, seconds = trained(data, home, "untaught", config)
    taught, longer = trained(data, home, f"taught-{options.weight}", config.with_values(paths))
    scorers = [NextItemScorer(run.model) for run in teachers]
    values = {f"seed {seed}": ndcg(scorer, data) for seed, scorer in zip(seeds, scorers, strict=True)}
    values["ensemble"] = ndcg(Ensemble(scorers), data)
    values |= {
        name: ndcg(NextItemScorer(run.model), data) for name, run in (("untaught", untaught), ("taught", taught))
    }
    gain = {split: values["taught"][split] - values["untaught"][split] for split in SPLITS}
    return {
        "data": options.data,
        "split": options.split,
        "weight": options.weight,
        "ndcg@10": {name: {split: float(each[split].mean()) for split in SPLITS} for name, each in values.items()},
        "gain": {
            split: [float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)] for split, each in gain.items()
        },
        "fit_seconds": {"untaught": seconds, "taught": longer},
    }


def main() -> None:
    """Parses the command line, trains, measures and prints the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, default="movielens-100k")
    parser.add_argument("--split", choices=["leave-one-out", "global-time"], default="leave-one-out")
    parser.add_argument("--teachers", type=int, default=3, help="number of seeds in the ensemble")
    parser.add_argument("--weight", type=float, default=0.5, help="training.teachers_weight")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="options of every training")
    parser.add_argument("--home", type=Path, help="folder that keeps the runs")
    options = parser.parse_args()
    load_tensorflow(pool=True)  # as the commands do
    with tempfile.TemporaryDirectory() as folder:
        home = options.home or Path(folder)
        home.mkdir(parents=True, exist_ok=True)
        figures = measure(options, home)
    values = figures["ndcg@10"]
    ratio = values["taught"]["test"] / values["untaught"]["test"]
    print(json.dumps({"benchmark": "teachers", "ratios": {"taught": ratio}, "figures": figures, "machine": machine()}))


if __name__ == "__main__":
    main()
