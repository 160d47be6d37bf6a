"""How much faster than pandas is `tfrec.data.prepare` for the same result, and how much memory does it take?

Both read the same Parquet log (tfrec.data.datasets.synthetic_log), drop invalid rows and exact duplicates, sort, split
at the 80% and 90% quantiles of time, and write sequences, catalogue and splits. Each run is a process of its own, so
that peak memory can be measured, and imports are not timed. tfrec is also timed on logs of other sizes, to show how
time and memory grow. Prints one JSON line; a ratio above 1 means that tfrec is faster.
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
from pathlib import Path

import numpy as np
import polars as pl

KINDS = ["view", "cart", "purchase"]


def with_tfrec(source: Path, out: Path) -> float:
    """Seconds to prepare with tfrec."""
    from tfrec.data import prepare

    started = time.perf_counter()
    options = {"data.ties": "file"}  # as a stable sort in pandas leaves them
    prepare(source / "events.parquet", source / "items.parquet", out, split="global-time", config=options, force=True)
    return time.perf_counter() - started


def with_pandas(source: Path, out: Path) -> float:
    """Seconds to prepare with careful pandas code."""
    import pandas as pd

    started = time.perf_counter()
    events = pd.read_parquet(source / "events.parquet")
    items = pd.read_parquet(source / "items.parquet")
    for name in ("user_id", "item_id"):
        events = events[events[name].notna() & (events[name].str.strip() != "")]
    events = events[events["timestamp"].notna()]
    events = events.drop_duplicates()
    events = events.sort_values(["user_id", "timestamp"], kind="stable")
    known = items["item_id"].tolist()
    ids = known + sorted(set(events["item_id"]) - set(known))
    events["items"] = events["item_id"].map({item: i for i, item in enumerate(ids)})
    events["events"] = events["event"].map({kind: i for i, kind in enumerate(KINDS)})
    events["user"] = events.groupby("user_id", sort=True).ngroup()
    events["timestamps"] = events["timestamp"] * 1_000_000
    cuts = events["timestamps"].quantile([0.8, 0.9], interpolation="higher").tolist()
    (out / "splits").mkdir(parents=True, exist_ok=True)
    columns = ["items", "events", "timestamps"]
    events.groupby("user_id", sort=True)[columns].agg(list).reset_index().to_parquet(out / "sequences.parquet")
    train = events[events["timestamps"] < cuts[0]]
    train.groupby("user").size().rename("history_length").reset_index().to_parquet(out / "splits" / "train.parquet")
    counts = train["items"].value_counts().reindex(range(len(ids)), fill_value=0)
    items.set_index("item_id").reindex(ids).reset_index().assign(train_count=counts).to_parquet(out / "items.parquet")
    first = events.groupby("items")["timestamps"].min()
    for name, begin, end in (("valid", cuts[0], cuts[1]), ("test", cuts[1], float("inf"))):
        inside = events[(events["timestamps"] >= begin) & (events["timestamps"] < end)]
        inside = inside.drop_duplicates(["user", "items"])
        cold = inside["items"].map(first) >= begin
        lists = {
            "target_items": inside[~cold].groupby("user")["items"].agg(list),
            "cold_target_items": inside[cold].groupby("user")["items"].agg(list),
        }
        before = events[events["timestamps"] < begin].groupby("user").size()
        table = pd.DataFrame(lists).sort_index()
        table["history_length"] = before.reindex(table.index, fill_value=0)
        table.reset_index().to_parquet(out / "splits" / f"{name}.parquet")
    return time.perf_counter() - started


def run(who: str, source: Path, out: Path) -> dict[str, float]:
    """Seconds and peak memory (GB) of one run in a process of its own."""
    command = [sys.executable, __file__, "--run", who, "--source", str(source), "--out", str(out)]
    root = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment)
    if finished.returncode:
        raise SystemExit(f"{who} failed:\n{finished.stderr}")
    result: dict[str, float] = json.loads(finished.stdout.splitlines()[-1])
    return result


def require_equal(ours: Path, theirs: Path) -> None:
    """Exits unless both folders hold the same sequences, training counts and splits."""
    columns = {
        "sequences": ["user_id", "items", "events", "timestamps"],
        "items": ["item_id", "train_count"],
        "splits/train": ["user", "history_length"],
        "splits/valid": ["user", "history_length", "target_items", "cold_target_items"],
        "splits/test": ["user", "history_length", "target_items", "cold_target_items"],
    }
    for name, names in columns.items():
        frames = [pl.read_parquet(folder / f"{name}.parquet", columns=names) for folder in (ours, theirs)]
        a, b = (frame.select(names).select(*map(comparable, frame.select(names).iter_columns())) for frame in frames)
        if not a.equals(b):
            raise SystemExit(f"The results differ in {name}.")


def comparable(column: pl.Series) -> pl.Series:
    """The column with all integers as int64 and missing lists as empty lists."""
    if column.null_count() == len(column):  # pandas gives such a column no list type
        return pl.Series(column.name, [[]] * len(column), pl.List(pl.Int64))
    if isinstance(column.dtype, pl.List):
        return column.cast(pl.List(pl.Int64)).fill_null([])
    return column.cast(pl.Int64) if column.dtype.is_integer() else column.cast(pl.String)


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=10_000_000, help="events of the log")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, in turns")
    sizes = [1_000_000, 3_000_000, 50_000_000]
    parser.add_argument(
        "--growth", type=int, nargs="*", default=sizes, help="further log sizes, timed once and with tfrec alone"
    )
    parser.add_argument("--no-pandas", action="store_true", help="do not run pandas")
    for hidden in ("--run", "--source", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        work = {"tfrec": with_tfrec, "pandas": with_pandas}[options.run]
        seconds = work(Path(options.source), Path(options.out))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        cpu = usage.ru_utime + usage.ru_stime
        print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "gb": usage.ru_maxrss / 1e6}))
        return
    peers = ["tfrec"] if options.no_pandas else ["tfrec", "pandas"]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        generate(root / "log", options.events)
        runs: dict[str, list[dict[str, float]]] = {who: [] for who in peers}
        for _ in range(options.repeats):
            for who in peers:
                runs[who].append(run(who, root / "log", root / who))
        if not options.no_pandas:
            require_equal(root / "tfrec", root / "pandas")
        growth = {}
        for size in options.growth:
            generate(root / "log", size)
            growth[size] = run("tfrec", root / "log", root / "tfrec")
    print(json.dumps(summary(options.events, runs, growth)))


def generate(folder: Path, events: int) -> None:
    """Writes a log in a process of its own: on Linux, children inherit the peak memory of their parent."""
    code = f"from tfrec.data.datasets.synthetic_log import *; write_shop_log({str(folder)!r}, {events})"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])


def summary(
    events: int, runs: dict[str, list[dict[str, float]]], growth: dict[int, dict[str, float]]
) -> dict[str, object]:
    """The JSON line."""
    median = {who: {k: statistics.median(r[k] for r in rs) for k in rs[0]} for who, rs in runs.items()}
    sizes = dict(sorted({**growth, events: median["tfrec"]}.items()))
    figures: dict[str, object] = {
        "events": events,
        **{f"{who}_{k}": v for who, m in median.items() for k, v in m.items()},
        "growth": {n: {**row, "microseconds_an_event": row["seconds"] / n * 1e6} for n, row in sizes.items()},
    }
    ratios = {}
    if "pandas" in median:
        ratios["pandas"] = median["pandas"]["seconds"] / median["tfrec"]["seconds"]
        figures["memory_share"] = median["tfrec"]["gb"] / median["pandas"]["gb"]
        figures["equal_results"] = True
    return {
        "benchmark": "prepare",
        "ratios": ratios,
        "figures": figures,
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"python": platform.python_version(), "polars": pl.__version__, "numpy": np.__version__},
    }


if __name__ == "__main__":
    main()
