"""How fast, how small and how good are compressed encoders, beside their teacher and sentence-transformers?

Compresses MiniLM for Amazon Scientific in $TFREC_BENCH_DATA (else for MovieLens-100K) in each of the ways of `--to`,
and measures texts a second, tokenising included: the compressed encoders in this process, sentence-transformers in one
of its own (see encode.py), in turns. NDCG@10 is that of the untrained text recommender on validation queries. With
`--trained SEEDS`, next-item models are trained with the teacher and with the first of `--to`, and tested; with
`--served`, one is exported, its size and its latencies are measured. Prints one JSON line; a ratio above 1 means that
tfrec is faster than sentence-transformers.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from encode import Contestant, instructions, peers_python
from peers import data_folder, machine

WAYS = ("static", "static+vocabulary+int8", "layers=3", "ffn=0.5", "heads=0.5", "vocabulary", "bfloat16", "int8")
TEXTS = 1000
LEAST_SECONDS = 0.25  # texts are repeated until an encoder takes as long in a turn


def prepared(name: str, place: Path) -> Any:
    """The prepared data: of a data set of $TFREC_BENCH_DATA, or of MovieLens-100K without it."""
    import tfrec

    folder = data_folder(name)
    if folder is None:
        from tfrec.data.datasets.movielens import read_movielens_100k
        from tfrec.downloads import movielens_100k_folder

        return tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), place / "data", split="leave-one-out")
    return tfrec.prepare(folder / "events.parquet", folder / "items.parquet", place / "data", split="leave-one-out")


def compress(dataset: Any, ways: list[str], place: Path) -> dict[str, dict[str, Any]]:
    """Way to figures: its card in short, and the minutes it took with the teacher's vectors at hand."""
    import tfrec

    figures: dict[str, dict[str, Any]] = {}
    for way in ways:
        started = time.perf_counter()
        out = tfrec.compress_encoder("minilm-l6", dataset, place / "encoders" / way, way)
        card = json.loads((out / "card.json").read_text())
        figures[way] = {
            "minutes": round((time.perf_counter() - started) / 60, 2),
            "megabytes": round(card["bytes"] / 1e6, 1),
            **{part: {key: _short(card[part][key]) for key in KEYS} for part in ("catalogue", "new_texts")},
        }
    return figures


KEYS = ("cosine", "neighbour_overlap", "ndcg@10", "teacher_ndcg@10", "kept", "queries")


