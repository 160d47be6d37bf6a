"""A part of `soak.py`: servers that get SIGTERM under load."""

from __future__ import annotations

import contextlib
import http.client
import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

REST_CLIENTS, GRPC_CLIENTS = 4, 2


def serve_until_stopped(folder: Path, ready: Any) -> None:
    """A server process, which sends its ports when it answers."""
    from tfrec.serving import ServerOptions, serve

    options = ServerOptions(rest_port=0, grpc_port=0)
    serve([folder], options, lambda server: ready.send((server.rest_port, server.grpc_port)))


class Clients:
    """Threads that ask without pause, each over a connection that it keeps, until the server turns them away.

    Args:
        ports: REST and gRPC port.
        length: Width of the model's input.
    """

    def __init__(self, ports: tuple[int, int], length: int) -> None:
        self.outcomes: Counter[str] = Counter()
        self.lost: list[str] = []
        self._lock = threading.Lock()
        self._row = ["xyz"] * length
        ways = [(self._rest, ports[0])] * REST_CLIENTS + [(self._grpc, ports[1])] * GRPC_CLIENTS
        self._threads = [threading.Thread(target=way, args=(port,)) for way, port in ways]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        """Waits until all were turned away."""
        for thread in self._threads:
            thread.join()

    def _count(self, outcome: str, problem: str = "") -> None:
        with self._lock:
            self.outcomes[outcome] += 1
            if problem:
                self.lost.append(problem)

    def _rest(self, port: int) -> None:
        body = json.dumps({"inputs": {"ids": [self._row]}})
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            while True:
                if connection.sock is None:
                    try:
                        connection.connect()
                    except ConnectionRefusedError:
                        return  # nothing was sent
                try:
                    connection.request("POST", "/v1/models/m:predict", body)
                    answer = connection.getresponse()
                    total = json.loads(answer.read())["outputs"]["total"] if answer.status == 200 else None
                except (OSError, http.client.HTTPException) as error:
                    self._count("lost", f"REST: {error!r}")
                    return
                if answer.status == 503:
                    self._count("refused")
                elif total == [3.0 * len(self._row)]:
                    self._count("answered")
                else:
                    self._count("lost", f"REST: {answer.status} {total}")

    def _grpc(self, port: int) -> None:
        import grpc
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

        request = predict_pb2.PredictRequest()
        request.model_spec.name = "m"
        request.inputs["ids"].CopyFrom(tf.make_tensor_proto([self._row]))
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
            while True:
                try:
                    total = tf.make_ndarray(stub.Predict(request, timeout=30).outputs["total"]).tolist()
                except grpc.RpcError as error:
                    # UNAVAILABLE says that the server did not take the call, but for connections that broke.
                    broken = any(word in error.details() for word in ("Socket closed", "reset", "Broken pipe"))
                    turned_away = error.code() is grpc.StatusCode.UNAVAILABLE and not broken
                    if not turned_away:
                        self._count("lost", f"gRPC: {error.code()} {error.details()}")
                    elif "connect" not in error.details():
                        self._count("refused")
                    return
                self._count("answered" if total == [3.0 * len(self._row)] else "lost")


def until(condition: Callable[[], bool], seconds: float = 120) -> None:
    """Returns once a condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("The server did not answer, or did not stop.")
        time.sleep(0.001)


def stops(folder: Path, length: int, number: int, requests: int) -> dict[str, object]:
    """The figures of stopping servers of a model, one after the other, while clients ask."""
    rng, outcomes, lost, seconds, codes = random.Random(0), Counter(), [], [], Counter()
    os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
    context = multiprocessing.get_context("forkserver")  # processes that have imported TensorFlow already
    context.set_forkserver_preload(["tfrec.serving.local.server"])
    for _ in range(number):
        ours, theirs = context.Pipe()
        process = context.Process(target=serve_until_stopped, args=(folder, theirs))
        process.start()
        clients = Clients(ours.recv(), length)
        enough = requests / number * rng.uniform(0.8, 1.2)
        until(lambda clients=clients, enough=enough: sum(clients.outcomes.values()) >= enough)
        time.sleep(rng.uniform(0, 0.01))
        started = time.monotonic()
        process.terminate()
        clients.join()
        process.join(60)
        seconds.append(time.monotonic() - started)
        codes[process.exitcode] += 1
        outcomes += clients.outcomes
        lost += clients.lost
    return {
        "stops": number, "stop_requests": sum(outcomes.values()), "answered": outcomes["answered"],
        "refused": outcomes["refused"], "lost": len(lost), "first_lost": lost[:3], "slowest_stop_s": max(seconds),
        "exit_codes": {str(code): count for code, count in codes.items()}, "signal": signal.SIGTERM.name,
    }  # fmt: skip
