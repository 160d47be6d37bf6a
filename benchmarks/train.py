"""How much faster than RecTools' SASRec is training, for an epoch and to the same quality?

Amazon Scientific (else MovieLens-100K), leave-one-out, width 128, length 50, batches of 256, all cores for both. The
peer trains with its softmax loss, one epoch at a time. The time of an epoch is the median of epochs 2 to 4, without
validation and tracing. The time to quality runs from the start of the fit until the peer's best validation NDCG@10 is
reached, with tracing and validation on both sides; that of the peer ends with its best epoch. Text vectors are encoded
before, and their time is reported separately. Prints one JSON line; a ratio above 1 means that tfrec is faster.

`--against COMMIT` compares the code of this checkout with that of a commit instead, with all defaults: in turn each
trains an epoch, `--repeats` times, in a process of its own. `epoch` is the commit's seconds over ours, without tracing
and validation; `peak_memory` its resident memory over ours.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from peers import REPOSITORY, data_folder, machine, peer_python, run_peer
from quality import DATA, FOLDERS, PACKAGES, dataset, hand_over

EPOCH_OF = """
import json, resource, sys, time
from pathlib import Path
import polars as pl
import tfrec
from tfrec.config import RunConfig
source, out = map(Path, sys.argv[1:])
events, items = (pl.read_parquet(source / f"{kind}.parquet") for kind in ("events", "items"))
data = tfrec.prepare(events, items, out / "data", split="leave-one-out")
config = RunConfig().with_values(["training.epochs=3", "training.validate_from=1", "training.balance=false"])
ends = []
def after_epoch(epoch, logs):
    ends.append(time.perf_counter())
    if epoch == 1:  # the first one traces, the last one validates
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"epoch_seconds": ends[1] - ends[0], "peak_mib": peak, "loss": float(logs["loss"])}))
        sys.stdout.flush()
        raise SystemExit
