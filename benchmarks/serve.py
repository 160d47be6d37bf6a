"""How fast is what tfrec serves, beside what people use?

Top-k: `tfrec.retrieval.TopK` (exact, compiled as served) beside FAISS IndexFlatIP and TFRS BruteForce, k = 10, on
catalogues of 10 thousand, 100 thousand and 1 million unit vectors of 128 dimensions, at batch 1 and 32, with the same
threads, in turns; the ratio is the geometric mean over the cells of the medians' ratios.
Approximate top-k at the largest catalogue: `Int8Index` and `IvfIndex` beside the exact scan and FAISS IndexIVFFlat with
the same centres. Both inverted files read as few lists (doubling) as reach recall@10 of 0.98 on one half of the
queries; recall is of the other half, of the index alone; times are as served, where the exact scan steps in if it is
quicker. Vectors there stand around directions, one a hundred items, as those of texts do; what as large a share of the
lists finds among directions drawn evenly, where there is nothing to group by, is given too, and the time with as many
lists read as titles of a shop needed ("ivf_more_probes"), which stand in looser groups.
The whole `recommend` signature: batch 1, strings in and out, through TensorFlow's C API, beside a bare matmul and top-k
of as many vectors (the ratio is of the 99th percentiles; half is the aim), and what neighbours and repeats cost.
Server: `tfrec serve` over REST and gRPC beside a FastAPI app that calls the same signature without batching, at 32
concurrent clients, each server and the clients in processes of their own.

FAISS, FastAPI and uvicorn live in one cached environment, built outside the timing. Prints one JSON line; a ratio above
1 means tfrec is ahead.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import serve_parts

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("faiss-cpu>=1.9", "fastapi>=0.115", "uvicorn>=0.30")
DIM, K, CLIENTS = 128, 10, 32


def peers_python() -> str:
    """The interpreter of the peers' environment: this one's packages, and theirs."""
    sys.path.insert(0, str(ROOT))
    from tfrec.files import cache_dir

    folder = cache_dir() / "benchmarks" / "serve"
    python = folder / "bin" / "python"
    if not (folder / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        site = next((folder / "lib").glob("python*/site-packages"))
        ours = [path for path in sys.path if path.endswith("site-packages")]
        (site / "ours.pth").write_text("\n".join(ours) + "\n", encoding="utf-8")
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *PEERS], check=True)
        (folder / "ready").touch()
    return str(python)


def in_turns(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Latencies of each call, in turns for so long, after three calls each to warm up."""
    for call in calls.values():
        for _ in range(3):
            call()
    found: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(found.values()))) < 5:
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            found[name].append(time.perf_counter() - started)
    return found


def top_k(sizes: list[int], threads: int, seconds: float) -> None:
    """Prints milliseconds (median and 99th percentile) of each cell and way; runs in the peers' environment."""
    import faiss
    import numpy as np

    import tfrec  # noqa: F401
    import tensorflow as tf  # isort: skip
    import tensorflow_recommenders as tfrs

    from tfrec.retrieval import TopK

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    faiss.omp_set_num_threads(threads)
    rng = np.random.default_rng(0)
    cells = {}
    for size in sizes:
        items = rng.standard_normal((size, DIM), np.float32)
        items /= np.linalg.norm(items, axis=1, keepdims=True)
        flat = faiss.IndexFlatIP(DIM)
        flat.add(items)
        ours = TopK(K).index(items)
        theirs = tfrs.layers.factorized_top_k.BruteForce(k=K).index(items)
        spec = tf.TensorSpec([None, DIM], tf.float32)
        ours_call = tf.function(lambda q, ours=ours: ours(q).indices, input_signature=[spec])
        theirs_call = tf.function(lambda q, theirs=theirs: theirs(q)[1], input_signature=[spec])
        for batch in (1, 32):
            query = rng.standard_normal((batch, DIM), np.float32)
            tensor = tf.constant(query)
            same = (ours_call(tensor).numpy() == flat.search(query, K)[1]).mean()
            if same < 0.99:  # rounding may swap two
                raise SystemExit(f"The results differ: {same:.3f} of the places agree with FAISS.")
            calls = {
                "tfrec": lambda c=ours_call, q=tensor: c(q).numpy(),
                "faiss_flat": lambda f=flat, q=query: f.search(q, K),
                "tfrs_brute_force": lambda c=theirs_call, q=tensor: c(q).numpy(),
            }
            cells[f"{size}x{batch}"] = {name: summary(v) for name, v in in_turns(calls, seconds).items()}
        del items, flat, ours, theirs
    print(json.dumps(cells))


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {"p50_ms": 1e3 * statistics.median(ordered), "p99_ms": 1e3 * ordered[int(0.99 * (len(ordered) - 1))]}


