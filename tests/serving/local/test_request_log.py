"""What a server writes of requests: nothing, or a sample under pseudonyms that goes after some days."""

import hashlib
import hmac
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from tfrec.errors import InvalidInput
from tfrec.serving import Client, RequestLogOptions
from tfrec.serving.local.rate_limited_log import LOGGER, RateLimit
from tfrec.serving.local.request_log import AnsweredRequest, RequestLog
from tfrec.serving.local.request_log_options import KEY_VARIABLE

KEY = "ab" * 32
SECRET = "item-0f3c9"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
GOOD = {"x": [[1.0, 2.0]], "s": [SECRET]}


@pytest.fixture
def options(tmp_path):
    """Options with a key, and a rate of 1 unless given."""
    key = tmp_path / "key"
    key.write_text(KEY)
    key.chmod(0o600)
    return lambda **given: RequestLogOptions(tmp_path / "log", **{"key": key, "rate": 1.0, **given})


@pytest.fixture
def lines(tmp_path):
    """The lines of all files of the log."""
    return lambda: [json.loads(line) for path in sorted((tmp_path / "log").iterdir()) for line in path.open()]


def request(user="anna", size=100, **inputs):
    shown = {"item_ids": np.array([["c", "d", ""]], object), "scores": np.ones((1, 3))}
    return AnsweredRequest("shop", 3, "recommend", user, [lambda: inputs], [shown], size)


def strings(*rows):
    return np.array(rows, object)


def pseudonym(user):
    return hmac.new(bytes.fromhex(KEY), user.encode(), hashlib.sha256).hexdigest()[:32]


@pytest.fixture
def files_written():
    """The files that this process opens for writing."""
    opened, watching = [], [True]

    def hook(event, arguments):
        if watching and event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            opened.append(arguments[0])

    sys.addaudithook(hook)  # there is no way to take it off again
    yield opened
    watching.clear()


def test_by_default_a_server_and_its_clients_write_nothing_of_requests(
    server, rest, monkeypatch, capfd, caplog, files_written
):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setattr(LOGGER, "filters", [RateLimit()])  # other tests may have used up what one message is allowed
    files_written.clear()  # those of pytest
    addresses = server.rest, server.grpc
    for address in addresses:
        assert Client(address, "m").predict(GOOD, user="anna-6d1")["t"].tolist() == [f"{SECRET}!"]
    bad = {"signature_name": SECRET, "instances": [{"x": [SECRET], "s": SECRET}]}
    for body in (bad, {**bad, "signature_name": "one"}, {**bad, "signature_name": ""}, f"{SECRET}"):
        assert rest("POST", "/v1/models/m:predict", body).status == 400
    assert rest("POST", f"/v1/models/m:predict?history={SECRET}", {"inputs": {**GOOD, "x": [[1]]}}).status == 400
    assert rest("GET", "/", headers={"X-Id": f"{SECRET}\x00"}).status == 400  # no HTTP, and logged as that

    async def fails(*given):
        raise ValueError(f"cannot run {SECRET}")

    monkeypatch.setattr(server.server.core.batcher, "run", fails)
    for address in addresses:
        with pytest.raises(Exception, match="Internal failure: ValueError"):
            Client(address, "m", retries=0).predict(GOOD, user="anna-6d1")
    said = "".join(capfd.readouterr()) + caplog.text + rest("GET", "/monitoring/prometheus/metrics").body
    assert "failed: ValueError" in said and "is no HTTP" in said  # the log was looked at
    assert SECRET not in said and "anna-6d1" not in said
    assert files_written == []


def test_a_line_has_the_pseudonym_the_ids_and_what_was_shown(options, lines):
    log = RequestLog(options(), now=lambda: NOON)
    log.record(
        request(
            history_item_ids=strings([b"a", b"b\xc3\xa9", b""]),
            history_events=strings([b"view", b"buy", b""]),
            history_texts=strings([b"call Anna", b""]),
            age=strings([b"37"]),
        )
    )
    log.record(request(user=None, item_ids=strings(b"a")))
    log.close()
    first, second = lines()
    assert first == {
        "timestamp": "2026-03-01T12:00:00.000+00:00",
        "model": "shop",
        "version": 3,
        "signature": "recommend",
        "user_id": pseudonym("anna"),
        "inputs": {"history_item_ids": [["a", "bé"]], "history_events": [["view", "buy"]]},
        "outputs": {"item_ids": [["c", "d"]]},
    }
    assert second["user_id"] is None and second["inputs"] == {"item_ids": ["a"]}
    assert (log.written, log.dropped) == (2, 0)


def test_both_ways_to_ask_are_logged_and_counted(server, rest, options, lines, monkeypatch):
    log = RequestLog(options())
    monkeypatch.setattr(server.server.core, "log", log)
    for address in (server.rest, server.grpc):
        Client(address, "m", label="stable").predict(GOOD, user="Anna Öz\n")
        Client(address, "m").predict({"n": [4]}, signature="one")
    assert rest("POST", "/v1/models/m:predict", {"instances": []}).status == 400  # errors are not logged
    log.close()
    assert [(e["version"], e["signature"], e["user_id"]) for e in lines()] == 2 * [
        (1, "serving_default", pseudonym("Anna Öz\n")),
        (2, "one", None),
    ]
    assert SECRET not in str(lines())  # a text of the model, which is no list of ids
    assert 'tfrec_request_log_lines{outcome="written"} 4.0' in rest("GET", "/monitoring/prometheus/metrics").body


