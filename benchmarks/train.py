"""How much faster than RecTools' SASRec is training, for an epoch and to the same quality?

Amazon Scientific (else MovieLens-100K), leave-one-out, width 128, length 50, batches of 256, all cores for both. The
peer trains with its softmax loss, one epoch at a time. The time of an epoch is the median of epochs 2 to 4, without
validation and tracing. The time to quality runs from the start of the fit until the peer's best validation NDCG@10 is
reached, with tracing and validation on both sides; that of the peer ends with its best epoch. Text vectors are encoded
before, and their time is reported separately. Prints one JSON line; a ratio above 1 means that tfrec is faster.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, peer_python, run_peer
from quality import PACKAGES, dataset, hand_over

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


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    from tfrec.cli.load_tensorflow import load_tensorflow

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", choices=["scientific", "beauty", "movielens-100k"], default="scientific")
    parser.add_argument("--epochs", type=int, default=12, help="epochs of the peer")
    parser.add_argument("--layers", type=int, default=1, help="transformer layers of tfrec; the peer has two")
    options = parser.parse_args()
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
