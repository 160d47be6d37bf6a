"""Does anything get lost when workers, machines and commands of a Ray cluster are killed?

Each trial prepares a log and trains on it, on a cluster of two machines that this one plays, as a user would: with
`tfrec prepare` and `tfrec train`, and when the command dies, with the same line again (`--resume` for a run that has
begun). Meanwhile `--kills-per-trial` processes are killed at random instants: a worker that has something to do, the
whole of a machine, which another replaces, or the command. In the end, the data must be those of a single process to
the byte, the run must have every epoch once, and its metrics those of a training that nobody disturbed.

Nothing in the training is random within a step, as each process would draw other numbers, and another number of
processes adds in another order. Prints a JSON line a trial, and one JSON line for all; the exit code is 1 if anything
was lost. There is no peer, so there are no ratios.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from peers import machine
from scale import family, write_log

ROOT = Path(__file__).resolve().parents[1]
TFREC = [sys.executable, "-c", "from tfrec.cli import main; main()"]
EXACT = [
    *("model.dim=8", "model.heads=1", "model.dropout=0", "model.item_dropout=0", "model.use_text=false"),
    *("training.batch_size=64", "training.learning_rate=0.0005", "training.negatives=all", "training.balance=false"),
]
CLUSTER = ["cluster.engine=ray", "cluster.workers=2", "cluster.timeout=180", "cluster.retries=20"]
KINDS = ("worker", "machine", "command")
MEASURED = ("loss", "valid_ndcg@10", "valid_recall@10")
TOLERANCE = 1e-3
"""Of metrics, relatively: gradients of several processes are added in another order than in one."""
MOST_COMMANDS = 20
PATIENCE = 900
"""Seconds that a trial may take before it counts as hanging."""


class Machines:
    """A cluster of a head that does no work, and machines with a core each."""

    def __init__(self, count: int) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        self._machines = [self._cluster.add_node(num_cpus=1) for _ in range(count)]
        self.address = str(self._cluster.address)

    def kill(self, kind: str, command: subprocess.Popen[bytes], rng: random.Random) -> bool:
        """Kills a worker, a machine or the command; False if there is none of them yet."""
        if kind == "command":
            os.killpg(command.pid, signal.SIGKILL)
        elif kind == "machine":
            lost = self._machines.pop(rng.randrange(len(self._machines)))
            self._cluster.remove_node(lost, allow_graceful=False)
            self._machines.append(self._cluster.add_node(num_cpus=1))
        elif workers := self._busy_workers():
            os.kill(rng.choice(workers), signal.SIGKILL)
        else:
            return False
        return True

    def _busy_workers(self) -> list[int]:
        """The processes that do something for the command, on the machines that work."""
        found = []
        for node in self._machines:
            for pid in family(node.all_processes["raylet"][0].process.pid):
                with suppress(OSError):
                    name = Path(f"/proc/{pid}/cmdline").read_text().split("\0")[0]
                    found += [pid] if name.startswith("ray::") and not name.endswith(("Agent", "IDLE")) else []
        return found

    def close(self) -> None:
        """Ends it."""
        self._cluster.shutdown()


@dataclass
class Trial:
    """What happened in a trial.

    Attributes:
        kills: What was killed, in order.
        commands: How many the user had to give.
        seconds: Time for all of them.
        lost: Broken promises.
    """

    kills: list[str] = field(default_factory=list)
    commands: int = 0
    seconds: float = 0.0
    lost: list[str] = field(default_factory=list)


def next_line(log: Path, folder: Path, epochs: int, cluster: list[str]) -> list[str]:
    """What is to be done next, as a user would find out: prepare, then train, or go on with what has begun."""
    if not (folder / "data").is_dir():
        given = ["--events", str(log / "events"), "--items", str(log / "items.parquet"), "--split", "leave-one-out"]
        return ["prepare", *given, "--out", str(folder / "data"), *options(cluster)]
    resume = ["--resume"] if (folder / "run.partial").is_dir() else []
    values = [f"training.epochs={epochs}", *EXACT, *cluster]
    return ["train", "--data", str(folder / "data"), "--out", str(folder / "run"), *resume, *options(values)]


def options(values: list[str]) -> list[str]:
    """The values as options of a command."""
    return [part for value in values for part in ("--set", value)]


def do_trial(
    log: Path,
    folder: Path,
    epochs: int,
    machines: Machines | None,
    planned: list[tuple[float, str]],
    rng: random.Random,
) -> Trial:
    """Prepares and trains, in one process without machines, and kills at the planned seconds."""
    cluster = [] if machines is None else [*CLUSTER, f"cluster.address={machines.address}"]
    trial, started, planned = Trial(), time.monotonic(), sorted(planned)
    folder.mkdir()
    while not (folder / "run").is_dir():
        line, trial.commands = next_line(log, folder, epochs, cluster), trial.commands + 1
        with (folder / "output").open("a") as output:
            command = subprocess.Popen([*TFREC, *line], stdout=output, stderr=output, start_new_session=True)
            while command.poll() is None:
                now = time.monotonic() - started
                if planned and now >= planned[0][0] and machines and machines.kill(planned[0][1], command, rng):
                    trial.kills.append(planned.pop(0)[1])
                if now > PATIENCE:
                    os.killpg(command.pid, signal.SIGKILL)
                time.sleep(0.05)
        if trial.commands > MOST_COMMANDS or time.monotonic() - started > PATIENCE:
            trial.lost.append(f"no end: {trial.commands} commands, {(folder / 'output').read_text()[-1000:]}")
            break
    trial.seconds = round(time.monotonic() - started, 1)
    return trial


def found_in(folder: Path) -> dict[str, Any]:
    """What must be the same whatever was killed: the prepared bytes, the rows and epochs, and the metrics."""
    from tfrec.files import folder_sha256

    with (folder / "run" / "history.csv").open() as rows:
        history = [*csv.DictReader(rows)]
    measured = [(row["epoch"], key, row[key]) for row in history for key in MEASURED if row[key]]  # "": not validated
    metrics = {f"{epoch}: {key}": float(value) for epoch, key, value in measured}
    metrics |= json.loads((folder / "run" / "metrics_valid.json").read_text())
    return {
        "bytes": folder_sha256(folder / "data"),
        "rows": json.loads((folder / "data" / "report.json").read_text())["events"]["kept"],
        "epochs": [row["epoch"] for row in history],
        "files": sorted(path.name for path in folder.iterdir()),
        "metrics": {name: value for name, value in metrics.items() if isinstance(value, int | float)},
    }


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[list[str], float]:
    """What is lost of ours in theirs, and the largest difference between metrics, relative to ours."""
    same = [name for name in ours if name == "metrics" or theirs[name] == ours[name]]
    lost = [f"{name}: {theirs[name]} instead of {ours[name]}" for name in ours if name not in same]
    if ours["metrics"].keys() != theirs["metrics"].keys():
        return [*lost, "metrics are missing"], math.inf
    apart = [abs(theirs["metrics"][name] - value) / max(abs(value), 1e-9) for name, value in ours["metrics"].items()]
    return lost, max(apart)


def main() -> int:
    """Parses the command line, does the trials, and prints the JSON lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--kills-per-trial", type=int, default=2)
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="no trial begins later")
    given = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT)
    rng, kinds = random.Random(given.seed), [KINDS[number % len(KINDS)] for number in range(given.kills)]
    rng.shuffle(kinds)
    end, trials, apart = time.monotonic() + 60 * given.minutes, list[Trial](), 0.0
    with tempfile.TemporaryDirectory() as work, closing(Machines(2)) as machines:
        log = Path(work) / "log"
        write_log(log, given.events)
        do_trial(log, Path(work) / "alone", given.epochs, None, [], rng)
        expected = found_in(Path(work) / "alone")
        undisturbed = do_trial(log, Path(work) / "undisturbed", given.epochs, machines, [], rng).seconds
        print(f"Undisturbed: {undisturbed} s", file=sys.stderr, flush=True)
        span = undisturbed
        while kinds and time.monotonic() < end:
            folder = Path(work) / f"trial-{len(trials)}"
            planned = [(rng.uniform(0, span), kinds.pop()) for _ in kinds[: given.kills_per_trial]]
            trials.append(do_trial(log, folder, given.epochs, machines, planned, rng))
            span = min(span, trials[-1].seconds)
            missed = Counter(kind for _, kind in planned) - Counter(trials[-1].kills)  # the trial ended before
            kinds = [*missed.elements(), *kinds]
            if not trials[-1].lost:
                trials[-1].lost, difference = differences(expected, found_in(folder))
                apart = max(apart, difference)
            print(json.dumps(asdict(trials[-1])), file=sys.stderr, flush=True)
            shutil.rmtree(folder)
    lost = [each for trial in trials for each in trial.lost]
    kills = [kind for trial in trials for kind in trial.kills]
    figures = {
        "kills": len(kills),
        **{kind: kills.count(kind) for kind in KINDS},
        "trials": len(trials),
        "commands": sum(trial.commands for trial in trials),
        "lost": lost,
        "largest_metric_difference": apart,
        "rows": expected["rows"],
        "seconds_undisturbed": undisturbed,
        "seconds_a_kill": sum(trial.seconds - undisturbed for trial in trials) / max(1, len(kills)),
    }
    print(json.dumps({"benchmark": "kills", "ratios": {}, "figures": figures, "machine": machine()}))
    return int(bool(lost) or apart > TOLERANCE)


if __name__ == "__main__":
    sys.exit(main())