def write_model(folder: Path, items: int) -> None:
    """A version that does what `recommend` does to a catalogue: ids in, mean of the history, top 100, ids out."""
    import numpy as np

    import tfrec  # noqa: F401
    import tensorflow as tf  # isort: skip

    from tfrec.retrieval import TopK
    from tfrec.serving.modules.string_ops import index_table

    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((items, DIM), np.float32)
    ids = [f"item-{i}" for i in range(items)]
    module = tf.Module()
    module.table, module.names = index_table(ids), tf.constant(ids)
    module.vectors, top = tf.Variable(vectors), TopK(100).index(vectors)
    module.kept = list(top.variables)

    def recommend(history_item_ids: tf.Tensor) -> dict[str, tf.Tensor]:
        seen = tf.cast(module.table.lookup(history_item_ids), tf.int32)
        known = tf.cast(seen >= 0, tf.float32)[..., None]
        query = tf.reduce_mean(tf.gather(module.vectors, tf.maximum(seen, 0)) * known, axis=1)
        found = top(query, exclude=seen)
        return {"item_ids": tf.gather(module.names, found.indices), "scores": found.scores}

    spec = tf.TensorSpec([None, 50], tf.string, "history_item_ids")
    module.f = tf.function(recommend).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures=module.f)


def bare_app(folder: str, port: int) -> None:
    """A FastAPI app as one writes it in a minute: load, call, answer."""
    import tensorflow as tf
    import uvicorn
    from fastapi import FastAPI

    model = tf.saved_model.load(folder).signatures["serving_default"]
    app = FastAPI()

    # A plain function: FastAPI runs it in its thread pool, and the model does not stop the loop.
    @app.post("/predict")
    def predict(body: dict) -> dict:  # type: ignore[type-arg]
        found = model(tf.constant(body["inputs"]["history_item_ids"]))
        names = [[name.decode() for name in row] for row in found["item_ids"].numpy()]
        return {"outputs": {"item_ids": names, "scores": found["scores"].numpy().tolist()}}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def load(kind: str, address: str, seconds: float, clients: int) -> None:
    """Prints what one process of many clients saw: requests a second, p50 and p99."""
    import asyncio

    history = [f"item-{i}" for i in range(20)] + [""] * 30

    async def rest(path: str) -> Callable[[], object]:
        import aiohttp

        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=clients))
        body = json.dumps({"inputs": {"history_item_ids": [history]}})

        async def call() -> None:
            async with session.post(address + path, data=body, headers={"Content-Type": "application/json"}) as answer:
                assert answer.status == 200, await answer.text()
                await answer.read()

        return call

    async def over_grpc() -> Callable[[], object]:
        import grpc
        import numpy as np
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        stub = prediction_service_pb2_grpc.PredictionServiceStub(grpc.aio.insecure_channel(address))
        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.inputs["history_item_ids"].CopyFrom(tf.make_tensor_proto(np.array([history])))
        return lambda: stub.Predict(request)

    async def run() -> None:
        call = await (over_grpc() if kind == "grpc" else rest("/v1/models/m:predict" if kind == "rest" else "/predict"))
        latencies: list[float] = []
        first = time.perf_counter()
        await call()
        first = time.perf_counter() - first

        async def client(end: float, kept: list[float]) -> None:
            while time.perf_counter() < end:
                started = time.perf_counter()
                await call()
                kept.append(time.perf_counter() - started)

        await asyncio.gather(*(client(time.perf_counter() + 1, []) for _ in range(clients)))
        started = time.perf_counter()
        await asyncio.gather(*(client(started + seconds, latencies) for _ in range(clients)))
        rate = len(latencies) / (time.perf_counter() - started)
        print(json.dumps({"requests_per_second": rate, **summary(latencies), "first_ms": 1e3 * first}))

    asyncio.run(run())


