"""How much faster than RecTools is full-ranking evaluation of the same scores, and how much memory does it take?

22,363 users and 12,101 items (the sizes of Amazon Beauty), one to five targets for each user, and random scores that
both read block by block from one file. Both make lists of 10 and 50 and compute recall, precision, NDCG, MAP, MRR, hit
rate, novelty, popularity, serendipity and coverage; RecTools uses its `recommend_from_scores` and `calc_metrics`. tfrec
also ranks the targets among all items, with ties against the model. Each run is a process of its own, and imports are
not timed. Prints one JSON line; a ratio above 1 means that tfrec is faster.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

import numpy as np

PEER = "rectools==0.19.0"
KS = (10, 50)
BLOCK = 128
METRICS = ("recall", "precision", "map", "mrr", "hit_rate")


def write_data(folder: Path, users: int, items: int) -> None:
    """Writes scores (scores.bin), and targets and training events (data.npz)."""
    rng = np.random.default_rng(0)
    with open(folder / "scores.bin", "wb") as file:
        for start in range(0, users, BLOCK):
            rng.random((min(BLOCK, users - start), items), dtype=np.float32).tofile(file)
    counts = rng.integers(1, 6, users)
    targets = np.concatenate([rng.choice(items, n, replace=False) for n in counts]).astype(np.int32)
    events = rng.integers(2, 15, users)
    popular = (items * rng.random(events.sum()) ** 3).astype(np.int32)
    offsets, past = np.concatenate([[0], np.cumsum(counts)]), np.concatenate([[0], np.cumsum(events)])
    np.savez(folder / "data.npz", offsets=offsets, targets=targets, past=past, events=popular, items=items)


def read_scores(folder: Path, start: int, stop: int, items: int) -> np.ndarray:
    """Scores of the users from start to stop. The file is read, not mapped, as mapped pages would count as memory."""
    with open(folder / "scores.bin", "rb") as file:
        file.seek(start * items * 4)
        return np.fromfile(file, np.float32, (stop - start) * items).reshape(-1, items)


def with_tfrec(folder: Path) -> dict[str, float]:
    """Seconds and metrics of tfrec."""
    from tfrec.data.histories import Histories, Queries
    from tfrec.evaluation import evaluate_beyond, evaluate_ranking

    data = np.load(folder / "data.npz")
    items, users = int(data["items"]), len(data["offsets"]) - 1
    n = len(data["events"])
    ids = np.array([f"u{i}" for i in range(users)], dtype=object)
    zeros = np.zeros(n, np.int64)
    kinds, values = zeros.astype(np.int16), zeros.astype(np.float32)
    history = Histories(ids, data["past"], data["events"], kinds, zeros, values, np.ones(n, bool))
    queries = Queries(history, data["offsets"], data["targets"])
    train_counts = np.bincount(data["events"], minlength=items)

    class FromFile:
        name, num_items = "file", items

        def scores(self, histories: Histories, rows: np.ndarray) -> np.ndarray:
            return read_scores(folder, rows[0], rows[-1] + 1, items)

    started = time.perf_counter()
    options = {"num_items": items, "ks": KS, "bootstrap": 0, "keep_predictions": max(KS), "batch_size": BLOCK}
    result = evaluate_ranking(FromFile(), queries, **options)
    beyond = evaluate_beyond(result.predictions, train_counts=train_counts, ks=KS)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, **result.metrics, **beyond.metrics}


def with_rectools(folder: Path) -> dict[str, float]:
    """Seconds and metrics of RecTools."""
    import pandas as pd
    from rectools import Columns
    from rectools import metrics as m
    from rectools.models.utils import recommend_from_scores

    data = np.load(folder / "data.npz")
    items, users = int(data["items"]), len(data["offsets"]) - 1
    catalogue = np.arange(items)

    def frame(offsets: np.ndarray, values: np.ndarray) -> pd.DataFrame:
        rows = np.repeat(np.arange(users), np.diff(offsets))
        return pd.DataFrame({Columns.User: rows, Columns.Item: values, Columns.Weight: 1.0})

    truth, past = frame(data["offsets"], data["targets"]), frame(data["past"], data["events"])
    past = past.drop_duplicates([Columns.User, Columns.Item])
    past[Columns.Datetime] = pd.Timestamp("2024-01-01")
    started = time.perf_counter()
    lists = []
    for start in range(0, users, BLOCK):
        rows = read_scores(folder, start, min(start + BLOCK, users), items)
        lists.extend(recommend_from_scores(row, max(KS))[0] for row in rows)
    reco = pd.DataFrame(
        {
            Columns.User: np.repeat(np.arange(users), max(KS)),
            Columns.Item: np.concatenate(lists),
            Columns.Rank: np.tile(np.arange(1, max(KS) + 1), users),
        }
    )
    metrics = {}
    for k in KS:
        metrics |= {
            f"recall@{k}": m.Recall(k),
            f"precision@{k}": m.Precision(k),
            f"ndcg@{k}": m.NDCG(k),
            f"map@{k}": m.MAP(k),
            f"mrr@{k}": m.MRR(k),
            f"hit_rate@{k}": m.HitRate(k),
            f"novelty@{k}": m.MeanInvUserFreq(k),
            f"popularity@{k}": m.AvgRecPopularity(k),
            f"serendipity@{k}": m.Serendipity(k),
            f"coverage@{k}": m.CatalogCoverage(k, normalize=True),
        }
    values = m.calc_metrics(metrics, reco, interactions=truth, prev_interactions=past, catalog=catalogue)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, **{name: float(value) for name, value in values.items()}}


def run(who: str, python: str, folder: Path) -> dict[str, float]:
    """Result of a run in a process of its own, with its peak memory (GB)."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1]), "OMP_NUM_THREADS": "2"}
    command = [python, __file__, "--run", who, "--folder", str(folder)]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode:
        raise SystemExit(f"{who} failed:\n{finished.stderr}")
    result: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return result


