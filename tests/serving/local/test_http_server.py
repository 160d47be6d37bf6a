"""Connections that are slow, too many, broken or gone; and that a stop answers all that was asked."""

import asyncio
import contextlib
import logging
import re
import socket

import pytest

from tests.serving.local.fake_model import answer, request, with_server
from tfrec.serving.local.rate_limited_log import LOGGER, RateLimit


def statuses(core):
    """Requests counted by status."""
    found = re.findall(r'request_count\{model_name="m",status="(\w+)"\} (\S+)', core.metrics_text().decode())
    return {status: float(count) for status, count in found}


async def connect(running):
    return await asyncio.open_connection("127.0.0.1", running.port)


async def until(condition):
    while not condition():
        await asyncio.sleep(0.002)


def test_headers_that_do_not_come_end_the_connection():
    async def scenario(running):
        reader, writer = await connect(running)
        for _ in range(2):  # a pause between two requests is no slow header
            writer.write(request([1]))
            assert (await answer(reader)).body == {"outputs": [2]}
            await asyncio.sleep(0.2)
        writer.write(request([1])[:20])
        return await asyncio.wait_for(reader.read(), 5)

    assert with_server(scenario, header_seconds=0.1) == b""


def test_a_body_that_does_not_come_is_answered_408():
    async def scenario(running):
        reader, writer = await connect(running)
        writer.write(request([1])[:-3])
        return await answer(reader), statuses(running.core)

    late, counted = with_server(scenario, body_seconds=0.1)
    assert late.status == 408 and "within 0.1 s" in late.body["error"] and counted == {"DEADLINE_EXCEEDED": 1}


def test_an_idle_connection_is_closed():
    async def scenario(running):
        reader, _ = await connect(running)
        return await asyncio.wait_for(reader.read(), 5)

    assert with_server(scenario, idle_seconds=0.1) == b""


def test_connections_beyond_the_cap_are_refused_until_one_is_free():
    async def scenario(running):
        connections = [await connect(running) for _ in range(3)]
        answers = []
        for reader, writer in connections:
            writer.write(request([1]))
            answers.append(await answer(reader))
        connections[0][1].close()
        await until(lambda: len(running.server.connections) == 1)
        reader, writer = await connect(running)
        writer.write(request([1]))
        return [*answers, await answer(reader)]

    answers = with_server(scenario, max_connections=2)
    assert [a.status for a in answers] == [200, 200, 503, 200]
    assert answers[2].headers["connection"] == "close" and "Too many connections" in answers[2].body["error"]


@pytest.mark.parametrize("sent", ["half of the body", "all"])
def test_a_client_that_hangs_up_is_no_internal_error(sent, caplog):
    async def scenario(running):
        _, writer = await connect(running)
        whole = request([0])
        writer.write(whole[:-2] if sent == "half of the body" else whole)
        await until(lambda: sent != "all" or running.signature.sizes)
        writer.transport.abort()
        await until(lambda: statuses(running.core))
        return statuses(running.core)

    assert with_server(scenario) == {"CANCELLED": 1}
    assert caplog.records == []


def test_what_is_no_http_writes_a_few_lines(caplog):
    async def scenario(running):
        for _ in range(40):
            reader, writer = await connect(running)
            writer.write(b"GET / HTTP/1.1\r\nno header\r\n\r\n")
            await reader.read()
            writer.close()

    limit = RateLimit(most=5)
    LOGGER.addFilter(limit)
    with caplog.at_level(logging.INFO):
        with_server(scenario)
    LOGGER.removeFilter(limit)
    lines = [record.getMessage() for record in caplog.records if record.name == LOGGER.name]
    assert 1 <= len(lines) <= 5 and all("no HTTP" in line for line in lines)
    assert not any(record.exc_info for record in caplog.records)


def test_a_log_says_how_much_was_left_out(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    limit = RateLimit(most=2, seconds=10)

    def log(message, *arguments):
        record = logging.LogRecord("x", logging.WARNING, "", 0, message, arguments, None)
        return record.getMessage() if limit.filter(record) else None

    assert [log("bad %d", i) for i in range(5)] == ["bad 0", "bad 1", None, None, None]
    assert log("other") == "other"
    now[0] = 11.0
    assert log("bad %d", 5) == "bad 5 (and 3 more that were not logged)" and log("bad %d", 6) == "bad 6"


def test_a_stop_answers_what_is_in_flight_and_says_that_it_closes():
    async def scenario(running):
        (busy, writer), (idle, later) = await connect(running), await connect(running)
        later.write(request([7]))
        assert "connection" not in (await answer(idle)).headers
        writer.write(request([0]))
        await until(lambda: running.signature.sizes == [1, 1])
        stopping = asyncio.create_task(running.server.stop(0.05, 10))
        await until(lambda: not running.server._listener.sockets)
        with pytest.raises(ConnectionRefusedError):
            await connect(running)
        later.write(request([8]))  # it was sent before the client could know
        running.signature.gate.set()
        answers = [await answer(busy), await answer(idle)]
        await stopping
        return answers, await busy.read(), await idle.read()

    answers, *rest = with_server(scenario)
    assert [a.body["outputs"] for a in answers] == [[0], [16]] and rest == [b"", b""]
    assert all(a.headers["connection"] == "close" for a in answers)


def test_a_stop_answers_connections_that_were_not_accepted_yet():
    async def scenario(running):
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(("127.0.0.1", running.port))) for _ in range(20)]
            for number, client in enumerate(clients, 1):
                client.sendall(request([number]))
                client.setblocking(False)
            await running.server.stop(0.05, 10)  # the loop did not run since the first connected
            streams = [await asyncio.open_connection(sock=client.dup()) for client in clients]
            return [await answer(reader) for reader, _ in streams]

    answers = with_server(scenario)
    assert [a.body["outputs"] for a in answers] == [[2 * n] for n in range(1, 21)]


def test_a_stop_ends_what_does_not_come_within_the_grace():
    async def scenario(running):
        reader, writer = await connect(running)
        writer.write(request([1])[:-2])
        await until(lambda: any(c.active for c in running.server.connections))
        await asyncio.wait_for(running.server.stop(0.05, 0.2), 5)
        return await answer(reader)

    assert with_server(scenario) is None


def test_a_client_may_ask_before_it_sends_the_body():
    async def scenario(running):
        reader, writer = await connect(running)
        head, body = request([4], "Expect: 100-continue").split(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        first = await answer(reader)
        writer.write(body)
        return first.status, (await answer(reader)).body

    assert with_server(scenario) == (100, {"outputs": [8]})


def test_a_large_request_is_answered_in_full_while_small_ones_overtake_it():
    async def scenario(running):
        (large, first), (small, second) = await connect(running), await connect(running)
        first.write(request([0, *range(1, 1000)]))
        await until(lambda: running.signature.sizes)
        second.write(request([5]))
        await until(lambda: running.core.batcher.waiting == 2)
        running.signature.gate.set()
        assert (await answer(small)).body == {"outputs": [10]}
        return (await answer(large)).body["outputs"], running.signature.sizes

    outputs, sizes = with_server(scenario)
    assert outputs == [2 * n for n in range(1000)]
    assert sizes[:3] == [16, 1, 16] and sum(sizes) == 1001
