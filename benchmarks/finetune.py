"""How much faster is end-to-end fine-tuning than running BERT once for each user and item, and how good is the result?

Amazon Scientific (or MovieLens-100K) with MiniLM. `naive` is the joint training of BehaviourTextModel's sigmoid head
with 128 tokens, one positive and four sampled negatives for each target position, in its fastest mode: float32 or
bfloat16, with the candidate encoded by itself or as the second segment. tfrec trains a NextItemModel with
`encoder.trainable`, in the faster of float32 and bfloat16, with the default of 2,048 sequences a step. A trial turn
chooses the modes. Then both take turns, each in a process of its own, and median target positions per second are
compared.

Quality is NDCG@10 over the full catalogue for 400 test users after the same few minutes of training from the
pre-trained encoder, validation included for tfrec (three minutes, so that the whole benchmark ends within 20). Memory
is the peak of a process that takes two steps of 256 sequences. Prints one JSON line; a ratio above 1 means that tfrec
is faster.
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
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

NAIVE = ("tower-float32", "tower-bfloat16", "segment-float32", "segment-bfloat16")
OURS = ("tfrec-float32", "tfrec-bfloat16")
POSITIONS = 16  # target positions of a naive step: 80 pairs, which fit into memory
USERS = 400


def prepare_data(root: Path) -> tuple[str, Path]:
    """Name of the data set, and its folder below `root`, prepared with leave-one-out."""
    from tfrec.data import prepare

    source = Path(os.environ.get("TFREC_BENCH_DATA", "../shared/data")) / "amazon_scientific"
    if (source / "events.parquet").is_file():
        prepare(source / "events.parquet", source / "items.parquet", root / "data", split="leave-one-out")
        return source.name, root / "data"
    from tfrec.data.datasets.movielens import read_movielens_100k
    from tfrec.downloads import movielens_100k_folder

    prepare(*read_movielens_100k(movielens_100k_folder()), root / "data", split="leave-one-out")
    return "movielens-100k", root / "data"


def ours(mode: str, data: Path, size: int) -> Callable[[int], int]:
    """A function that takes a numbered step of end-to-end training and returns its number of target positions.

    Args:
        mode: One of `OURS`.
        data: Folder of the prepared data.
        size: Sequences a step; 0 for the default.
    """
    import tensorflow as tf

    from tfrec.config import RunConfig
    from tfrec.data import PreparedDataset
    from tfrec.encoders import EmbeddingStore, load_encoder
    from tfrec.models.next_item.build import build_next_item_model
    from tfrec.models.next_item.fit_end_to_end import EndToEndFit, build_microbatched_encoder

    bf16 = str(mode.endswith("bfloat16")).lower()
    config = RunConfig().with_values(
        [f"training.mixed_bfloat16={bf16}", f"training.encoder_batch_size={size or 'null'}"]
    )
    dataset, encoder = PreparedDataset.load(data), load_encoder(config.encoder.name)
    recommender = build_next_item_model(dataset, EmbeddingStore().encode(dataset.texts, encoder), config)
    fit = EndToEndFit(dataset, build_microbatched_encoder(dataset, encoder, config), recommender, config)

    def step(number: int) -> int:
        chosen = np.random.default_rng(number).choice(len(fit.windows), fit.batch_size, replace=False)
        inputs, labels = fit.windows.batch(chosen)
        fit.model.train_step(({name: tf.constant(value) for name, value in inputs.items()}, tf.constant(labels)))
        return int((labels >= 0).sum())

    return step


def naive_model(mode: str, data: Path) -> tuple[Any, Any, Any]:
    """The BehaviourTextModel, its batches and the dataset."""
    import tensorflow as tf

    from tfrec.config import RunConfig
    from tfrec.data import PreparedDataset
    from tfrec.encoders import load_encoder
    from tfrec.models.behaviour_text.input_pipeline import Batches, TrainingExamples
    from tfrec.models.behaviour_text.model import build_behaviour_text_model
    from tfrec.models.behaviour_text.optimizers import joint_optimizer

    form, kind = mode.split("-")
    if kind == "bfloat16":
        tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    settings = ["model.head=sigmoid", f"model.candidate={form}", "model.text_tokens=128", "model.negatives=4"]
    config = RunConfig().with_values([*settings, "encoder.trainable=true", "training.max_examples=null"])
    dataset = PreparedDataset.load(data)
    model = build_behaviour_text_model(load_encoder(config.encoder.name), "sigmoid", dataset.texts, config)
    model.start_sigmoid(4)
    model.compile(optimizer=joint_optimizer(model, config.training, 2000), loss="binary_crossentropy")
    examples = TrainingExamples(dataset, config)
    return model, Batches(examples, model, examples.every_pair, POSITIONS), dataset


def naive(mode: str, data: Path) -> Callable[[int], int]:
    """As `ours`, for naive training."""
    import tensorflow as tf

    model, batches, _ = naive_model(mode, data)
    epoch = batches.epoch(0)

    def step(number: int) -> int:
        inputs, labels = next(epoch)
        model.train_on_batch({name: tf.constant(each) for name, each in inputs.items()}, tf.constant(labels))
        return len(labels) // 5

    return step


def naive_quality(mode: str, data: Path, minutes: float) -> float:
    """NDCG@10 of the naive model after so many minutes of training; the form whose texts can be read apart."""
    import tensorflow as tf

    from tfrec.models.behaviour_text.heads import BEHAVIOUR, CANDIDATE
    from tfrec.models.behaviour_text.text_features import encode_texts, query_texts

    model, batches, dataset = naive_model(f"tower-{mode.split('-')[1]}", data)
    started, epoch = time.monotonic(), batches.epoch(0)
    while time.monotonic() - started < minutes * 60:
        inputs, labels = next(epoch)
        model.train_on_batch({name: tf.constant(each) for name, each in inputs.items()}, tf.constant(labels))
    queries = test_queries(dataset)
    users = encode_texts(model.behaviour_encoder, query_texts(model, queries.history, dataset), 64, "Users")
    items = encode_texts(model.item_encoder, dataset.texts, 64, "Items")
    gains = []
    for user, start in zip(users, queries.target_offsets[:-1]):
        pairs = {BEHAVIOUR: np.repeat(user[None], len(items), axis=0), CANDIDATE: items}
        scores = np.asarray(model.mlp.predict(pairs, batch_size=8192, verbose=0)).ravel()
        rank = int((scores >= scores[queries.target_items[start]]).sum())
        gains.append(1 / np.log2(rank + 1) if rank <= 10 else 0.0)
    return float(np.mean(gains))


def our_quality(mode: str, data: Path, minutes: float) -> float:
    """NDCG@10 of tfrec after the same time: a fit with the encoder frozen, then end to end."""
    from tfrec.config import RunConfig
    from tfrec.data import PreparedDataset
    from tfrec.evaluation import evaluate_ranking
    from tfrec.runs import train

    settings = ["encoder.trainable=true", "training.epochs=6", f"training.time_budget={minutes}"]
    settings += [f"training.mixed_bfloat16={str(mode.endswith('bfloat16')).lower()}", "training.encoder_epochs=1"]
    dataset = PreparedDataset.load(data)
    with tempfile.TemporaryDirectory() as place:
        run = train(dataset, Path(place) / "run", RunConfig().with_values(settings))
        result = evaluate_ranking(run.scorer(dataset), test_queries(dataset), num_items=dataset.num_items, bootstrap=0)
    return float(result.metrics["ndcg@10"])


def test_queries(dataset: Any) -> Any:
    """The test queries that both are measured with."""
    from tfrec import schema

    return dataset.queries(schema.TEST).sample(USERS, seed=0)


def run_contestant(mode: str, data: Path, size: int) -> None:
    """The process of a contestant: takes a warm-up step, then one for each line of input."""
    step = ours(mode, data, size) if mode in OURS else naive(mode, data)
    step(0)
    print(json.dumps({"ready": mode}), flush=True)
    for number, _ in enumerate(sys.stdin, start=1):
        started = time.perf_counter()
        positions = step(number)
        seconds = time.perf_counter() - started
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(json.dumps({"rate": positions / seconds, "gib": memory}), flush=True)


class Contestant:
    """A contestant's process."""

    def __init__(self, mode: str, data: Path, size: int = 0) -> None:
        self.log = data.parent / f"{mode}.log"
        command = [sys.executable, __file__, "--run", mode, "--data", str(data), "--size", str(size)]
        home = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log.open("w")}
        self.process = subprocess.Popen(command, text=True, env={**os.environ, "PYTHONPATH": path}, **pipes)
        self._answer()

    def turn(self) -> dict[str, float]:
        """Lets the contestant take a step."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit(f"A contestant failed:\n{self.log.read_text()[-3000:]}")

    def end(self) -> None:
        """Ends the process."""
        self.process.communicate()


def trial(modes: tuple[str, ...], data: Path) -> dict[str, float]:
    """The rate of two steps of each mode, one process after the other."""
    rates = {}
    for mode in modes:
        contestant = Contestant(mode, data)
        rates[mode] = max(contestant.turn()["rate"] for _ in range(2))
        contestant.end()
    return rates


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--minutes", type=float, default=3.0, help="of training, for the quality; 0 leaves it out")
    for hidden in ("--run", "--data", "--size", "--quality"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.quality:
        measure = our_quality if options.quality in OURS else naive_quality
        print(json.dumps({"ndcg": measure(options.quality, Path(options.data), options.minutes)}))
        return
    if options.run:
        run_contestant(options.run, Path(options.data), int(options.size))
        return
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(summary(*prepare_data(Path(place)), options.repeats, options.minutes)))


def summary(name: str, data: Path, repeats: int, minutes: float) -> dict[str, object]:
    """Measures speed, memory and quality, and returns the JSON line."""
    trials = {**trial(NAIVE, data), **trial(OURS, data)}
    best, peer = (max(modes, key=lambda mode: trials[mode]) for modes in (OURS, NAIVE))
    small = Contestant(best, data, 256)
    memory = max(small.turn()["gib"] for _ in range(2))
    small.end()
    both = {mode: Contestant(mode, data) for mode in (best, peer)}
    turns: dict[str, list[float]] = {mode: [] for mode in both}
    for _ in range(repeats):
        for mode, contestant in both.items():
            turns[mode].append(contestant.turn()["rate"])
    for contestant in both.values():
        contestant.end()
    rate = {mode: statistics.median(each) for mode, each in turns.items()}
    quality = {mode: quality_of(mode, data, minutes) for mode in (best, peer)} if minutes else {}
    return {
        "benchmark": "finetune",
        "ratios": {"naive": round(rate[best] / rate[peer], 2)},
        "figures": {
            "data": name,
            "positions_per_s": {mode: round(each, 1) for mode, each in rate.items()},
            "spread": {mode: round(max(each) / min(each), 2) for mode, each in turns.items()},
            "trial_positions_per_s": {mode: round(each, 1) for mode, each in trials.items()},
            "gib_at_256_sequences": round(memory, 2),
            "minutes": minutes,
            "ndcg@10": {mode: round(each, 4) for mode, each in quality.items()},
        },
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {each: version(each) for each in ("tensorflow", "tf_keras", "tensorflow-text", "numpy")},
    }


def quality_of(mode: str, data: Path, minutes: float) -> float:
    """Trains and measures in a process of its own."""
    command = [sys.executable, __file__, "--quality", mode, "--data", str(data), "--minutes", str(minutes)]
    home = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])}
    finished = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    return float(json.loads(finished.stdout.splitlines()[-1])["ndcg"])


if __name__ == "__main__":
    main()
