"""Do large requests keep small ones waiting?

`tfrec serve` answers 32 clients that ask for one row each, over and over: idle, and while two more clients ask without
pause for what is large, a body of 15 MB and a request of 1,024 rows. Both phases take turns; server and clients are
processes of their own. Prints one JSON line; the aim is that the 99th percentile of the small requests stays below 3
times its idle value, over REST and over gRPC. Exit code 1 otherwise. There is no peer, so there are no ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from serve import wait_for, write_model
from serve_timing import summary

ROOT = Path(__file__).resolve().parents[1]
CLIENTS, ROWS, LENGTH, BODY_MB = 32, 1024, 50, 15
AIM = 3.0
PORTS = {"rest": 18511, "grpc": 18510}

Call = Callable[[], Awaitable[None]]


def history(width: int) -> list[str]:
    """Twenty items, whose ids are padded to a width with characters that make them unknown, and padding."""
    return [f"item-{i}".ljust(width, "é") for i in range(20)] + [""] * (LENGTH - 20)


async def over_rest(rows: list[list[str]]) -> tuple[Call, Call]:
    """A call of the model with some histories over REST, and what closes the connections."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
    body = json.dumps({"inputs": {"history_item_ids": rows}}, ensure_ascii=False).encode()

    async def call() -> None:
        async with session.post(f"http://127.0.0.1:{PORTS['rest']}/v1/models/m:predict", data=body) as answer:
            assert answer.status == 200, await answer.text()
            await answer.read()

    return call, session.close


async def over_grpc(rows: list[list[str]]) -> tuple[Call, Call]:
    """The same, over gRPC."""
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{PORTS['grpc']}", options=options)
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "m"
    request.inputs["history_item_ids"].CopyFrom(tf.make_tensor_proto(rows))

    async def call() -> None:
        await stub.Predict(request)

    return call, channel.close


def repeat(kind: str, what: str, seconds: float) -> None:
    """Asks for `seconds` and prints the latencies; a number read from stdin starts each phase, "0" ends the process."""

    async def run() -> None:
        wide = BODY_MB * 2**20 // (ROWS * 20 * 2)  # "é" takes two bytes
        rows = {"small": [history(0)], "rows": [history(0)] * ROWS, "body": [history(wide)] * ROWS}[what]
        call, close = await (over_grpc if kind == "grpc" else over_rest)(rows)

        async def client(end: float, kept: list[float]) -> None:
            while time.perf_counter() < end:
                started = time.perf_counter()
                await call()
                kept.append(time.perf_counter() - started)

        await call()
        print("ready", flush=True)
        for line in sys.stdin:
            latencies: list[float] = []
            end = time.perf_counter() + float(line)
            await asyncio.gather(*(client(end, latencies) for _ in range(CLIENTS if what == "small" else 1)))
            print(json.dumps(latencies), flush=True)
        await close()

    asyncio.run(run())


class Clients:
    """A process of clients, which ask when they are told to."""

    def __init__(self, kind: str, what: str, environment: dict[str, str]) -> None:
        command = [sys.executable, __file__, "--kind", kind, "--repeat", what]
        self._process: Any = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._process.stdout.readline()

    def start(self, seconds: float) -> None:
        """Starts to ask."""
        self._process.stdin.write(f"{seconds}\n")
        self._process.stdin.flush()

    def latencies(self) -> list[float]:
        """Waits until all is answered."""
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def compare(kind: str, seconds: float, rounds: int, environment: dict[str, str]) -> dict[str, Any]:
    """Latencies of small requests, idle and beside large ones, in turns."""
    everyone = {what: Clients(kind, what, environment) for what in ("small", "rows", "body")}
    kept: dict[str, list[float]] = {"idle": [], "busy": [], "rows": [], "body": []}
    for _ in range(rounds):
        everyone["small"].start(seconds)
        kept["idle"] += everyone["small"].latencies()
        for clients in everyone.values():
            clients.start(seconds)
        kept["busy"] += everyone["small"].latencies()
        for what in ("rows", "body"):
            kept[what] += everyone[what].latencies()
    for clients in everyone.values():
        clients.close()
    large = {f"large_{what}_s": [round(s, 2) for s in kept[what]] for what in ("rows", "body")}
    figures = {name: {**summary(kept[name]), "requests": len(kept[name])} for name in ("idle", "busy")}
    return {**figures, **large, "p99_ratio": figures["busy"]["p99_ms"] / figures["idle"]["p99_ms"]}


def measure(items: int, seconds: float, rounds: int) -> dict[str, Any]:
    """The figures of REST and gRPC."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    code = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "m"
        write_model(folder / "1", items)
        ports = ["--rest-port", str(PORTS["rest"]), "--grpc-port", str(PORTS["grpc"])]
        server = subprocess.Popen(
            [sys.executable, "-c", code, "serve", str(folder), *ports], env=environment, stdout=subprocess.DEVNULL
        )
        try:
            wait_for(f"http://127.0.0.1:{PORTS['rest']}/v1/models/m")
            return {kind: compare(kind, seconds, rounds, environment) for kind in PORTS}
        finally:
            server.terminate()
            server.wait()


def main() -> None:
    """Parses the command line, measures, and prints the JSON line; exit code 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=20_000, help="catalogue size of the model that is served")
    parser.add_argument("--seconds", type=float, default=10.0, help="seconds of each phase")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of both phases")
    parser.add_argument("--kind", choices=list(PORTS), default="rest", help=argparse.SUPPRESS)
    parser.add_argument("--repeat", choices=["small", "rows", "body"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    if options.repeat:
        return repeat(options.kind, options.repeat, options.seconds)
    figures = measure(options.items, options.seconds, options.rounds)
    versions = {name: metadata.version(name) for name in ("tensorflow", "aiohttp", "grpcio")}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()[0]}
    report = {"benchmark": "serve_large_requests", "ratios": {}, "figures": figures, "machine": machine}
    print(json.dumps({**report, "versions": versions}))
    if any(figures[kind]["p99_ratio"] >= AIM for kind in PORTS):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
