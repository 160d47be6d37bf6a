"""How many texts a second does `TextEncoder.encode` encode, compared with sentence-transformers and ONNX Runtime?

All use the weights of all-MiniLM-L6-v2, 64 tokens and the same threads; tokenising is included. The peers are installed
once into a virtual environment in the cache folder (or pass one with --peers). Each contestant is a process that has
loaded its model. They take turns, and medians over the turns are compared. Texts are titles of amazon_scientific in
$TFREC_BENCH_DATA, else of MovieLens-100K. Prints one JSON line; a ratio above 1 means that tfrec is faster.

`sentence_transformers` and `onnxruntime` compare the fastest precision of tfrec whose smallest cosine to float32 is at
least .999. `sentence_transformers_int8` is left out if the mean cosine of int8 is below .998.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
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

PEERS = ["sentence-transformers>=5", "onnxruntime>=1.20", "onnx>=1.17", "torch>=2.6", "transformers>=4.50"]
PEER_NAMES = ["torch", "sentence-transformers", "onnxruntime"]
LENGTH, BATCH = 64, 64
OURS = ("float32", "bfloat16", "int8")
THEIRS = ("sentence_transformers", "onnxruntime_plain", "onnxruntime_fused")


def tfrec_mode(precision: str) -> Callable[[list[str]], np.ndarray]:
    """tfrec in a precision."""
    from tfrec.encoders import load_encoder

    encoder = load_encoder("minilm-l6", precision=precision)
    return lambda texts: encoder.encode(texts, batch_size=BATCH, seq_length=LENGTH)


def sentence_transformers(folder: str) -> Callable[[list[str]], np.ndarray]:
    """sentence-transformers in float32, with its defaults."""
    import torch
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(os.cpu_count() or 1)
    model = SentenceTransformer(folder, device="cpu")
    model.max_seq_length = LENGTH
    return lambda texts: model.encode(texts, batch_size=BATCH, show_progress_bar=False)


def onnxruntime(folder: str, fused: bool) -> Callable[[list[str]], np.ndarray]:
    """ONNX Runtime in float32, with texts sorted by length as in tfrec."""
    import onnxruntime as ort
    import torch
    from tokenizers import BertWordPieceTokenizer
    from transformers import BertModel

    names = ["input_ids", "attention_mask", "token_type_ids"]
    path = str(Path(tempfile.mkdtemp()) / "model.onnx")
    model = BertModel.from_pretrained(folder, attn_implementation="eager").eval()

    class Plain(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, ids, mask, types):  # type: ignore[no-untyped-def]
            return self.model(input_ids=ids, attention_mask=mask, token_type_ids=types).last_hidden_state

    axes = {name: {0: "batch", 1: "length"} for name in [*names, "last_hidden_state"]}
    sample = tuple(torch.ones(2, 8, dtype=torch.int64) for _ in names)
    export_options = {"input_names": names, "output_names": ["last_hidden_state"], "dynamic_axes": axes}
    torch.onnx.export(Plain(), sample, path, **export_options, opset_version=17, dynamo=False)
    if fused:
        from onnxruntime.transformers.optimizer import optimize_model

        config = model.config
        optimised = optimize_model(path, "bert", config.num_attention_heads, config.hidden_size, opt_level=1)
        optimised.save_model_to_file(path)
    options = ort.SessionOptions()
    options.intra_op_num_threads = os.cpu_count() or 1
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    tokenizer = BertWordPieceTokenizer(str(Path(folder) / "vocab.txt"), lowercase=True)
    tokenizer.enable_truncation(LENGTH)

    def encode(texts: list[str]) -> np.ndarray:
        tokens = tokenizer.encode_batch(texts)
        order = np.argsort([len(each.ids) for each in tokens], kind="stable")
        vectors = np.empty((len(texts), model.config.hidden_size), np.float32)
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            length = len(tokens[rows[-1]].ids)
            ids, mask = np.zeros((2, len(rows), length), np.int64)
            for place, row in enumerate(rows):
                ids[place, : len(tokens[row].ids)] = tokens[row].ids
                mask[place, : len(tokens[row].ids)] = 1
            feed = dict(zip(names, (ids, mask, np.zeros_like(ids))))
            hidden = session.run(["last_hidden_state"], feed)[0]
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1)[:, None]
            vectors[rows] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return vectors

    return encode


def run_contestant(who: str, texts: list[str], folder: str, out: Path) -> None:
    """The process of a contestant: loads the model, writes its vectors, then encodes once for each line of input."""
    if who in OURS:
        encode = tfrec_mode(who)
    else:
        encode = sentence_transformers(folder) if who == THEIRS[0] else onnxruntime(folder, who.endswith("fused"))
    np.save(out, encode(texts))
    print(json.dumps({"ready": who, **(matmul_rates() if who == "float32" else {})}), flush=True)
    for _ in sys.stdin:
        started = time.perf_counter()
        encode(texts)
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)


def matmul_rates() -> dict[str, float]:
    """GFLOP/s of TensorFlow's product of two 2048 × 2048 matrices, by dtype."""
    import tensorflow as tf

    rates = {}
    for kind in (tf.float32, tf.bfloat16):
        left, right = (tf.cast(tf.random.stateless_normal([2048, 2048], [0, side]), kind) for side in (0, 1))
        seconds = []
        for _ in range(10):
            started = time.perf_counter()
            tf.cast(tf.matmul(left, right)[0, 0], tf.float32).numpy()
            seconds.append(time.perf_counter() - started)
        rates[kind.name] = 2 * 2048**3 / statistics.median(seconds) / 1e9
    return rates


