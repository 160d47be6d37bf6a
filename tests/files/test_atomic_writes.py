"""Folders are complete or absent, whatever happens during a write."""

import errno
import hashlib
import os
import signal
import subprocess
import sys

import pytest

from tfrec import InvalidInput
from tfrec.files import atomic_folder, cache_dir, file_sha256, folder_sha256, read_json, refuse_existing, write_json


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    with atomic_folder(tmp_path / "deep" / "out") as work:
        (work / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "file").read_text() == "x"
    assert os.listdir(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep" / "out").stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out") as work:
        (work / "file").write_text("x")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_old_folder_as_it_was(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out", force=True) as work:
        (work / "new").write_text("new")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["old"]


def test_force_replaces_the_whole_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    with atomic_folder(tmp_path / "out", force=True) as work:
        (work / "new").write_text("new")
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["new"]


def test_an_existing_folder_is_refused_before_any_work(tmp_path):
    with pytest.raises(InvalidInput, match="--force"), atomic_folder(tmp_path):
        pytest.fail("the work began")
    refuse_existing(tmp_path, force=True)
    refuse_existing(tmp_path / "free")


def test_a_full_disk_gives_one_clear_message_and_leaves_nothing(tmp_path):
    with pytest.raises(InvalidInput, match="No space left"), atomic_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


def test_a_kill_leaves_no_half_written_folder(tmp_path):
    code = (
        "import sys, time; from tfrec.files import atomic_folder\n"
        "with atomic_folder(sys.argv[1]) as work:\n"
        "    (work / 'file').write_text('x'); print('writing', flush=True); time.sleep(60)"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "out")], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None and writer.stdout.readline() == "writing\n"
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    assert not (tmp_path / "out").exists()
    with atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out").is_dir()


def test_a_hash_depends_only_on_names_and_bytes(tmp_path):
    for name, files in {"a": {"x": "1", "d/y": "2"}, "same": {"d/y": "2", "x": "1"}, "byte": {"x": "1", "d/y": "3"},
                        "name": {"z": "1", "d/y": "2"}, "moved": {"x": "1", "y": "2"}}.items():  # fmt: skip
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)
    assert folder_sha256(tmp_path / "a") == folder_sha256(tmp_path / "same")
    assert len({folder_sha256(tmp_path / name) for name in ("a", "byte", "name", "moved")}) == 4
    assert file_sha256(tmp_path / "a" / "x") == hashlib.sha256(b"1").hexdigest()


def test_json_survives_a_round_trip(tmp_path):
    write_json(tmp_path / "value.json", {"b": 1, "a": "é"})
    assert read_json(tmp_path / "value.json") == {"b": 1, "a": "é"}
    assert "é" in (tmp_path / "value.json").read_text(encoding="utf-8")
    assert os.listdir(tmp_path) == ["value.json"]


def test_json_that_is_missing_or_broken_is_bad_input(tmp_path):
    (tmp_path / "broken.json").write_text("{")
    for name in ("broken.json", "missing.json"):
        with pytest.raises(InvalidInput, match=name):
            read_json(tmp_path / name)


def test_the_environment_chooses_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path / "ours"))
    assert cache_dir() == tmp_path / "ours"
    monkeypatch.delenv("TFREC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "tfrec"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_dir().parts[-2:] == (".cache", "tfrec")
