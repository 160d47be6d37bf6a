"""How fast is serving, compared with FAISS, TFRS and FastAPI?

Exact top-k: `tfrec.retrieval.TopK`, compiled as it is served, FAISS IndexFlatIP and TFRS BruteForce, for k = 10, in
catalogues of 10 thousand, 100 thousand and 1 million unit vectors of 128 dimensions, at batch sizes 1 and 32, with the
same threads, in turns. The ratio is the geometric mean over these cells of the ratios of medians.

Approximate top-k in the largest catalogue: `Int8Index` and `IvfIndex` compared with the exact scan, and with FAISS
IndexIVFFlat with the same centres. Both inverted files search as few lists (in powers of two) as reach a recall@10 of
0.98 on one half of the queries. Recall is measured on the other half, without the exact scan; times are as served,
where the exact scan is used if it is faster. The vectors form clusters of a hundred items, as vectors of texts do.
Recall in evenly distributed vectors, which have no clusters, is reported too, and so is the time with as many lists as
the titles of a shop needed ("ivf_more_probes"), whose clusters are looser.

The signature `recommend`: one request with strings through TensorFlow's C API, compared with a bare matrix product and
top-k of as many vectors (the ratio is that of the 99th percentiles; the aim is one half), and the cost of neighbours
and repeats.

Server: `tfrec serve` over REST and gRPC compared with a FastAPI app that calls the same signature without batching,
with 32 concurrent clients; servers and clients are processes of their own.

FAISS, FastAPI and uvicorn have one cached environment, which is made before anything is timed. Prints one JSON line; a
ratio above 1 means that tfrec is faster.
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
from serve_timing import DIM, K, in_turns, summary

ROOT = Path(__file__).resolve().parents[1]
PEERS = ("faiss-cpu>=1.9", "fastapi>=0.115", "uvicorn>=0.30")
CLIENTS = 32


def peers_python() -> str:
    """Path of the Python of the peers' environment, which also sees the packages of this one."""
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


def top_k(sizes: list[int], threads: int, seconds: float) -> None:
    """Prints median and 99th percentile of the milliseconds in each cell. Runs in the peers' environment."""
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
            if same < 0.99:  # rounding may swap two items
                raise SystemExit(f"The results differ: {same:.3f} of the positions agree with FAISS.")
            calls = {
                "tfrec": lambda c=ours_call, q=tensor: c(q).numpy(),
                "faiss_flat": lambda f=flat, q=query: f.search(q, K),
                "tfrs_brute_force": lambda c=theirs_call, q=tensor: c(q).numpy(),
            }
            cells[f"{size}x{batch}"] = {name: summary(v) for name, v in in_turns(calls, seconds).items()}
        del items, flat, ours, theirs
    print(json.dumps(cells))


def write_model(folder: Path, items: int) -> None:
    """Writes a version that does the work of `recommend`: looks up ids, averages the history, finds the top 100."""
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
        result = top(query, exclude=seen)
        return {"item_ids": tf.gather(module.names, result.indices), "scores": result.scores}

    spec = tf.TensorSpec([None, 50], tf.string, "history_item_ids")
    module.f = tf.function(recommend).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures=module.f)


def bare_app(folder: str, port: int) -> None:
    """Serves a SavedModel with a minimal FastAPI app."""
    import tensorflow as tf
    import uvicorn
    from fastapi import FastAPI

    model = tf.saved_model.load(folder).signatures["serving_default"]
    app = FastAPI()

    # A plain function: FastAPI runs it in its thread pool, so the model does not block the event loop.
    @app.post("/predict")
    def predict(body: dict) -> dict:  # type: ignore[type-arg]
        answer = model(tf.constant(body["inputs"]["history_item_ids"]))
        names = [[name.decode() for name in row] for row in answer["item_ids"].numpy()]
        return {"outputs": {"item_ids": names, "scores": answer["scores"].numpy().tolist()}}

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="error")


def load(kind: str, address: str, seconds: float, clients: int) -> None:
    """Runs concurrent clients in this process and prints their requests per second, p50 and p99."""
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
    """Figures of each server as its clients see them: medians over rounds in which the servers take turns."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    rounds_of: dict[str, list[dict[str, float]]] = {"rest": [], "grpc": [], "bare_fastapi": []}
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
                for kind, results in rounds_of.items():
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
    return {kind: {key: statistics.median(r[key] for r in rs) for key in rs[0]} for kind, rs in rounds_of.items()}


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
    """Geometric mean over the cells of the peer's median divided by that of tfrec."""
    logs = [math.log(cell[peer]["p50_ms"] / cell["tfrec"]["p50_ms"]) for cell in cells.values()]
    return math.exp(statistics.mean(logs))


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000], help="catalogue sizes")
    parser.add_argument("--threads", type=int, default=2, help="threads of each method")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds for each cell and each load")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of load for each server")
    parser.add_argument("--items", type=int, default=10_000, help="catalogue size of the model that is served")
    parser.add_argument("--no-servers", action="store_true", help="do not measure servers")
    for hidden in ("--write", "--bare", "--load", "--address"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--top-k", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--approximate", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--signature", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--signature-items", type=int, default=100_000, help="catalogue size of the signature `recommend`"
    )
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
            raise SystemExit(f"{flag} failed:\n{done.stderr[-3000:]}")
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
