"""How do time and memory of `tfrec prepare` grow with the log, in one process and on Ray, and what does Ray cost?

Both prepare the same folder of Parquet files (tfrec.data.datasets.synthetic_log) with the same number of cores: one
process with so many threads, or so many workers of one core each on a cluster of this machine. The results must be the
same to the byte. Times are those of `prepare` alone, without imports and the start of the cluster; processor times are
those of all processes, which other work on the machine disturbs less. Memory is the peak of the largest process, and of
all together (proportional set size, sampled). Growth is an exponent: 1 is linear. Prints one JSON line; the ratio is
the processor time of one process by that of Ray for the largest log, 0.74 is an overhead of 35%.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from peers import machine

ROOT = Path(__file__).resolve().parents[1]
FILES = 8


def prepare_log(engine: str, workers: int, source: Path, out: Path) -> float:
    """Seconds to prepare a log, in this process ("none") or on a cluster of this machine ("ray")."""
    from contextlib import nullcontext

    from tfrec.cluster import workers_of
    from tfrec.config import ClusterConfig
    from tfrec.data import prepare

    config = {"cluster.engine": engine, "cluster.workers": workers}
    cluster = ClusterConfig(engine="ray", workers=workers)
    with workers_of(cluster) if engine == "ray" else nullcontext():
        print("begun", flush=True)
        started = time.perf_counter()
        prepare(source / "events", source / "items.parquet", out, split="global-time", config=config, force=True)
        return time.perf_counter() - started


def write_log(folder: Path, events: int) -> None:
    """A shop's log in several Parquet files, written by a process of its own."""
    code = (
        "from tfrec.data.datasets.synthetic_log import write_shop_log; import polars as pl; from pathlib import Path\n"
        f"folder = Path({str(folder)!r}); write_shop_log(folder, {events})\n"
        f"log = pl.scan_parquet(folder / 'events.parquet'); (folder / 'events').mkdir()\n"
        f"rows = -(-{events} // {FILES})\n"
        f"for n in range({FILES}): log.slice(n * rows, rows).sink_parquet(folder / 'events' / f'part-{{n}}.parquet')\n"
        "(folder / 'events.parquet').unlink()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def measured(engine: str, workers: int, source: Path, out: Path) -> dict[str, float]:
    """Seconds and peak memory in GB of one run in processes of its own."""
    command = [sys.executable, __file__, "--run", engine, "--workers", str(workers)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "POLARS_MAX_THREADS": str(workers)}
    with tempfile.TemporaryFile("w+") as said, tempfile.TemporaryFile("w+") as errors:
        running = subprocess.Popen(
            [*command, "--source", str(source), "--out", str(out)], stdout=said, stderr=errors, env=environment
        )
        largest = together = 0.0
        cpu: dict[int, float] = {}
        before: float | None = None
        while running.poll() is None:
            pids = family(running.pid)
            cpu |= {each: _cpu_seconds(each, cpu.get(each, 0.0)) for each in pids}
            said.seek(0)
            if before is None and said.read():
                before = sum(cpu.values())
            sizes = [_memory(each) for each in pids]
            largest, together = max(largest, *sizes), max(together, sum(sizes))
            time.sleep(0.1)
        said.seek(0), errors.seek(0)
        if running.returncode:
            raise SystemExit(f"{engine} failed:\n{errors.read()[-3000:]}")
        seconds = json.loads(said.read().splitlines()[-1])
    figures = {"seconds": seconds, "cpu_seconds": sum(cpu.values()) - (before or 0.0)}
    return {**figures, "largest_process_gb": largest, "all_processes_gb": together}


def family(pid: int) -> list[int]:
    """A process and all that it started, directly or not."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found = [pid]
    for each in found:
        found += [child for child, parent in parents.items() if parent == each]
    return found


def _cpu_seconds(pid: int, known: float) -> float:
    """The processor time of a process, `known` if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return known
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> float:
    """The proportional set size of a process in GB: what is shared is divided by those who share it."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1e6 for line in lines if line.startswith("Pss:")), 0.0)


def require_equal(one: Path, many: Path) -> None:
    """Exits unless both folders hold the same files."""
    from tfrec.files import folder_sha256

    if folder_sha256(one) != folder_sha256(many):
        raise SystemExit("One process and Ray prepared different bytes.")


def exponents(rows: dict[int, dict[str, float]]) -> dict[str, float]:
    """How each figure grows from the smallest log to the largest: n ** exponent."""
    small, large = min(rows), max(rows)
    if small == large:
        return {}
    growth = math.log(large / small)
    return {name: math.log(rows[large][name] / rows[small][name]) / growth for name in rows[small]}


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[2_000_000, 10_000_000], help="events of the logs")
    parser.add_argument("--workers", type=int, default=2, help="cores of both")
    for hidden in ("--run", "--source", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        print(json.dumps(prepare_log(options.run, options.workers, Path(options.source), Path(options.out))))
        return
    figures: dict[str, dict[int, dict[str, float]]] = {"none": {}, "ray": {}}
    for events in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            write_log(root / "log", events)
            for engine, rows in figures.items():
                rows[events] = measured(engine, options.workers, root / "log", root / engine)
            require_equal(root / "none", root / "ray")
        print(json.dumps({events: {engine: rows[events] for engine, rows in figures.items()}}), file=sys.stderr)
    print(json.dumps(summary(options.workers, figures["none"], figures["ray"])))


def summary(workers: int, one: dict[int, dict[str, float]], ray: dict[int, dict[str, float]]) -> dict[str, Any]:
    """The JSON line."""
    import polars as pl

    speeds = {events: one[events]["cpu_seconds"] / ray[events]["cpu_seconds"] for events in one}
    return {
        "benchmark": "scale",
        "ratios": {"one_process": speeds[max(speeds)]},
        "figures": {
            "workers": workers,
            "one_process": one,
            "ray": ray,
            "speeds": speeds,
            "exponents": {"one_process": exponents(one), "ray": exponents(ray)},
            "equal_bytes": True,
        },
        "machine": machine(),
        "versions": {"polars": pl.__version__},
    }


if __name__ == "__main__":
    main()
