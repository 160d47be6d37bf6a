"""What does each part of the model contribute, and does an augmentation help?

Trains the complete model with its defaults, then a variant for each row with one change: a part switched off, or an
augmentation or the contrastive loss switched on. Prints validation NDCG@10 and recall@10 over the full catalogue, a
JSON line for each row and seed. `--config` takes the options of the complete model from a file, as of
`benchmarks/recipes`. With `--seconds` all rows train for the same seconds of the processor, with a learning rate that
falls with this time, and the newest weights are measured. With `--out FILE` the lines are also appended to a file, and
rows found there are not trained again. Rows that would not end within `--minutes` are left out and named, for another
call. The test split is used only with `--test`. Rows are compared with the complete model of the same seeds, paired by
user. The last line is one JSON object; a ratio above 1 means that the complete model is better than the row.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peers import data_folder, machine
from quality import DATA, FOLDERS, dataset
from timed_fit import fit_by_time

SET = "training.augmentation."
ROWS: dict[str, list[str]] = {
    "complete": [],
    "no-neighbours": ["model.neighbours=0"],
    "no-text-neighbours": ["model.text_neighbours=0"],
    "no-memory": ["model.neighbours=0", "model.text_neighbours=0"],
    "no-repeats": ["model.repeat_bias=false"],
    "no-repeat-kinds": ["model.repeat_kinds=false"],  # equal to complete where there is only one behaviour
    "no-neighbours-no-repeats": ["model.neighbours=0", "model.repeat_bias=false"],
    "no-memory-no-repeats": ["model.neighbours=0", "model.text_neighbours=0", "model.repeat_bias=false"],
    "no-popularity": ["model.popular=0"],
    "plain-popularity": ["model.popularity_half_life=null"],  # equal to complete but in splits by time
    "text-only": ["model.use_id=false"],
    "id-only": ["model.use_text=false"],
    "no-transformer": ["model.layers=0"],
    "gated-block": ["model.block=gated"],
    "two-gated-blocks": ["model.block=gated", "model.layers=2"],
    "transformer-block": ["model.block=transformer"],
    **{f"layers-{count}": [f"model.layers={count}"] for count in (1, 2, 3)},
    **{f"history-{count}": [f"model.max_history={count}"] for count in (50, 100)},
    **{f"width-{width}": [f"model.dim={width}"] for width in (64, 128, 256)},
    "no-memory-in-loss": ["training.memory_in_loss=false"],
    "sampled-softmax": ["training.negatives=uniform", "training.sample=512"],
    "in-batch-softmax": ["training.negatives=in-batch"],
    "gbce": ["training.negatives=uniform", "training.sample=512", "training.loss=gbce"],
    "whole-catalogue": ["training.negatives=all"],
    "no-item-dropout": ["model.item_dropout=0"],
    "no-balance": ["training.balance=false"],
    "averaging": ["training.ema=0.99"],
    "crop": [f"{SET}crop=0.5"],
    "drop": [f"{SET}drop=0.1"],
    "mask": [f"{SET}mask=0.1"],
    "substitute": [f"{SET}substitute=0.1"],
    "reorder": [f"{SET}reorder=0.5"],
    "words": [f"{SET}words=0.3"],
    "contrastive": ["training.contrastive=0.1"],
}


def select_rows(config: Any, names: list[str] | None) -> dict[str, list[str]]:
    """The rows with these names (None: all) that change the configuration; always the complete model, first."""
    selected = [name for name in ROWS if name == "complete" or not names or name in names]
    return {name: ROWS[name] for name in selected if name == "complete" or config.with_values(ROWS[name]) != config}


def measure(model: Any, data: Any, part: str, exclude_seen: bool) -> tuple[dict[str, float], np.ndarray]:
    """NDCG@10 and recall@10 of one part of the split, and the NDCG@10 of each user."""
    from tfrec.evaluation import evaluate_ranking
    from tfrec.models.next_item.scorer import NextItemScorer

    result = evaluate_ranking(
        NextItemScorer(model),
        data.queries(part),
        num_items=data.num_items,
        exclude_seen=exclude_seen,
        ks=(10,),
        bootstrap=0,
        keep_predictions=0,
    )
    metrics = {f"{part}_{name}": round(result.metrics[name], 6) for name in ("ndcg@10", "recall@10")}
    return metrics, result.per_user["ndcg@10"].to_numpy()


class RowTrainer:
    """Trains and measures rows on one data set, whose texts are encoded once."""

    def __init__(self, data: Any, config: Any, test: bool, processor_seconds: float | None = None) -> None:
        from tfrec.encoders import load_encoder
        from tfrec.models.shared.item_features import item_features, text_vectors_of

        self.data, self.test, self.processor_seconds = data, test, processor_seconds
        self.encoder = load_encoder(config.encoder.name)
        self.features = item_features(data, text_vectors_of(data.texts, self.encoder, config))

    def run(self, config: Any) -> dict[str, Any]:
        """Metrics, seconds, epochs and the validation NDCG@10 of each user, for one configuration."""
        started, begun = time.perf_counter(), time.process_time()
        model, length = self.fit(config) if self.processor_seconds is None else self.fit_by_time(config)
        length |= {"fit_seconds": round(time.perf_counter() - started, 1)}
        length |= {"fit_processor_seconds": round(time.process_time() - begun, 1)}
        masked = config.evaluation.exclude_seen
        metrics, per_user = measure(model, self.data, "valid", masked)
        if self.test:
            metrics |= measure(model, self.data, "test", masked)[0]
        per_user = [round(float(value), 4) for value in per_user]
        return {**metrics, **length, "per_user": per_user}

    def fit(self, config: Any) -> tuple[Any, dict[str, float]]:
        """The model of a whole fit, and its epochs."""
        from tfrec.models.next_item.fit import fit_next_item
        from tfrec.models.shared.item_features import shortened_features

        features = self.features if config.model.use_text else None
        shortened = shortened_features(self.data, self.encoder, config, features)
        with tempfile.TemporaryDirectory() as folder:
            fitted = fit_next_item(self.data, features, config, workdir=Path(folder), shortened=shortened)
        return fitted.model, {"epochs": len(fitted.history)}

    def fit_by_time(self, config: Any) -> tuple[Any, dict[str, float]]:
        """The model after the given seconds of the processor, and its epochs and steps."""
        from tfrec.models.next_item.score_weights.choice import choose_score_weights

        features = self.features if config.model.use_text else None
        model, length = fit_by_time(self.data, features, config, self.processor_seconds)
        if config.training.balance:
            choose_score_weights(model, self.data, config)
        return model, length


def finished_rows(out: Path | None, about: dict[str, Any]) -> dict[tuple[str, int], dict[str, Any]]:
    """Rows in the file `out` with the same data and options, by name and seed."""
    lines = out.read_text(encoding="utf-8").splitlines() if out is not None and out.is_file() else []
    parsed = [json.loads(line) for line in lines]
    return {(line["row"], line["seed"]): line for line in parsed if line["about"] == about}


def main() -> None:
    """Parses the command line, trains the rows, and prints a line for each and the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow
    from tfrec.config import RunConfig
    from tfrec.version import __version__

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, default="movielens-100k")
    parser.add_argument("--split", choices=["leave-one-out", "global-time"], default="leave-one-out")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument(
        "--rows",
        nargs="+",
        choices=list(ROWS),
        help="rows to train; default: all. The complete model is always trained",
    )
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="options that are set in every row")
    parser.add_argument("--config", type=Path, help="options of the complete model, in place of the defaults")
    parser.add_argument("--seconds", type=float, help="seconds of the processor for which each row trains")
    parser.add_argument("--out", type=Path, help="file that lines are appended to; rows in it are not trained again")
    parser.add_argument("--minutes", type=float, default=18.0, help="time limit; no row is begun that would exceed it")
    parser.add_argument("--test", action="store_true", help="also measure the test split")
    options = parser.parse_args()
    load_tensorflow(pool=True)  # as the commands do
    config = (RunConfig.load(options.config) if options.config else RunConfig()).with_values(options.set)
    rows = select_rows(config, options.rows)
    used = options.data if options.data not in FOLDERS or data_folder(FOLDERS[options.data]) else "movielens-100k"
    about = {"data": used, "split": options.split, "set": options.set, "test": options.test}
    about |= {"config": options.config.name} if options.config else {}
    about |= {"processor_seconds": options.seconds} if options.seconds else {}
    done = finished_rows(options.out, about)
    cells = [(name, seed) for seed in options.seeds for name in rows]
    trainer: RowTrainer | None = None
    started, longest = time.perf_counter(), 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name, seed in cells:
            begun = time.perf_counter()
            if (name, seed) not in done and begun - started + longest > 60 * options.minutes:
                continue
            if (name, seed) not in done:
                if trainer is None:
                    data = dataset(options.data, options.split, Path(folder) / "data")
                    trainer = RowTrainer(data, config, options.test, options.seconds)
                result = trainer.run(config.with_values([*rows[name], f"training.seed={seed}"]))
                done[name, seed] = {"row": name, "seed": seed, **result, "about": about}
                if options.out is not None:
                    with open(options.out, "a", encoding="utf-8") as file:
                        file.write(json.dumps(done[name, seed]) + "\n")
                longest = max(longest, time.perf_counter() - begun)
            line = {key: value for key, value in done[name, seed].items() if key not in ("per_user", "about")}
            print(json.dumps(line), flush=True)
    whole = [name for name in rows if all((name, seed) in done for seed in options.seeds)]
    if "complete" not in whole:
        raise SystemExit("There was no time for the complete model. Pass more --minutes, or pass --out and call again.")
    table = {name: summary([done[name, seed] for seed in options.seeds], done, rows[name]) for name in whole}
    best = table["complete"]["valid_ndcg@10"]
    ratios = {name: best / max(row["valid_ndcg@10"], 1e-9) for name, row in table.items() if name != "complete"}
    figures = {**about, "seeds": options.seeds, "rows": table, "left_out": [name for name in rows if name not in whole]}
    versions = {"tfrec": __version__, **{name: version(name) for name in ("tensorflow", "numpy")}}
    print(
        json.dumps(
            {"benchmark": "ablation", "ratios": ratios, "figures": figures, "machine": machine(), "versions": versions}
        )
    )
    sys.stdout.flush()


def summary(lines: list[dict[str, Any]], done: dict[tuple[str, int], dict[str, Any]], values: list[str]) -> Any:
    """Means over the seeds, and the difference of the validation NDCG@10 to the complete model.

    The differences of a user are first averaged over the seeds; mean and standard error are then over users.
    """
    names = [name for name in lines[0] if name.startswith(("valid_", "test_", "fit_")) or name == "epochs"]
    means = {name: float(np.mean([line[name] for line in lines])) for name in names}
    differences = [np.subtract(line["per_user"], done["complete", line["seed"]]["per_user"]) for line in lines]
    user = np.mean(differences, axis=0)
    error = float(user.std(ddof=1) / np.sqrt(len(user))) if len(user) > 1 else float("nan")
    return {"set": values, **means, "difference": float(user.mean()), "standard_error": error}


if __name__ == "__main__":
    main()
