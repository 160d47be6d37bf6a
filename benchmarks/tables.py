"""How much memory does each process need to train a large table of id vectors, alone and with two that hold the rows?

Trains a next-item model of ids alone for some steps, with drawn negatives and row-wise Adagrad, and saves a checkpoint
and the weights. Once the training process holds all rows, once `--shards` others do (`cluster.table_shards`). Item ids
follow a power law. Memory is the peak resident set of each process, from the kernel. Prints one JSON line; the ratio is
the peak of the single process by that of the largest of several: 1.67 is a share of 60%.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peers import machine

ROOT = Path(__file__).resolve().parents[1]
HISTORY = 50


class Here:
    """An actor in this process: the table of a process that is alone."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def call(self, method: str, *arguments: Any) -> Any:
        """As for `tfrec.cluster.actors.Actor`."""
        answer = getattr(self.made, method)(*arguments)
        return lambda: answer


@contextmanager
def table(rows: int, dim: int, shards: int) -> Iterator[Any]:
    """The id vectors: in this process, or in others."""
    import numpy as np

    from tfrec.config import ClusterConfig
    from tfrec.training.row_shard import RowShard
    from tfrec.training.sharded_rows import ShardedRows, sharded_rows

    if not shards:
        yield ShardedRows([Here(RowShard(0, rows, dim, 0.02))], np.array([0, rows]), dim)
    else:
        with sharded_rows(ClusterConfig(table_shards=shards), rows, dim, 0.02, 0) as held:
            yield held


def train(rows: int, dim: int, shards: int, steps: int, folder: Path) -> dict[str, Any]:
    """Trains in this process; seconds a step, and the peak memory of each process in GB."""
    import numpy as np

    from tfrec.keras import keras
    from tfrec.models import NextItemModel
    from tfrec.models.next_item.losses.candidate_sampler import CandidateSampler
    from tfrec.models.next_item.sharded_trainer import ShardedTrainer

    rng = np.random.default_rng(0)
    with table(rows, dim, shards) as held:
        model = NextItemModel(rows, 1, dim=dim, max_history=HISTORY, hosted=True)
        model.items.attach(held)
        trainer = ShardedTrainer(model, CandidateSampler("mixed", np.zeros(rows, np.int32), size=4096))
        trainer.compile(keras.optimizers.Adam(0.001, clipnorm=5.0))
        took = []
        for _ in range(steps):
            inputs, labels = batch(rng, rows)
            started = time.perf_counter()
            trainer.train_on_batch(inputs, labels)
            took.append(time.perf_counter() - started)
        held.save(folder / "epoch-1")
        model.save_weights(str(folder / "model.weights.h5"))
        held[np.arange(1)]
        others = [peak(shard.pid) for shard in held._shards] if shards else []
    return {"seconds_a_step": float(np.median(took)), "trainer_gb": peak("self"), "shards_gb": others}


def batch(rng: Any, items: int) -> tuple[dict[str, Any], Any]:
    """64 histories and what followed each of their events."""
    import numpy as np

    walks = (items * rng.random((64, HISTORY + 1)) ** 3).astype(np.int32)
    zeros = np.zeros((64, HISTORY))
    inputs = {"history_items": walks[:, :-1], "history_events": zeros.astype(np.int32)}
    return {**inputs, "history_gaps": zeros.astype(np.float32)}, walks[:, 1:]


def peak(pid: int | str) -> float:
    """Peak resident set of a process in GB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1e6 for line in lines if line.startswith("VmHWM:"))


def measured(options: argparse.Namespace, shards: int) -> dict[str, Any]:
    """The result of `train` in a new process."""
    command = [sys.executable, __file__, "--alone", str(shards), "--rows", str(options.rows)]
    command += ["--dim", str(options.dim), "--steps", str(options.steps)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000, help="items")
    parser.add_argument("--dim", type=int, default=64, help="width of an id vector")
    parser.add_argument("--shards", type=int, default=2, help="processes that hold the rows")
    parser.add_argument("--steps", type=int, default=20, help="training steps")
    parser.add_argument("--alone", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.alone is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(train(options.rows, options.dim, options.alone, options.steps, Path(folder))))
        return
    one, several = measured(options, 0), measured(options, options.shards)
    largest = max(several["trainer_gb"], *several["shards_gb"])
    figures = {"rows": options.rows, "dim": options.dim, "one_process": one, "several": several}
    figures["share"] = round(largest / one["trainer_gb"], 3)
    ratios = {"one_process": one["trainer_gb"] / largest}
    print(json.dumps({"benchmark": "tables", "ratios": ratios, "figures": figures, "machine": machine()}))


if __name__ == "__main__":
    main()