def test_about_the_asked_share_is_logged(options, lines):
    log = RequestLog(options(rate=0.2))
    for _ in range(2000):
        log.record(request())
    log.close()
    assert 300 < log.written + log.dropped < 500  # 400 expected, with a standard deviation of 18


def test_what_comes_faster_than_it_is_written_is_dropped_and_counted(options, lines, monkeypatch):
    log, writing, goes_on = RequestLog(options()), threading.Event(), threading.Event()
    append = log._files.append

    def waits(*line):
        writing.set()
        goes_on.wait()
        append(*line)

    monkeypatch.setattr(log._files, "append", waits)
    log.record(request())
    writing.wait()
    for _ in range(300):
        log.record(request())
    assert log.dropped == 300 - 256
    log.record(request(size=300_000))
    assert log.dropped == 44 + 1
    goes_on.set()
    log.close()
    assert len(lines()) == log.written == 257


def test_files_are_by_day_for_their_owner_and_none_has_a_line_older_than_asked(options, tmp_path):
    now = [NOON]
    log = RequestLog(options(days=2), now=lambda: now[0])
    (tmp_path / "log" / "notes.txt").write_text("kept")
    for day in range(4):
        now[0] = NOON + timedelta(days=day)
        log.record(request())
        log._waiting.put(None)
        log._thread.join()
        log._thread = threading.Thread(target=log._write_lines)
        log._thread.start()
    log.close()
    names = ["notes.txt", "requests-2026-03-03.jsonl", "requests-2026-03-04.jsonl"]
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == names
    assert (tmp_path / "log" / names[1]).stat().st_mode & 0o777 == 0o600
    RequestLog(options(days=1), now=lambda: NOON + timedelta(days=9)).close()  # at the start too
    assert [path.name for path in (tmp_path / "log").iterdir()] == names[:1]


def test_a_name_that_is_no_day_stops_nothing(options, tmp_path):
    names = ["requests-2026-02-30.jsonl", "requests-2026-03-01.jsonl"]
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / names[0]).write_text("kept")
    log = RequestLog(options(days=1), now=lambda: NOON)
    log.record(request())
    log.close()
    assert sorted(path.name for path in (tmp_path / "log").iterdir()) == names and log.written == 1


def test_a_full_disk_costs_lines_and_not_the_server(options, monkeypatch, caplog):
    log = RequestLog(options())

    def full(*line):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log._files, "append", full)
    log.record(request())
    log.close()
    assert (log.written, log.dropped) == (0, 1) and "No space left on device" in caplog.text


def test_of_a_line_that_the_disk_has_no_room_for_nothing_stays(options, tmp_path, monkeypatch, caplog):
    log, write, room = RequestLog(options(), now=lambda: NOON), os.write, [1000, 40, 1000]
    monkeypatch.setattr(os, "write", lambda target, line: write(target, line[: room.pop(0)]))
    for item in "abc":
        log.record(request(item_ids=strings(item.encode())))
    log.close()
    (path,) = (tmp_path / "log").iterdir()
    assert [json.loads(line)["inputs"]["item_ids"] for line in path.open()] == [["a"], ["c"]]
    assert (log.written, log.dropped) == (2, 1) and "No space left on device" in caplog.text


@pytest.mark.parametrize(
    "given, wrong",
    [
        ({"rate": 0.0}, "above 0 and up to 1, received 0.0"),
        ({"rate": 1.5}, "above 0 and up to 1, received 1.5"),
        ({"days": 0}, "at least 1 day, received 0"),
        ({"key": None}, r"--request-log-key FILE, or the key in \$TFREC_REQUEST_LOG_KEY"),
    ],
)
def test_bad_options_are_refused(options, given, wrong, monkeypatch):
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    with pytest.raises(InvalidInput, match=wrong):
        options(**given)


def test_a_key_may_be_in_the_environment_and_is_not_shown(options, monkeypatch, tmp_path):
    monkeypatch.setenv(KEY_VARIABLE, KEY)
    assert options(key=None).keys == (bytes.fromhex(KEY),) and KEY not in repr(options(key=None))
    monkeypatch.setenv(KEY_VARIABLE, "password")
    with pytest.raises(InvalidInput, match=r"64 hexadecimal digits in each line of \$TFREC_REQUEST_LOG_KEY"):
        options(key=None)
    (tmp_path / "key").chmod(0o644)
    with pytest.raises(InvalidInput, match="--request-log-key: others than its owner may read"):
        options()


def test_a_folder_that_is_a_file_is_refused(options, tmp_path):
    (tmp_path / "log").write_text("")
    with pytest.raises(InvalidInput, match="Expected a folder for the request log in .*: File exists"):
        options()
