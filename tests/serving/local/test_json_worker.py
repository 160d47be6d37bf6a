"""Large JSON goes to another process and comes back the same."""

import asyncio
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from tfrec.serving.local.inputs import Declared, Input
from tfrec.serving.local.json_worker import LARGE_BODY, JsonWorker
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.pieces import joined
from tfrec.serving.local.status_codes import Code, RequestError

SIGNATURES = {
    "serving_default": Declared({"s": Input(np.dtype(object), (None, 2)), "x": Input(np.dtype("float32"), None)}, True)
}


@pytest.fixture(scope="module")
def worker():
    worker = JsonWorker(Limits())
    yield worker
    worker.close()


def body(rows, text="é", **more):
    return json.dumps({"instances": [{"s": [f"{text}{i}", "b"], "x": i / 7} for i in range(rows)], **more}).encode()


def read(worker, *bodies):
    async def scenario():
        return await asyncio.gather(*(worker.read(b, SIGNATURES) for b in bodies), return_exceptions=True)

    return asyncio.run(scenario())


def test_a_large_body_is_read_elsewhere_into_the_same_pieces(worker):
    ((name, row_format, pieces),) = read(worker, body(1000, "é" * 50))
    assert (name, row_format) == ("serving_default", True) and [len(p()["x"]) for p in pieces] == [16] * 62 + [8]
    whole = joined([piece() for piece in pieces])
    assert whole["s"].tolist() == [[f"{'é' * 50}{i}".encode(), b"b"] for i in range(1000)]
    assert whole["x"].dtype == np.float32
    assert np.allclose(whole["x"], np.arange(1000) / 7)


def test_a_small_body_does_not_wait_for_a_large_one(worker):
    done = []

    async def ask(data):
        await worker.read(data, SIGNATURES)
        done.append(len(data))

    async def scenario():
        await asyncio.gather(ask(body(1000, "x" * 3000)), ask(body(3)))

    asyncio.run(scenario())
    assert done == sorted(done)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[" * (LARGE_BODY + 1), "JSON Parse error"),
        (body(1, "x" * LARGE_BODY, signature_name="no"), 'Serving signature name: "no" not found'),
        (body(2000, "x" * 50), "at most 1024 rows"),
        (json.dumps({"inputs": {"s": [["x" * LARGE_BODY]], "x": [1]}}).encode(), "s: expected shape [-1, 2]"),
    ],
)
def test_a_bad_large_body_is_refused_with_its_reason(worker, data, message):
    (error,) = read(worker, data)
    assert isinstance(error, RequestError) and error.code is Code.INVALID_ARGUMENT and message in error.message


def test_a_large_answer_is_what_json_says(worker):
    numbers = np.arange(40_000, dtype=np.float32).reshape(400, 100)
    names = np.array([[b"\xff", "é".encode()]] * 400, object)
    pieces = [{"x": numbers[i : i + 16], "s": names[i : i + 16]} for i in range(0, 400, 16)]
    columns = json.loads(asyncio.run(worker.write(pieces, False)))["outputs"]
    assert columns == {"x": numbers.tolist(), "s": [["\ufffd", "é"]] * 400}
    rows = json.loads(asyncio.run(worker.write(pieces, True)))["predictions"]
    assert rows[399] == {"x": numbers[399].tolist(), "s": ["\ufffd", "é"]} and len(rows) == 400


def test_a_process_that_is_killed_fails_one_request_and_is_started_again(worker):
    read(worker, body(1000, "x" * 50))
    os.kill(worker._process.pid, signal.SIGKILL)
    worker._process.wait()
    failed, fine = read(worker, body(1000, "x" * 50), body(1000, "x" * 50))
    assert isinstance(failed, RequestError) and failed.code is Code.RESOURCE_EXHAUSTED
    assert len(fine[2]) == 63


def test_too_many_large_requests_are_refused(worker):
    outcomes = read(worker, *[body(1000, "x" * 50)] * 40)
    refused = [o.code for o in outcomes if isinstance(o, RequestError)]
    assert refused == [Code.UNAVAILABLE] * 8


def test_the_process_needs_no_tensorflow():
    code = "import tfrec.serving.local.json_worker, sys; print('tensorflow' in sys.modules, 'aiohttp' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["False", "False"], done.stderr
