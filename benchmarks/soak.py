"""Is `tfrec serve` stable under load: while versions are added and removed, and when it is stopped?

Four clients (two over REST, two over gRPC) call a small model without pause and without retries. A new version is added
every few seconds, every tenth of them corrupt, and versions that are no longer served are deleted. Prints one JSON line
with requests, errors (the aim is 0), reloads, and the resident memory of the process (which also runs the clients) at
each quarter of the run; growth is from the first quarter to the end.

Then six clients (four over REST, two over gRPC) ask servers of their own process, which get SIGTERM at a random instant
and are started again, until 50 of them have stopped and 10,000 requests were asked (`soak_stops.py`). A request that
was sent and not answered is lost (the aim is 0); one that the server turned away, so that it can be sent elsewhere, is
refused. `--stops 0` leaves this out, `--minutes 0` the first part. There is no peer, so there are no ratios.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import threading
import time
from importlib import metadata
from pathlib import Path

import soak_stops

ROOT = Path(__file__).resolve().parents[1]
LENGTH, CORRUPT_EVERY, KEPT = 20, 10, 3


def write_version(folder: Path, factor: float) -> Path:
    """Writes a version that answers the total length of a row's strings times a factor."""
    import tfrec  # noqa: F401
    import tensorflow as tf  # isort: skip

    module = tf.Module()
    module.factor = tf.Variable(factor)

    def total(ids: tf.Tensor) -> dict[str, tf.Tensor]:
        lengths = tf.cast(tf.strings.length(ids), tf.float32)
        return {"total": tf.reduce_sum(lengths, axis=1) * module.factor, "ids": ids}

    spec = tf.TensorSpec([None, LENGTH], tf.string, "ids")
    module.call = tf.function(total).get_concrete_function(spec)
    tf.saved_model.save(module, str(folder), signatures=module.call)
    return folder


def resident_mb() -> float:
    """Resident memory of this process in MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Load:
    """Clients that call servers until `stop`, with the number of requests and their errors."""

    def __init__(self, addresses: list[str]) -> None:
        self.requests, self.errors, self._stop = 0, [], threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, args=(a, i)) for i, a in enumerate(addresses)]
        for thread in self._threads:
            thread.start()

    def _run(self, address: str, seed: int) -> None:
        from tfrec.serving import Client

        client, rng = Client(address, "m", retries=0, deadline=20), random.Random(seed)
        while not self._stop.is_set():
            rows = [["x" * rng.randrange(50) for _ in range(LENGTH)] for _ in range(rng.randrange(1, 6))]
            expected = [sum(map(len, row)) for row in rows]
            try:
                got = [float(value) for value in client.predict({"ids": rows})["total"]]
                problem = "" if got in (expected, [2 * e for e in expected]) else f"expected {expected}, received {got}"
            except Exception as error:  # any exception is an error that the benchmark counts
                problem = repr(error)[:300]
            with self._lock:
                self.requests += 1
                if problem:
                    self.errors.append(problem)

    def stop(self) -> None:
        """Stops all clients and waits for them."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def soak(seconds: float, pause: float) -> dict[str, object]:
    """The figures of one run."""
    from tfrec.serving import LocalServer, ServerOptions

    with tempfile.TemporaryDirectory() as work:
        sources = [write_version(Path(work, str(factor)), factor) for factor in (1.0, 2.0)]
        folder = Path(work, "m")
        shutil.copytree(sources[0], folder / "1")
        memory, reloads, corrupt, version = [], 0, 0, 1
        options = ServerOptions(rest_port=0, grpc_port=0, poll_seconds=0.2)
        with LocalServer(folder, options=options) as server:
            load, end = Load([server.rest, server.grpc] * 2), time.monotonic() + seconds
            while time.monotonic() < end:
                time.sleep(pause)
                version += 1
                copy = folder / f".{version}"  # copied under another name, then renamed, like an export
                shutil.copytree(sources[version % 2], copy)
                if bad := version % CORRUPT_EVERY == 0:
                    (copy / "saved_model.pb").write_bytes(b"not a model")
                os.replace(copy, folder / str(version))
                corrupt, reloads = corrupt + bad, reloads + (not bad)
                shutil.rmtree(folder / str(version - KEPT), ignore_errors=True)
                memory.append(resident_mb())
            load.stop()
    quarters = [round(memory[i * (len(memory) - 1) // 4]) for i in range(5)]
    return {
        "seconds": seconds, "requests": load.requests, "errors": len(load.errors), "first_errors": load.errors[:3],
        "reloads": reloads, "corrupt_versions": corrupt, "resident_mb": quarters, "grown_mb": quarters[4] - quarters[1],
    }  # fmt: skip


def main() -> None:
    """Parses the command line, runs, and prints the JSON line; exit code 1 if there were errors."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="duration")
    parser.add_argument("--pause", type=float, default=2.0, help="seconds between new versions")
    parser.add_argument("--stops", type=int, default=50, help="servers to stop under load")
    parser.add_argument("--requests", type=int, default=10_000, help="requests to ask them")
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    figures: dict[str, object] = {"errors": 0, "lost": 0}
    if options.minutes:
        figures |= soak(60 * options.minutes, options.pause)
    if options.stops:
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work, "m")
            write_version(folder / "1", 1.0)
            figures |= soak_stops.stops(folder, LENGTH, options.stops, options.requests)
    versions = {name: metadata.version(name) for name in ("tensorflow", "aiohttp", "grpcio")}
    machine = {"cpus": os.cpu_count(), "platform": platform.platform(), "load": os.getloadavg()[0]}
    print(json.dumps({"benchmark": "soak", "ratios": {}, "figures": figures, "machine": machine, "versions": versions}))
    if figures["errors"] or figures["lost"]:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
