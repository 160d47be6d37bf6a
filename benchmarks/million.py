"""A million items and 50 million events on one machine: time and memory of each step, and what the lists are worth.

Writes a shop log with tastes, sequences and seasons (tfrec.data.datasets.synthetic_log), then runs the commands one
after the other, each in a process of its own: prepare, train (ids alone and drawn negatives, `--epochs`, or as much of
them as `--minutes` allow), evaluate over a sample of the test users, export with an index, and check. Memory is the
peak resident set of a process, from the kernel. The ranking is full; the baselines are measured on the same users.
Prints one JSON line; the ratio is `--gigabytes` by the largest peak: 1 and more means that all fits. A step whose
figures are in `--work` already is not measured again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import machine

ROOT = Path(__file__).resolve().parents[1]
TFREC = "from tfrec.cli import main; main()"
TRAINING = [
    *("model.use_text=false", "model.dim=64", "model.heads=2", "model.max_history=20", "model.dropout=0.1"),
    *("training.negatives=mixed", "training.sample=4096", "training.balance=false"),
]
EVALUATE = """
import sys, json
from tfrec.cli.load_tensorflow import load_tensorflow
load_tensorflow(pool=True)
import tfrec
from tfrec.evaluation import evaluate_ranking
from tfrec.models.baselines.counting import Cooccurrence, Popularity
run, data, users = sys.argv[1], tfrec.load_dataset(sys.argv[2]), int(sys.argv[3])
queries = data.queries("test")
asked = queries.sample(users, 0)
run, found = tfrec.load_run(run), {}
scorers = {"model": run.scorer(data), "popularity": Popularity().fit(data), "cooccurrence": Cooccurrence().fit(data)}
for name, scorer in scorers.items():
    result = evaluate_ranking(scorer, asked, num_items=data.num_items, bootstrap=0, keep_predictions=0)
    found[name] = {key: round(float(result.metrics[key]), 4) for key in ("ndcg@10", "recall@10", "recall@50")}
print(json.dumps({**found, "users": len(asked)}))
"""


def step(name: str, command: list[str]) -> tuple[dict[str, float], str]:
    """Seconds, processor seconds and peak memory (GB) of a command, and what it printed."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", *command], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{name} failed.")
    figures = {
        "seconds": round(time.perf_counter() - started, 1),
        "processor_seconds": round(used.ru_utime + used.ru_stime, 1),
        "gb": round(used.ru_maxrss / 1e6, 2),
    }
    print(name, figures, file=sys.stderr)
    return figures, printed


def options(values: list[str]) -> list[str]:
    """The values as options of a command."""
    return [part for value in values for part in ("--set", value)]


def measure(given: argparse.Namespace, place: Path) -> dict[str, Any]:
    """Runs every step below `place` whose figures are not there yet."""
    log, data, run, models = (str(place / name) for name in ("log", "data", "run", "models"))
    write = "import sys; from tfrec.data.datasets.synthetic_log import write_shop_log as w; "
    write += "w(sys.argv[1], int(sys.argv[2]), items=int(sys.argv[3]))"
    source = ["--events", f"{log}/events.parquet", "--items", f"{log}/items.parquet"]
    training = options([*TRAINING, f"training.epochs={given.epochs}", f"training.time_budget={given.minutes}"])
    found: dict[str, Any] = {}
    for name, command in {
        "write": [write, log, str(given.events), str(given.items)],
        "prepare": [TFREC, "prepare", *source, "--out", data, "--split", "global-time"],
        "train": [TFREC, "train", "--data", data, "--out", run, *training],
        "evaluate": [EVALUATE, run, data, str(given.users)],
        "export": [TFREC, "export", "--run", run, "--out", models, *options([f"export.index={given.index}"])],
        "check": [TFREC, "check", f"{models}/1"],
    }.items():
        done = place / f"{name}.json"
        if not done.is_file():
            figures, printed = step(name, command)
            quality = {"quality": json.loads(printed.splitlines()[-1])} if name == "evaluate" else {}
            done.write_text(json.dumps({name: figures, **quality}))
        found |= json.loads(done.read_text())
    sizes = [path.stat().st_size for path in Path(models).rglob("*") if path.is_file()]
    return {**found, "export_gb": round(sum(sizes) / 1e9, 2)}


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000_000)
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=30, help="time for training")
    parser.add_argument("--users", type=int, default=1000, help="test users to rank for")
    parser.add_argument("--index", choices=["ivf", "int8", "exact"], default="ivf")
    parser.add_argument("--gigabytes", type=float, default=8, help="memory that it should fit in")
    parser.add_argument("--work", type=Path, help="folder for what the steps write (default: a temporary one)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = given.work or Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        figures = measure(given, place)
    peak = max(each["gb"] for each in figures.values() if isinstance(each, dict) and "gb" in each)
    about = {"events": given.events, "items": given.items, "peak_gb": peak, **figures}
    print(
        json.dumps(
            {
                "benchmark": "million",
                "ratios": {"memory": given.gigabytes / peak},
                "figures": about,
                "machine": machine(),
            }
        )
    )


if __name__ == "__main__":
    main()