class Contestant:
    """A contestant's process, and the seconds it took for each turn."""

    def __init__(self, python: str, who: str, root: Path, folder: str) -> None:
        self.out = root / f"{who}.npy"
        command = [python, __file__, "--run", who, "--texts", str(root / "texts.json"), "--folder", folder]
        command += ["--out", str(self.out)]
        environment = {**os.environ, "TOKENIZERS_PARALLELISM": "true"}
        if who in OURS:
            home = str(Path(__file__).resolve().parents[1])
            environment["PYTHONPATH"] = os.pathsep.join([home, os.environ.get("PYTHONPATH", "")])
        else:
            environment.pop("PYTHONPATH", None)
        self.log = root / f"{who}.log"
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": self.log.open("w")}
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)
        self.about = self._answer()
        self.seconds: list[float] = []

    def turn(self) -> None:
        """Lets the contestant encode all texts once."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        self.seconds.append(self._answer()["seconds"])

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict[str, float] = json.loads(line)
                return answer
        raise SystemExit(f"{self.out.stem} failed:\n{self.log.read_text()[-3000:]}")


def peers_python(given: str | None) -> str:
    """Path of a Python with the peers; their environment is made on first use."""
    if given:
        return given
    from tfrec.files import cache_dir

    place = cache_dir() / "benchmarks" / "encode"
    python = place / "bin" / "python"
    if not (place / "complete").is_file():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True, stdout=sys.stderr)
        (place / "complete").touch()
    return str(python)


def read_texts(count: int) -> tuple[str, list[str]]:
    """Name of the data set, and a seeded sample of its item texts."""
    import polars as pl

    folder = Path(os.environ.get("TFREC_BENCH_DATA", "../shared/data")) / "amazon_scientific"
    if (folder / "items.parquet").is_file():
        name, texts = folder.name, pl.read_parquet(folder / "items.parquet")["text"].to_list()
    else:
        from tfrec.downloads import movielens_100k_folder

        lines = (movielens_100k_folder() / "ml-100k.item").read_text(encoding="utf-8").splitlines()[1:]
        name, texts = "movielens-100k", [" ".join(line.split("\t")[1:]) for line in lines]
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    return name, [texts[row] for row in chosen]


def cosines(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The cosine of each row of `left` with that of `right`."""
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return (left * right).sum(1) / np.maximum(lengths, 1e-12)


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="number of texts")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--peers", help="path of a Python with the peers")
    for hidden in ("--run", "--texts", "--folder", "--out"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        run_contestant(options.run, json.loads(Path(options.texts).read_text()), options.folder, Path(options.out))
        return
    from tfrec.downloads import minilm_folder

    data, texts = read_texts(options.count)
    python, folder = peers_python(options.peers), str(minilm_folder())
    with tempfile.TemporaryDirectory() as place:
        (Path(place) / "texts.json").write_text(json.dumps(texts))
        contestants = {
            who: Contestant(sys.executable if who in OURS else python, who, Path(place), folder)
            for who in (*OURS, *THEIRS)
        }
        for _ in range(options.repeats):
            for contestant in contestants.values():
                contestant.turn()
        print(json.dumps(summary(data, texts, contestants, python)))
        for contestant in contestants.values():
            contestant.process.communicate()


def summary(data: str, texts: list[str], contestants: dict[str, Contestant], python: str) -> dict[str, object]:
    """The JSON line."""
    rate = {who: len(texts) / statistics.median(each.seconds) for who, each in contestants.items()}
    vectors = {who: np.load(each.out) for who, each in contestants.items()}
    near = {who: cosines(vectors[who], vectors["float32"]) for who in contestants}
    best = max((who for who in OURS if near[who].min() >= 0.999), key=lambda who: rate[who])
    theirs = rate["sentence_transformers"]
    ratios = {
        "sentence_transformers": rate[best] / theirs,
        "sentence_transformers_float32": rate["float32"] / theirs,
        "onnxruntime": rate[best] / max(rate["onnxruntime_plain"], rate["onnxruntime_fused"]),
    }
    if near["int8"].mean() >= 0.998:
        ratios["sentence_transformers_int8"] = rate["int8"] / theirs
    flop = flop_per_text(texts)
    matmul = {kind: contestants["float32"].about[kind] for kind in ("float32", "bfloat16")}
    code = f"from importlib.metadata import version as v; print(*map(v, {PEER_NAMES}))"
    peer_versions = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return {
        "benchmark": "encode",
        "ratios": {name: round(value, 3) for name, value in ratios.items()},
        "figures": {
            "data": data,
            "texts": len(texts),
            "best_mode": best,
            "texts_per_s": {who: round(value, 1) for who, value in rate.items()},
            "spread": {who: round(max(each.seconds) / min(each.seconds), 2) for who, each in contestants.items()},
            "smallest_cosine_to_float32": {who: round(float(value.min()), 5) for who, value in near.items()},
            "mean_cosine_to_float32": {who: round(float(value.mean()), 5) for who, value in near.items()},
            "matmul_gflop_per_s": {kind: round(value, 1) for kind, value in matmul.items()},
            "share_of_matmul_rate": {kind: round(rate[kind] * flop / 1e9 / matmul[kind], 3) for kind in matmul},
        },
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform(), "instructions": instructions()},
        "versions": {
            **{name: version(name) for name in ("tensorflow", "tf_keras", "tensorflow-text", "numpy")},
            **dict(zip(PEER_NAMES, peer_versions)),
        },
    }


def flop_per_text(texts: list[str]) -> float:
    """Floating-point operations of a text in products with weights, without those of padding."""
    from tfrec.encoders import load_encoder

    encoder = load_encoder("minilm-l6")
    shape = encoder.backbone
    tokens = encoder.inputs(texts, LENGTH)["input_mask"].numpy().sum() / len(texts)
    return float(2 * tokens * shape.layers * shape.width * (4 * shape.width + 2 * shape.inner_width))


def instructions() -> list[str]:
    """Instruction sets of the processor that speed up bfloat16 and int8."""
    path = Path("/proc/cpuinfo")
    flags = set(path.read_text().split()) if path.is_file() else set()
    return sorted(flags & {"avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8"})


if __name__ == "__main__":
    main()
