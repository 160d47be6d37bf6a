"""Do the promises about files hold when a process is killed, the disk is full, or two processes write at once?

Each trial is a copy of a small shop, in which one command that writes is disturbed:

- killed, at a random instant or before one of its changes to the file system, chosen at random;
- on a full disk: one of its writes fails, and so do those after it (from Python by an audit hook, from native code by a
  limit on the size of a file);
- beside a second process that runs the same command on the same output.

Then every output must be the old one or the new one, whole; nothing else may have changed; the same command must go
through, and leave no temporary file. Each broken promise is a fault. A trial is a process that forks once tfrec is
imported, so that an import is paid for once. Prints one JSON line with trials, kills, and faults by kind; the exit code
is 1 if there are any. There is no peer, so there are no ratios.
"""

from __future__ import annotations

import argparse
import collections
import importlib
import json
import os
import pkgutil
import platform
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from faults_process import Disturbance, Process, in_child
from faults_shop import COMMANDS, FOREIGN, SETUP, damage, digest, leftovers, names, write_shop

ROOT = Path(__file__).resolve().parents[1]


@dataclass
class Undisturbed:
    """What a command does when it is left alone."""

    seconds: float
    changes: int
    files: set[tuple[str, ...]] = field(default_factory=set)
    """The files of each output, before and after."""
    digests: set[str] = field(default_factory=set)
    """Hashes of each output, before and after, where the same input gives the same bytes."""


class Trials:
    """The trials of some commands on copies of a shop."""

    def __init__(self, work: Path, commands: Sequence[str]) -> None:
        self.work, self.shop, self.commands = work, work / "shop", commands
        with_encoder = any(COMMANDS[name].steps > 4 for name in commands)
        in_child(lambda: write_shop(self.shop, with_encoder))
        for line in SETUP[: max(COMMANDS[name].steps for name in commands)]:
            code, output = Process(line, self.shop).end()
            if code:
                raise SystemExit(f"tfrec {line} failed:\n{output}")
        self.alone = {name: self._measure(name) for name in commands}

    def _copy(self) -> Path:
        return Path(shutil.copytree(self.shop, tempfile.mkdtemp(dir=self.work) + "/shop"))

    def _outputs(self, name: str, shop: Path) -> dict[str, Path]:
        return {str(p.relative_to(shop)): p for pattern in COMMANDS[name].outputs for p in sorted(shop.glob(pattern))}

    def _measure(self, name: str) -> Undisturbed:
        shop = self._copy()
        started = time.monotonic()
        code, output = Process(COMMANDS[name].line, shop).end()
        if code not in COMMANDS[name].codes:
            raise SystemExit(f"tfrec {COMMANDS[name].line} failed:\n{output}")
        alone = Undisturbed(time.monotonic() - started, int(output.rpartition("changes=")[2]))
        for place in (self.shop, shop):
            for path in self._outputs(name, place).values():
                alone.files.add(tuple(names(path)))
                alone.digests |= {digest(path)} if COMMANDS[name].is_exact else set()
        shutil.rmtree(shop.parent)
        return alone

    def kill(self, name: str, rng: random.Random) -> list[str]:
        """Faults after a kill."""
        alone = self.alone[name]
        if rng.random() < 0.5:
            how = Disturbance(kill_at=rng.randrange(alone.changes))
        else:
            how = Disturbance(kill_after=rng.uniform(0, alone.seconds))
        shop = self._copy()
        Process(COMMANDS[name].line, shop, how).end()
        return _told(self._faults(name, shop, resume=rng.random() < 0.5), name, how)

    def fill(self, name: str, rng: random.Random) -> list[str]:
        """Faults after a full disk."""
        if rng.random() < 0.3:
            how = Disturbance(largest_file=rng.choice([0, 100, 1000, 10_000]))
        else:
            how = Disturbance(full_at=rng.randrange(self.alone[name].changes))
        shop = self._copy()
        code, output = Process(COMMANDS[name].line, shop, how).end()
        # A write that may fail, as of a record for TensorBoard, stops no command: success is as good as a refusal.
        wrong = [] if code in (2, *COMMANDS[name].codes) else [f"exit code: {code} on a full disk: {output[-300:]}"]
        return _told(wrong + self._faults(name, shop, resume=rng.random() < 0.5), name, how)

    def pair(self, name: str, rng: random.Random) -> list[str]:
        """Faults of two at once."""
        shop, before = self._copy(), len(self._outputs(name, self.shop))
        first = Process(COMMANDS[name].line, shop)
        time.sleep(rng.choice([0.0, rng.uniform(0, self.alone[name].seconds)]))
        codes = sorted(each.end()[0] for each in (first, Process(COMMANDS[name].line, shop)))
        succeeded = sum(code in COMMANDS[name].codes for code in codes)
        wrong = (
            [] if succeeded and {*codes} <= {2, 4, *COMMANDS[name].codes} else [f"exit code: {codes} of two at once"]
        )
        if name in ("export", "index") and len(self._outputs(name, shop)) != before + 2:
            wrong.append("lost: two exports at once made no two versions")
        return _told(wrong + self._faults(name, shop, resume=False), name, "two at once")

    def _faults(self, name: str, shop: Path, resume: bool) -> list[str]:
        """The promises that are broken, now and after the command has run again."""
        faults = self._not_whole(name, shop) + self._changed(name, shop)
        line = COMMANDS[name].line
        if name == "train" and resume and (shop / "run.partial" / "config.yaml").is_file():
            line += " --resume"
        code, output = Process(line, shop).end()
        if code not in COMMANDS[name].codes:
            faults.append(f"next run: exit code {code}: {output[-500:]}")
        else:
            faults += self._not_whole(name, shop) + self._changed(name, shop)
            faults += [f"left over: {path}" for path in leftovers(shop)]
        shutil.rmtree(shop.parent)
        return faults

    def _not_whole(self, name: str, shop: Path) -> list[str]:
        found = self._outputs(name, shop)
        aside = {p.name[1:].rpartition(".old-")[0] for p in shop.rglob(".*.old-*")}
        missing = [o for o in self._outputs(name, self.shop) if o not in found and Path(o).name not in aside]
        alone = self.alone[name]
        partly = [o for o, path in found.items() if tuple(names(path)) not in alone.files]
        partly += [o for o, path in found.items() if alone.digests and digest(path) not in alone.digests]
        broken = [wrong for path in found.values() if (wrong := damage(path))]
        return [f"not whole: gone {missing}, partly {partly}, broken {broken}"] if missing or partly or broken else []

    def _changed(self, name: str, shop: Path) -> list[str]:
        """Inputs, versions that were there and foreign things; retraining may delete its own old versions."""
        keep = [*FOREIGN, "events.csv", "items.csv", "more.csv"]
        keep += [o for o in ("data", "run", "served/1") if o not in COMMANDS[name].outputs]
        there = [o for o in keep if (self.shop / o).exists()]
        changed = [o for o in there if not (shop / o).exists() or digest(shop / o) != digest(self.shop / o)]
        return [f"changed: {changed}"] if changed else []


