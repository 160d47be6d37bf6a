"""The server over time: versions are added, removed and broken; requests queue up and finish before shutdown."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving import Client, LocalServer, ServerOptions, label_versions, serve
from tfrec.serving.local.limits import Limits

ONE = {"x": [[1.0, 1.0]], "s": ["a"]}
ROOT = Path(__file__).resolve().parents[3]


def options(**more):
    return ServerOptions(rest_port=0, grpc_port=0, poll_seconds=0.05, **more)


def place(folder, toy, number, name=None):
    """A version appears whole, as exports do."""
    work = folder / f".{number}.tmp"
    shutil.copytree(toy(number), work)
    os.replace(work, folder / str(name or number))


def factor(client):
    return client.predict(ONE)["y"][0, 0]


def metrics(address):
    with urllib.request.urlopen(f"{address}/monitoring/prometheus/metrics", timeout=30) as response:
        return response.read().decode()


def until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.slow
def test_a_new_version_takes_over_without_a_lost_request(toy, tmp_path):
    folder = tmp_path / "m"
    place(folder, toy, 1)
    with LocalServer(folder, options=options()) as server, ThreadPoolExecutor(4) as threads:
        stop, seen = threading.Event(), [[], [], [], []]

        def hammer(address, answers):
            with Client(address, "m", retries=0) as client:
                while not stop.is_set():
                    answers.append(float(factor(client)))
                    time.sleep(0.002)  # what loads the next version has a turn too

        addresses = [server.rest, server.grpc] * 2
        work = [threads.submit(hammer, address, answers) for address, answers in zip(addresses, seen)]
        try:
            for number in (1, 2, 3):
                if number > 1:
                    place(folder, toy, number)
                until(lambda n=number: all(answers and answers[-1] == n for answers in seen))
        finally:
            stop.set()
        assert [w.exception() for w in work] == [None] * 4
        assert list(server.server.models["m"].loaded) == [3]
    assert all(answers == sorted(answers) and set(answers) == {1.0, 2.0, 3.0} for answers in seen)


@pytest.mark.slow
def test_a_broken_version_changes_nothing_and_is_reported(toy, tmp_path, ask_server):
    folder = tmp_path / "m"
    place(folder, toy, 1)
    with LocalServer(folder, options=options()) as server:
        shutil.copytree(toy(2), folder / ".2")
        for file in (folder / ".2" / "variables").glob("*.data*"):
            file.write_bytes(b"")
        os.replace(folder / ".2", folder / "2")
        until(lambda: 2 in server.server.models["m"].states and server.server.models["m"].states[2].error)
        assert factor(Client(server.rest, "m")) == 1
        states = {v["version"]: v for v in ask_server(server, "GET", "/v1/models/m").body["model_version_status"]}
        assert states["1"]["state"] == "AVAILABLE"
        assert states["2"]["state"] == "END" and states["2"]["status"]["error_message"]
        shutil.rmtree(folder / "2")
        place(folder, toy, 2)  # repaired
        until(lambda: factor(Client(server.rest, "m")) == 2)


@pytest.mark.slow
def test_a_model_that_touches_files_is_not_loaded(toy, tmp_path):
    import tensorflow as tf

    place(tmp_path / "m", toy, 1)
    module = tf.Module()
    module.f = tf.function(lambda p: {"text": tf.io.read_file(p)}, input_signature=[tf.TensorSpec([], tf.string)])
    tf.saved_model.save(module, str(tmp_path / "m" / "2"), signatures=module.f)
    with LocalServer(tmp_path / "m", options=options()) as server:
        assert factor(Client(server.rest, "m")) == 1
        assert "ReadFile" in server.server.models["m"].states[2].error


@pytest.mark.slow
def test_labels_follow_the_file_and_a_rollback_is_one_call(toy, tmp_path):
    folder = tmp_path / "m"
    place(folder, toy, 1)
    place(folder, toy, 2)
    label_versions(folder, {"stable": 2})
    with LocalServer(folder, options=options()) as server:
        client = Client(server.grpc, "m", label="stable")
        assert factor(client) == 2
        label_versions(folder, {"stable": 1})
        until(lambda: factor(client) == 1)
        (folder / "serving/models.config").write_text("half writ {")
        server.refresh()
        assert factor(client) == 1


@pytest.mark.slow
def test_the_server_does_not_start_without_a_version_that_loads(tmp_path, toy):
    (tmp_path / "m").mkdir()
    with pytest.raises(InvalidInput, match="Expected a version that loads"), LocalServer(tmp_path / "m"):
        pass
    with pytest.raises(InvalidInput, match="Expected a model folder"):
        LocalServer(tmp_path / "none")
    with pytest.raises(InvalidInput, match="different names"):
        LocalServer(tmp_path / "m", tmp_path / "a/../m")


@pytest.mark.slow
def test_a_port_in_use_is_reported(server, toy, tmp_path):
    place(tmp_path / "m", toy, 1)
    taken = ServerOptions(rest_port=server.server.rest_port, grpc_port=None)
    with pytest.raises(Unavailable, match="Cannot listen on 127.0.0.1"), LocalServer(tmp_path / "m", options=taken):
        pass


def test_a_signature_without_a_batch_dimension_is_called_alone(server):
    client = Client(server.grpc, "m")
    with ThreadPoolExecutor(8) as threads:
        asked = [threads.submit(client.predict, {"a": [float(i), float(i)]}, signature="mean") for i in range(8)]
        assert [a.result()["mean"] for a in asked] == list(range(8))


@pytest.mark.slow
def test_requests_beyond_the_limit_are_refused_as_unavailable(toy, tmp_path, ask_server):
    place(tmp_path / "m", toy, 1)
    limited = options(limits=Limits(max_waiting=1))
    with LocalServer(tmp_path / "m", options=limited) as server, ThreadPoolExecutor(1) as threads:
        busy = threads.submit(Client(server.grpc, "m", deadline=60).predict, {"n": [300_000]}, signature="busy")
        until(lambda: server.server.core.batcher.waiting == 1)
        answer = ask_server(server, "POST", "/v1/models/m:predict", {"signature_name": "one", "inputs": [1]})
        assert answer.status == 503 and "try again" in answer.body["error"]
        # the client tries again until there is room
        assert Client(server.rest, "m", retries=100, deadline=60).predict({"n": [1]}, signature="one")["output"] == [2]
        busy.result()


@pytest.mark.slow
def test_serve_runs_until_it_is_stopped(toy, tmp_path):
    place(tmp_path / "m", toy, 1)
    ports = []

    def ready(server):
        ports.extend([server.rest_port, server.grpc_port])
        os.kill(os.getpid(), signal.SIGTERM)

    serve([tmp_path / "m"], options(), ready)
    assert len(ports) == 2 and all(ports)
    with pytest.raises(Unavailable):
        Client(f"http://127.0.0.1:{ports[0]}", "m", retries=0).predict(ONE)


@pytest.mark.slow
def test_the_command_serves_and_stops_gracefully(toy, tmp_path):
    place(tmp_path / "m", toy, 1)
    code = "import sys; from tfrec.cli import main; sys.argv[0] = 'tfrec'; main()"
    arguments = ["serve", str(tmp_path / "m"), "--rest-port", "0", "--grpc-port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT
    )
    try:
        assert process.stdout.readline() == "m: version 1\n"
        line = process.stdout.readline()
        rest = line.split()[2].removesuffix("/v1/models/NAME,")
        assert "http://127.0.0.1:" in rest
        client = Client(rest, "m", deadline=30)
        assert factor(client) == 1
        with ThreadPoolExecutor(1) as threads:
            busy = threads.submit(client.predict, {"n": [300_000]}, signature="busy")
            until(lambda: "tfrec_waiting_requests 1.0" in metrics(rest))
            process.send_signal(signal.SIGTERM)
            assert busy.result()["output"].tolist() == [300_000]  # what was in flight is answered
        assert process.wait(30) == 0 and process.stderr.read() == ""
    finally:
        process.kill()


@pytest.mark.parametrize(
    "make, named",
    [
        (lambda: Limits(max_waiting=0), "max_waiting"),
        (lambda: Limits(workers=-1), "workers"),
        (lambda: ServerOptions(rest_port=-1), "rest_port"),
        (lambda: ServerOptions(grpc_port=65536), "grpc_port"),
        (lambda: ServerOptions(poll_seconds=0.0), "poll_seconds"),
        (lambda: ServerOptions(grace_seconds=-1.0), "grace_seconds"),
    ],
)
def test_options_that_no_server_can_have_are_refused(make, named):
    with pytest.raises(InvalidInput, match=named):
        make()
    ServerOptions(rest_port=None, grpc_port=65535, grace_seconds=0.0)
