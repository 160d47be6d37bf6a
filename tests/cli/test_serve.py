"""`tfrec serve` on the command line."""

from pathlib import Path

import pytest

pytest.importorskip("aiohttp")


def test_requests_are_logged_only_when_asked_for(tfrec, monkeypatch, tmp_path):
    served = []
    monkeypatch.setattr("tfrec.serving.local.server.serve", lambda folders, options, ready: served.append(options))
    monkeypatch.setenv("TFREC_REQUEST_LOG_KEY", "ab" * 32)
    assert tfrec("serve", tmp_path)[0] == 0 and served[-1].request_log is None
    more = ["--request-log-rate", "0.5", "--request-log-days", "7"]
    code, _, error = tfrec("serve", tmp_path, "--request-log", tmp_path / "log", *more)
    log = served[-1].request_log
    assert code == 0 and (log.folder, log.rate, log.days) == (Path(tmp_path / "log"), 0.5, 7), error
    code, _, error = tfrec("serve", tmp_path, "--request-log-key", tmp_path / "key")
    assert code == 2 and "Expected --request-log FOLDER" in error and len(served) == 2