def _told(faults: list[str], name: str, how: object) -> list[str]:
    return [f"{fault} ({name}, {how})" for fault in faults]


KINDS: dict[str, Callable[[Trials, str, random.Random], list[str]]] = {
    "kills": Trials.kill,
    "full_disks": Trials.fill,
    "two_at_once": Trials.pair,
}


def plan(commands: Sequence[str], kills: int, rng: random.Random) -> list[tuple[str, str]]:
    """Kind and command of each trial: the kills by share, a full disk for each fifth and two at once for each tenth."""
    chosen = []
    for kind, number in (("kills", kills), ("full_disks", kills // 5), ("two_at_once", kills // 10)):
        cycle = [name for name in commands for _ in range(COMMANDS[name].share)]
        rng.shuffle(cycle)
        chosen += [(kind, cycle[i % len(cycle)]) for i in range(number)]
    rng.shuffle(chosen)
    return chosen


def run(trials: Trials, planned: Sequence[tuple[str, str]], seed: int, jobs: int, end: float) -> list[dict[str, Any]]:
    """Does the trials in `jobs` processes, but begins none after the time `end`, and returns their records."""

    def worker(number: int) -> None:
        with open(trials.work / f"records-{number}", "w", encoding="utf-8") as records:
            for at in range(number, len(planned), jobs):
                if time.monotonic() > end:
                    return
                kind, name = planned[at]
                faults = KINDS[kind](trials, name, random.Random(f"{seed}-{at}"))
                for fault in faults:
                    print(fault, file=sys.stderr, flush=True)
                print(json.dumps({"kind": kind, "command": name, "faults": faults}), file=records, flush=True)

    pids = []
    for number in range(jobs):
        if (pid := os.fork()) == 0:
            in_child(partial(worker, number))
            os._exit(0)
        pids.append(pid)
    if any(os.waitpid(pid, 0)[1] for pid in pids):
        raise SystemExit("A worker failed; see above.")
    return [
        json.loads(line) for file in sorted(trials.work.glob("records-*")) for line in file.read_text().splitlines()
    ]


def preload(commands: Sequence[str]) -> None:
    """Imports what the commands need, but starts no thread of TensorFlow or Polars: a fork would not have it."""
    sys.path.insert(0, str(ROOT))
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    rooms, packages = ["tfrec.cli", "tfrec.data"], []
    if {*commands} - {"prepare"}:
        rooms += [
            "tfrec.models",
            "tfrec.runs",
            "tfrec.serving.exporting",
            "tfrec.serving.modules",
            "tfrec.workflows.retrain",
        ]
        packages = ["tensorboard.plugins.projector", "tensorflow_text", "tensorflow_hub"]
    for room in rooms:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)
    for name in packages:  # after tfrec, which chooses Keras 2
        importlib.import_module(name)


def main() -> None:
    """Parses the command line, runs, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kills", type=int, default=100, help="kills; a fifth of full disks and a tenth of pairs come to them"
    )
    parser.add_argument("--commands", nargs="+", choices=COMMANDS, default=list(COMMANDS), help="which are disturbed")
    parser.add_argument("--jobs", type=int, default=min(4, len(os.sched_getaffinity(0))), help="trials at a time")
    parser.add_argument("--minutes", type=float, default=18.0, help="when to begin no more trials")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the choices; it is printed")
    options = parser.parse_args()
    preload(options.commands)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        trials = Trials(Path(work), options.commands)
        planned = plan(options.commands, options.kills, random.Random(options.seed))
        records = run(trials, planned, options.seed, options.jobs, started + 60 * options.minutes)
    faults = [fault for record in records for fault in record["faults"]]
    by_kind = collections.Counter(fault.partition(":")[0] for fault in faults)
    figures = {
        "trials": len(records), "planned": len(planned),
        **{kind: sum(record["kind"] == kind for record in records) for kind in KINDS},
        "by_command": dict(collections.Counter(record["command"] for record in records)),
        "faults": len(faults), "faults_by_kind": dict(by_kind), "first_faults": faults[:5],
        "seconds": round(time.monotonic() - started), "seed": options.seed,
    }  # fmt: skip
    versions = {name: metadata.version(name) for name in ("tensorflow", "polars")}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()[0]}
    print(
        json.dumps({"benchmark": "faults", "ratios": {}, "figures": figures, "machine": machine, "versions": versions})
    )
    if faults:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