def measure_servers(python: str, items: int, seconds: float, rounds: int) -> dict[str, dict[str, float]]:
    """What clients saw of each server, medians over the rounds, the servers in turns."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    found: dict[str, list[dict[str, float]]] = {"rest": [], "grpc": [], "bare_fastapi": []}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "m"
        subprocess.run([python, __file__, "--write", str(folder / "1"), "--items", str(items)], check=True,
                       env=environment, stderr=subprocess.DEVNULL)  # fmt: skip
        ports = {"rest": 18501, "grpc": 18500, "bare_fastapi": 18502}
        code = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"
        serve = ["serve", str(folder), "--rest-port", "18501", "--grpc-port", "18500"]
        servers = [
            subprocess.Popen([python, "-c", code, *serve], env=environment, stdout=subprocess.DEVNULL),
            subprocess.Popen([python, __file__, "--bare", str(folder / "1"), "--port", "18502"], env=environment,
                             stderr=subprocess.DEVNULL),
        ]  # fmt: skip
        try:
            wait_for("http://127.0.0.1:18501/v1/models/m")
            wait_for("http://127.0.0.1:18502/docs")
            for _ in range(rounds):
                for kind, results in found.items():
                    host = f"127.0.0.1:{ports[kind]}"
                    address = host if kind == "grpc" else f"http://{host}"
                    command = [python, __file__, "--load", kind, "--address", address, "--seconds", str(seconds)]
                    done = subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE,
                                          stderr=subprocess.DEVNULL, text=True)  # fmt: skip
                    results.append(json.loads(done.stdout.splitlines()[-1]))
        finally:
            for server in servers:
                server.terminate()
                server.wait()
    return {kind: {key: statistics.median(r[key] for r in rs) for key in rs[0]} for kind, rs in found.items()}


def wait_for(url: str, seconds: float = 180) -> None:
    """Returns once the address answers."""
    end = time.monotonic() + seconds
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).read()
            return
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(f"{url} did not answer within {seconds} s.") from None
            time.sleep(0.2)


def ratio(cells: dict[str, dict[str, dict[str, float]]], peer: str) -> float:
    """Geometric mean over the cells of the peer's median by ours."""
    logs = [math.log(cell[peer]["p50_ms"] / cell["tfrec"]["p50_ms"]) for cell in cells.values()]
    return math.exp(statistics.mean(logs))


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="catalogues")
    parser.add_argument("--threads", type=int, default=2, help="of each way to find the top k")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each cell and each load")
    parser.add_argument("--rounds", type=int, default=3, help="loads of each server, in turns")
    parser.add_argument("--items", type=int, default=10_000, help="catalogue of the server's model")
    parser.add_argument("--no-servers", action="store_true", help="only top-k")
    for hidden in ("--write", "--bare", "--load", "--address"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--top-k", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--approximate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--signature", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--signature-items", type=int, default=100_000, help="catalogue of the whole signature")
    options = parser.parse_args()
    if options.write:
        return write_model(Path(options.write), options.items)
    if options.bare:
        return bare_app(options.bare, options.port)
    if options.load:
        return load(options.load, options.address, options.seconds, CLIENTS)
    if options.top_k:
        return top_k(options.sizes, options.threads, options.seconds)
    if options.approximate:
        return serve_parts.approximate(max(options.sizes), options.threads, options.seconds)
    if options.signature:
        return serve_parts.signature(options.signature_items, calls=max(int(20 * options.seconds), 10))
    python = peers_python()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(options.threads)}

    def part(flag: str) -> Any:
        command = [python, __file__, flag, "--sizes", *map(str, options.sizes)]
        command += ["--threads", str(options.threads), "--seconds", str(options.seconds)]
        command += ["--signature-items", str(options.signature_items)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"The part {flag} failed:\n{done.stderr[-3000:]}")
        return json.loads(done.stdout.splitlines()[-1])

    cells = part("--top-k")
    ratios = {peer: ratio(cells, peer) for peer in ("faiss_flat", "tfrs_brute_force")}
    whole = part("--signature")
    ratios["bare_matmul_p99"] = whole["bare"]["p99_ms"] / whole["plain"]["p99_ms"]
    near = part("--approximate")
    for way in ("int8", "ivf"):
        cells_of = {name: {"tfrec": cell[way], "exact": cell["exact"]} for name, cell in near["cells"].items()}
        ratios[f"exact_by_{way}"] = ratio(cells_of, "exact")
    cells_of = {name: {"tfrec": cell["ivf"], "peer": cell["faiss_ivf"]} for name, cell in near["cells"].items()}
    ratios["faiss_ivf"] = ratio(cells_of, "peer")
    figures: dict[str, object] = {"top_k": cells, "approximate": near, "recommend": whole}
    if not options.no_servers:
        servers = measure_servers(python, options.items, options.seconds, options.rounds)
        bare = servers["bare_fastapi"]["requests_per_second"]
        ratios["bare_fastapi"] = servers["rest"]["requests_per_second"] / bare
        ratios["bare_fastapi_grpc"] = servers["grpc"]["requests_per_second"] / bare
        figures["servers"] = servers
    versions = {name: metadata.version(name) for name in ("tensorflow", "tensorflow-recommenders", "numpy")}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()[0]}
    report = {"benchmark": "serve", "ratios": ratios, "figures": figures, "machine": machine, "versions": versions}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