tfrec.train(data, out / "run", config, after_epoch=after_epoch)
"""
"""Runs with the code that `PYTHONPATH` names, so it uses only names that old commits have too."""

SAME = ["model.dim=128", "model.max_history=50", "training.batch_size=256"]


def with_tfrec(data: Any, folder: Path, layers: int, goal: float) -> dict[str, float]:
    """Seconds of an epoch, and seconds until the validation NDCG@10 reaches `goal`."""
    from tfrec.config import RunConfig
    from tfrec.encoders import EmbeddingStore, load_encoder
    from tfrec.models.next_item.fit import fit_next_item

    config = RunConfig().with_values([*SAME, f"model.layers={layers}", "training.patience=100"])
    started = time.perf_counter()
    encoder = load_encoder(config.encoder.name)
    vectors = EmbeddingStore(folder / "embeddings").encode(data.texts, encoder, seq_length=config.encoder.seq_length)
    encoded = time.perf_counter() - started
    plain = config.with_values(["training.epochs=5", "training.validate_from=1", "training.balance=false"])
    epochs = [row["seconds"] for row in fit_next_item(data, vectors, plain, workdir=folder / "plain").history]
    started = time.perf_counter()
    watched = config.with_values(["training.validate_from=0"])
    rows = fit_next_item(data, vectors, watched, workdir=folder / "watched").history
    setup = time.perf_counter() - started - sum(row["seconds"] for row in rows)
    seconds_after = list(accumulate(row["seconds"] for row in rows))
    reached = [after for after, row in zip(seconds_after, rows, strict=True) if row["valid_ndcg@10"] >= goal]
    return {
        "epoch_seconds": statistics.median(epochs[1:4]),
        "seconds_to_quality": setup + reached[0] if reached else float("nan"),
        "best_valid_ndcg@10": max(row["valid_ndcg@10"] for row in rows),
        "encode_seconds": encoded,
    }


def one_epoch(tree: Path, source: Path) -> dict[str, float]:
    """Seconds, peak memory and loss of the second epoch, with the code of a checkout."""
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20
    pool = {"TF_CPU_ALLOCATOR_USE_BFC": "1", "TF_CPU_BFC_MEM_LIMIT_IN_MB": str(whole)}  # as the commands have it
    with tempfile.TemporaryDirectory() as out:
        found = subprocess.run(
            [sys.executable, "-c", EPOCH_OF, str(source), out],
            capture_output=True,
            text=True,
            cwd=out,
            env={**os.environ, **pool, "PYTHONPATH": str(tree)},
        )
    if found.returncode or not found.stdout.strip():
        raise SystemExit(f"An epoch with the code of {tree} failed:\n{found.stderr[-4000:]}")
    return json.loads(found.stdout.strip().splitlines()[-1])


def beside_commit(name: str, commit: str, repeats: int) -> dict[str, Any]:
    """The JSON line of `--against`."""
    source = data_folder(FOLDERS[name])
    if source is None:
        raise SystemExit(f"{FOLDERS[name]} is not in $TFREC_BENCH_DATA.")
    trees, runs = {"here": REPOSITORY}, {"there": [], "here": []}
    with tempfile.TemporaryDirectory() as folder:
        trees["there"] = Path(folder) / "there"
        git = ["git", "-C", str(REPOSITORY), "worktree"]
        subprocess.run([*git, "add", "--detach", str(trees["there"]), commit], check=True, capture_output=True)
        try:
            for _ in range(repeats):
                for which, found in runs.items():
                    found.append(one_epoch(trees[which], source))
        finally:
            subprocess.run([*git, "remove", "--force", str(trees["there"])], check=True)
    median = {
        which: {key: statistics.median(run[key] for run in found) for key in found[0]} for which, found in runs.items()
    }
    ratios = {
        "epoch": median["there"]["epoch_seconds"] / median["here"]["epoch_seconds"],
        "peak_memory": median["there"]["peak_mib"] / median["here"]["peak_mib"],
    }
    figures = {"data": name, "against": commit, "repeats": repeats, **median}
    return {"benchmark": "train", "ratios": ratios, "figures": figures, "machine": machine()}


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=DATA, default="scientific")
    parser.add_argument("--against", metavar="COMMIT", help="compare with the code of a commit, not with the peer")
    parser.add_argument("--repeats", type=int, default=1, help="epochs of each side, with --against")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of the peer")
    parser.add_argument("--layers", type=int, default=1, help="transformer layers of tfrec; the peer has two")
    options = parser.parse_args()
    if options.against:
        print(json.dumps(beside_commit(options.data, options.against, options.repeats)))
        return
    python = peer_python("recommenders", PACKAGES)
    script = str(Path(__file__).with_name("quality_peers.py"))
    load_tensorflow(pool=True)  # as the commands do
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = dataset(options.data, "leave-one-out", folder / "data")
        hand_over(data, folder, split="valid")
        peer = json.loads(run_peer(python, script, "sasrec-by-epoch", str(folder), "--epochs", str(options.epochs)))
        best = int(np.argmax(peer["valid_ndcg@10"]))
        ours = with_tfrec(data, folder, options.layers, peer["valid_ndcg@10"][best])
    theirs = {
        "epoch_seconds": statistics.median(peer["epoch_seconds"][1:4]),
        "seconds_to_quality": peer["seconds"][best],
        "best_valid_ndcg@10": peer["valid_ndcg@10"][best],
    }
    print(
        json.dumps(
            {
                "benchmark": "train",
                "ratios": {
                    "rectools_sasrec": theirs["epoch_seconds"] / ours["epoch_seconds"],
                    "rectools_time_to_quality": theirs["seconds_to_quality"] / ours["seconds_to_quality"],
                },
                "figures": {"data": options.data, "tfrec": ours, "rectools": theirs},
                "machine": machine(),
                "versions": peer["versions"],
            }
        )
    )


if __name__ == "__main__":
    main()