def peer_python() -> str:
    """Path of the Python of RecTools' environment, which is made on first use."""
    home = (
        Path(os.environ.get("TFREC_CACHE") or Path.home() / ".cache" / "tfrec") / "benchmarks" / PEER.replace("=", "")
    )
    python = home / "bin" / "python"
    if not (home / "ready").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", PEER], check=True, capture_output=True)
        (home / "ready").touch()
    return str(python)


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=22_363)
    parser.add_argument("--items", type=int, default=12_101)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, in turns")
    parser.add_argument("--run", choices=["tfrec", "rectools"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        result = {"tfrec": with_tfrec, "rectools": with_rectools}[options.run](options.folder)
        print(json.dumps(result | {"gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6}))
        return
    pythons = {"tfrec": sys.executable, "rectools": peer_python()}
    runs: dict[str, list[dict[str, float]]] = {who: [] for who in pythons}
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder), options.users, options.items)
        for _ in range(options.repeats):
            for who, python in pythons.items():
                runs[who].append(run(who, python, Path(folder)))
    print(json.dumps(summary(options.users, options.items, runs)))


def summary(users: int, items: int, runs: dict[str, list[dict[str, float]]]) -> dict[str, object]:
    """The JSON line. Exits if the two differ in a metric that both define in the same way."""
    ours, theirs = runs["tfrec"][0], runs["rectools"][0]
    for name in (f"{metric}@{k}" for metric in METRICS for k in KS):
        if abs(ours[name] - theirs[name]) > 1e-6:
            raise SystemExit(f"{name} differs: {ours[name]} here, {theirs[name]} in RecTools.")
    seconds = {who: statistics.median(r["seconds"] for r in results) for who, results in runs.items()}
    memory = {who: statistics.median(r["gb"] for r in results) for who, results in runs.items()}
    return {
        "benchmark": "evaluate",
        "ratios": {"rectools": seconds["rectools"] / seconds["tfrec"]},
        "figures": {
            "users": users,
            "items": items,
            **{f"{who}_seconds": value for who, value in seconds.items()},
            **{f"{who}_gb": value for who, value in memory.items()},
            "memory_share": memory["tfrec"] / memory["rectools"],
            "equal_results": [f"{metric}@{k}" for metric in METRICS for k in KS],
        },
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "peer": PEER},
    }


if __name__ == "__main__":
    main()
