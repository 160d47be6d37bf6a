"""How much faster than pandas are nested JSON lines read, and in how much memory?

The log is gzipped JSON lines, a session with its list of events a line, as some recommendation challenges publish
them. tfrec's one reader makes rows of users, items, times and kinds of it (`--as otto`); pandas reads the lines and
calls `json_normalize`. Each runs in a process of its own, so that peak memory can be measured. Prints one JSON line; a
ratio above 1 means that tfrec is faster, of the clock and of processor time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

KINDS = ("clicks", "carts", "orders")
START, MINUTE = 1_660_000_000_000, 60_000


def write_sessions(path: Path, megabytes: int) -> None:
    """Writes sessions of 2 to 30 events until they take that much space, unpacked."""
    chance, written, number = random.Random(0), 0, 0
    with gzip.open(path, "wt", compresslevel=1) as out:
        while written < megabytes * 1e6:
            start = START + 500 * number
            events = [
                {"aid": chance.randrange(200_000), "ts": start + MINUTE * place, "type": chance.choice(KINDS)}
                for place in range(chance.randint(2, 30))
            ]
            line = json.dumps({"session": number, "events": events}, separators=(",", ":")) + "\n"
            written, number = written + out.write(line), number + 1


def with_tfrec(path: Path) -> int:
    """Rows that tfrec's reader makes."""
    from tfrec.config import RunConfig
    from tfrec.data.readers import read_as, reader_named
    from tfrec.data.reading import read_input

    log = read_as(reader_named("otto"), str(path), None, RunConfig())
    given = read_input(log.events, "events", log.config.data.events, log.config.data.columns)
    columns = ["user_id", "item_id", "timestamp", "event"]
    return int(given.frame.select(columns).collect(engine="streaming").height)


def with_pandas(path: Path) -> int:
    """Rows that pandas makes."""
    import pandas as pd

    with gzip.open(path, "rt") as lines:
        sessions = [json.loads(line) for line in lines]
    return len(pd.json_normalize(sessions, "events", ["session"]))


WHO = {"tfrec": with_tfrec, "pandas": with_pandas}


def run(who: str, path: Path) -> dict[str, float]:
    """Rows, seconds, processor seconds and peak memory (GB) of one of them."""
    root = str(Path(__file__).resolve().parents[1])
    command = [sys.executable, __file__, "--run", who, "--path", str(path)]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "PYTHONPATH": root}
    )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, help="size of the log, unpacked")
    parser.add_argument("--run", choices=WHO, help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        started = time.perf_counter()
        rows = WHO[options.run](options.path)
        used, seconds = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter() - started
        cpu = used.ru_utime + used.ru_stime
        print(json.dumps({"rows": rows, "seconds": seconds, "cpu_seconds": cpu, "gb": used.ru_maxrss / 1e6}))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sessions.jsonl.gz"
        write = f"from read_nested import *; write_sessions(Path({str(path)!r}), {options.megabytes})"
        subprocess.run([sys.executable, "-c", write], check=True, cwd=Path(__file__).parent)  # children keep a peak
        figures = {who: run(who, path) for who in WHO}
    ours, theirs = figures["tfrec"], figures["pandas"]
    if ours["rows"] != theirs["rows"]:
        raise SystemExit(f"Expected the same rows, received {ours['rows']} and {theirs['rows']}.")
    ratios = {name: theirs[name] / ours[name] for name in ("seconds", "cpu_seconds")}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()[0]}
    versions = {name: metadata.version(name) for name in ("polars", "pandas")}
    share = {"memory_share": ours["gb"] / theirs["gb"], "megabytes": options.megabytes}
    report = {"benchmark": "read_nested", "ratios": {"pandas": ratios}, "figures": {**figures, **share}}
    print(json.dumps({**report, "machine": machine, "versions": versions}))


if __name__ == "__main__":
    main()
