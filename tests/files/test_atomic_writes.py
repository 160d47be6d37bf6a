"""Folders are complete or absent, whatever happens during a write."""

import errno
import hashlib
import os
import shutil
from contextlib import suppress

import pytest

from tfrec import InvalidInput
from tfrec.files import (
    AlreadyExists,
    OutputKind,
    atomic_file,
    atomic_folder,
    cache_dir,
    file_sha256,
    folder_sha256,
    read_json,
    write_json,
)

THING = OutputKind("a thing", {"thing.json": ("id",)})


def test_a_folder_appears_only_when_it_is_complete(tmp_path):
    with atomic_folder(tmp_path / "deep" / "out", THING) as work:
        (work / "file").write_text("x")
        assert not (tmp_path / "deep" / "out").exists()
    assert (tmp_path / "deep" / "out" / "file").read_text() == "x"
    assert os.listdir(tmp_path / "deep") == ["out"]
    assert (tmp_path / "deep" / "out").stat().st_mode & 0o777 == 0o755


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out", THING) as work:
        (work / "file").write_text("x")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_a_failure_leaves_the_old_folder_as_it_was(tmp_path):
    (tmp_path / "out").mkdir()
    write_json(tmp_path / "out" / "thing.json", {"id": "old"})
    with pytest.raises(ZeroDivisionError), atomic_folder(tmp_path / "out", THING, force=True) as work:
        (work / "new").write_text("new")
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["thing.json"]


def test_force_replaces_the_whole_folder(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_text("old")
    write_json(tmp_path / "out" / "thing.json", {"id": 1})
    with atomic_folder(tmp_path / "out", THING, force=True) as work:
        (work / "new").write_text("new")
    assert os.listdir(tmp_path) == ["out"] and os.listdir(tmp_path / "out") == ["new"]


def test_a_full_disk_gives_one_clear_message_and_leaves_nothing(tmp_path):
    with pytest.raises(InvalidInput, match="No space left"), atomic_folder(tmp_path / "out", THING):
        raise OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(OSError, match="No space left"), atomic_file(tmp_path / "out"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_the_umask_decides_who_may_read(tmp_path, mask):
    before = os.umask(mask)
    try:
        with atomic_folder(tmp_path / "out", THING) as work:
            (work / "file").touch()
        write_json(tmp_path / "value.json", 1)
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("out", "out/file", "value.json")]
    assert modes == [0o777 & ~mask, 0o666 & ~mask, 0o666 & ~mask]


def test_what_appears_during_the_work_is_not_replaced(tmp_path):
    out, page, ours = tmp_path / "out", tmp_path / "page.html", tmp_path / "ours"
    with pytest.raises(AlreadyExists), atomic_folder(out, THING):
        out.mkdir()
    with pytest.raises(InvalidInput, match="is none"), atomic_folder(ours, THING, force=True):
        ours.mkdir()
        (ours / "letter").touch()
    with pytest.raises(AlreadyExists), atomic_file(page, replace=False) as work:
        work.write_text("ours")
        page.write_text("theirs")
    assert page.read_text() == "theirs" and os.listdir(ours) == ["letter"]
    assert sorted(os.listdir(tmp_path)) == ["ours", "out", "page.html"]


def test_a_rename_that_loses_the_race_looks_again(tmp_path, monkeypatch):
    """Another process publishes between the look and the rename: without --force it stays, with it it is replaced."""
    out, rename, rivals = tmp_path / "out", os.rename, []

    def slow(source, target):
        if target == out and not rivals:
            rivals.append(out)
            write_json(_folder(out) / "thing.json", {"id": "theirs"})
        rename(source, target)

    for force, expected in ((False, "theirs"), (True, "ours")):
        with monkeypatch.context() as patch:
            patch.setattr(os, "rename", slow)
            with suppress(AlreadyExists), atomic_folder(out, THING, force) as work:
                write_json(work / "thing.json", {"id": "ours"})
        assert read_json(out / "thing.json") == {"id": expected} and os.listdir(tmp_path) == ["out"]
        shutil.rmtree(out)
        rivals.clear()


def test_two_that_replace_at_once_both_succeed_and_one_of_them_stays(tmp_path, monkeypatch):
    """The other process sets the old one aside between the look and the rename of this one."""
    out, rename = tmp_path / "out", os.rename
    write_json(_folder(out) / "thing.json", {"id": "old"})

    def slow(source, target):
        if source == out:
            monkeypatch.setattr(os, "rename", rename)
            with atomic_folder(out, THING, force=True) as work:
                write_json(work / "thing.json", {"id": "theirs"})
            rename(out, tmp_path / "gone")
        rename(source, target)

    monkeypatch.setattr(os, "rename", slow)
    with atomic_folder(out, THING, force=True) as work:
        write_json(work / "thing.json", {"id": "ours"})
    assert read_json(out / "thing.json") == {"id": "ours"} and sorted(os.listdir(tmp_path)) == ["gone", "out"]


def _folder(path):
    path.mkdir()
    return path


def test_a_rename_that_fails_gives_the_old_folder_back(tmp_path, monkeypatch):
    out, rename = tmp_path / "out", os.rename
    write_json(_folder(out) / "thing.json", {"id": "old"})

    def full(source, target):
        if target == out and ".tmp-" in source.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(source, target)

    monkeypatch.setattr(os, "rename", full)
    with pytest.raises(InvalidInput, match="No space"), atomic_folder(out, THING, force=True):
        pass
    assert read_json(out / "thing.json") == {"id": "old"} and os.listdir(tmp_path) == ["out"]


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