def _short(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def rates(dataset: Any, ways: list[str], place: Path, repeats: int, peers: str | None) -> dict[str, float]:
    """Texts a second of the teacher, the compressed encoders, and sentence-transformers: medians over turns."""
    from tfrec.downloads import minilm_folder
    from tfrec.encoders import load_encoder

    texts = [dataset.texts[row] for row in np.random.default_rng(0).permutation(dataset.num_items)[:TEXTS]]
    (place / "texts.json").write_text(json.dumps(texts))
    peer = Contestant(peers_python(peers), "sentence_transformers", place, str(minilm_folder()))
    ours = {"minilm-l6": load_encoder("minilm-l6"), **{way: load_encoder(place / "encoders" / way) for way in ways}}
    seconds: dict[str, list[float]] = {name: [] for name in ours}
    times = {}
    for name, encoder in ours.items():
        encoder.encode(texts)  # traces its graphs
        times[name] = max(1, int(LEAST_SECONDS / _seconds(encoder, texts)))
    for _ in range(repeats):
        peer.turn()
        for name, encoder in ours.items():
            seconds[name].append(_seconds(encoder, texts * times[name]) / times[name])
    peer.process.communicate()
    turns = {"sentence_transformers": peer.seconds, **seconds}
    return {name: len(texts) / statistics.median(each) for name, each in turns.items()}


def _seconds(encoder: Any, texts: list[str]) -> float:
    started = time.perf_counter()
    encoder.encode(texts)
    return time.perf_counter() - started


def speed_of_zeros() -> dict[str, float]:
    """How much faster a dense product becomes when most weights are 0: why unstructured sparsity is left out."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    inputs = tf.constant(rng.normal(size=(1024, 384)), tf.float32)
    kernel = rng.normal(size=(384, 1536)).astype(np.float32)
    kernels = {share: tf.constant(np.where(rng.random(kernel.shape) < share, 0, kernel)) for share in (0.0, 0.5, 0.9)}
    seconds: dict[float, list[float]] = {share: [] for share in kernels}
    for _ in range(101):  # in turns, as other work comes and goes
        for share, weights in kernels.items():
            started = time.perf_counter()
            tf.matmul(inputs, weights).numpy()
            seconds[share].append(time.perf_counter() - started)
    medians = {share: statistics.median(each[1:]) for share, each in seconds.items()}
    return {f"{share:.0%} zeros": round(medians[0.0] / medians[share], 2) for share in (0.5, 0.9)}


def served(dataset: Any, encoder: Path, place: Path, seconds: float = 10.0) -> dict[str, float]:
    """Size of an export with the encoder, and latencies of a request of ten events by ids and by texts.

    The model is trained for one epoch: neither depends on how good it is.
    """
    import tensorflow as tf
    from serve_timing import in_turns, summary

    import tfrec

    run = tfrec.train(dataset, place / "run", {"encoder.name": str(encoder), "training.epochs": 1})
    version = tfrec.export(run, place / "saved_models" / "compressed")
    signatures = tf.saved_model.load(str(version)).signatures

    def call(name: str, **given: list[str]) -> Any:
        specs = signatures[name].structured_input_signature[1]
        rows = {key: (given.get(key, []) + [""] * spec.shape[1])[: spec.shape[1]] for key, spec in specs.items()}
        tensors = {key: tf.constant([row]) for key, row in rows.items()}
        return lambda: signatures[name](**tensors)["item_ids"].numpy()

    rows = np.random.default_rng(0).permutation(dataset.num_items)[:10]
    calls = {
        "recommend": call("recommend", history_item_ids=[dataset.item_ids[row] for row in rows]),
        "recommend_from_text": call("recommend_from_text", history_texts=[dataset.texts[row] for row in rows]),
    }
    timings = {name: summary(each) for name, each in in_turns(calls, seconds).items()}
    megabytes = sum(path.stat().st_size for path in Path(version).rglob("*") if path.is_file()) / 1e6
    figures = {f"{name}_{key}": round(value, 2) for name, each in timings.items() for key, value in each.items()}
    ratio = timings["recommend_from_text"]["p99_ms"] / timings["recommend"]["p99_ms"]
    return {"export_megabytes": round(megabytes, 1), **figures, "p99_text_to_ids": round(ratio, 2)}


def trained(dataset: Any, encoder: Path, seeds: int, place: Path, recipe: Path | None) -> list[dict[str, Any]]:
    """Test NDCG@10 of next-item models with the teacher's vectors and with the student's, paired by user."""
    from tfrec.workflows.compare_encoders import compare_encoders

    names = ["minilm-l6", str(encoder)]
    table = compare_encoders(dataset, names, split="test", runs=place / "runs", seeds=range(seeds), config=recipe)
    return [{**row, "encoder": Path(row["encoder"]).name} for row in table.to_dicts()]


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="amazon_scientific", help="data set in $TFREC_BENCH_DATA")
    parser.add_argument("--to", nargs="+", default=list(WAYS), help="ways to compress")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--trained", type=int, default=0, help="seeds of trained models; 0 for none")
    parser.add_argument("--served", action="store_true", help="also export with the first of --to, and time requests")
    parser.add_argument("--config", type=Path, help="configuration of the trained models")
    parser.add_argument("--peers", help="path of a Python with the peers")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        dataset = prepared(options.data, place)
        figures = compress(dataset, options.to, place)
        rate = rates(dataset, options.to, place, options.repeats, options.peers)
        first, extra = place / "encoders" / options.to[0], {}
        if options.served:
            extra["served"] = served(dataset, first, place)
        if options.trained:
            extra["trained"] = trained(dataset, first, options.trained, place, options.config)
    print(json.dumps(summary(options.data, figures, rate, extra)), file=sys.stdout)


def summary(data: str, figures: dict[str, Any], rate: dict[str, float], extra: dict[str, Any]) -> dict[str, Any]:
    """The JSON line."""
    from importlib.metadata import version

    theirs, teacher = rate["sentence_transformers"], rate["minilm-l6"]
    ours = {name: value for name, value in rate.items() if name != "sentence_transformers"}
    return {
        "benchmark": "compress",
        "ratios": {name: round(value / theirs, 2) for name, value in ours.items()},
        "figures": {
            "data": data,
            "texts_per_s": {name: round(value, 1) for name, value in rate.items()},
            "times_the_teacher": {name: round(value / teacher, 2) for name, value in ours.items()},
            "ways": figures,
            "dense_product_with_zeros": speed_of_zeros(),
            **extra,
        },
        "machine": {**machine(), "instructions": instructions()},
        "versions": {name: version(name) for name in ("tensorflow", "tensorflow-text", "numpy")},
    }


if __name__ == "__main__":
    main()
