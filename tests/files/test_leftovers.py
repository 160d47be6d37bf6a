"""What killed processes leave is cleared away or restored by the next, and what living ones hold stays."""

import os
import signal
import subprocess
import sys

import pytest

from tfrec import InvalidInput
from tfrec.files import OutputKind, PartialFolder, atomic_folder, delete_folder, read_json, sweep, write_json

THING = OutputKind("a thing", {"thing.json": ("id",)})


def thing(folder, number):
    folder.mkdir(parents=True)
    write_json(folder / "thing.json", {"id": number})
    return folder


def write(path, number, force=True):
    with atomic_folder(path, THING, force) as work:
        write_json(work / "thing.json", {"id": number})


def child(code, *arguments):
    """A process that has printed a line and waits."""
    head = (
        "import os, sys, time; from pathlib import Path; from tfrec.files import *\n"
        "THING, out = OutputKind('a thing', {'thing.json': ('id',)}), Path(sys.argv[1])\n"
    )
    tail = "\nprint('here', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", head + code.replace("WAIT", tail[1:]), *map(str, arguments)],
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "here\n"
    return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_next_write_clears_away_what_a_killed_one_left_and_lets_a_living_one_be(tmp_path):
    out = thing(tmp_path / "out", "old")
    writer = child("with atomic_folder(out, THING, True) as work:\n    (work / 'file').touch(); WAIT", out)
    (left,) = tmp_path.glob(".out.tmp-*")
    write(out, "new")
    assert left.is_dir() and read_json(out / "thing.json") == {"id": "new"}
    kill(writer)
    write(out, "newer")
    assert os.listdir(tmp_path) == ["out"]


DIES_BEFORE_THE_NEW_NAME = """
rename = os.rename
def dies(source, target):
    if target == out:
        WAIT
    rename(source, target)
os.rename = dies
with atomic_folder(out, THING, True) as work:
    write_json(work / "thing.json", {"id": "new"})
"""


def test_an_output_that_a_killed_process_set_aside_comes_back(tmp_path, capsys):
    out = thing(tmp_path / "out", "old")
    kill(child(DIES_BEFORE_THE_NEW_NAME, out))
    assert not out.exists() and len(os.listdir(tmp_path)) == 2
    with pytest.raises(InvalidInput, match="exists already"):
        write(out, "another", force=False)
    assert read_json(out / "thing.json") == {"id": "old"} and os.listdir(tmp_path) == ["out"]
    assert f"{out} is back" in capsys.readouterr().err


def test_an_output_of_version_0_2_comes_back_too(tmp_path):
    thing(tmp_path / ".out.old-0a_b1c2d" / "out", "old")
    sweep(tmp_path)
    assert read_json(tmp_path / "out" / "thing.json") == {"id": "old"} and os.listdir(tmp_path) == ["out"]


def test_what_was_set_aside_goes_once_its_successor_is_there(tmp_path, monkeypatch):
    thing(tmp_path / "out", "new")
    thing(tmp_path / ".out.old-01234567", "old")
    sweep(tmp_path, "out")
    assert os.listdir(tmp_path) == ["out"]
    with monkeypatch.context() as patch:  # a kill while it is deleted
        patch.setattr("shutil.rmtree", lambda *arguments, **options: None)
        write(tmp_path / "out", "newer")
    assert len(os.listdir(tmp_path)) == 2
    sweep(tmp_path, "out")
    assert read_json(tmp_path / "out" / "thing.json") == {"id": "newer"} and os.listdir(tmp_path) == ["out"]


def test_a_deletion_that_was_cut_off_is_finished_and_never_undone(tmp_path, monkeypatch):
    thing(tmp_path / "out", "old")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.rmtree", lambda *arguments, **options: None)
        delete_folder(tmp_path / "out")
    assert len(os.listdir(tmp_path)) == 1
    sweep(tmp_path)
    assert os.listdir(tmp_path) == []


def test_writing_a_file_clears_away_what_a_killed_writer_of_it_left(tmp_path):
    for name in (".value.json.tmp-01234567", ".other.json.tmp-01234567"):
        (tmp_path / name).touch()
    write_json(tmp_path / "value.json", 1)
    assert sorted(os.listdir(tmp_path)) == [".other.json.tmp-01234567", "value.json"]


def test_other_names_are_left_alone(tmp_path):
    names = [
        ".out.tmp-notes",
        ".out.tmp-012345678",
        "out.tmp-01234567",
        ".out.tmp-0123456-",
        ".tmp-01234567",
        ".other.tmp-01234567",
    ]
    for name in names:
        (tmp_path / name).mkdir()
    os.symlink(tmp_path / ".out.tmp-notes", tmp_path / ".out.tmp-76543210")
    sweep(tmp_path, "out")
    assert sorted(os.listdir(tmp_path)) == sorted([*names, ".out.tmp-76543210"])


def test_only_one_living_process_works_in_a_partial_folder(tmp_path):
    out = tmp_path / "out"
    first = "def first(work): write_json(work / 'thing.json', {'id': 1})\n"
    work = first + "with PartialFolder(out, THING).begun(first):\n    WAIT"
    worker, partial = child(work, out), PartialFolder(out, THING)
    for force in (False, True):
        with pytest.raises(InvalidInput, match="Another process is at work"):
            partial.refuse_existing(force)
        with pytest.raises(InvalidInput, match="Another process is at work"), partial.begun(lambda work: None, force):
            pass
    with pytest.raises(InvalidInput, match="Another process is at work"), partial.locked():
        pass
    kill(worker)
    with pytest.raises(InvalidInput, match="--resume"):
        partial.refuse_existing(force=False)
    with partial.locked():
        pass
    with partial.begun(lambda work: write_json(work / "thing.json", {"id": 2}), force=True):
        assert read_json(partial.folder / "thing.json") == {"id": 2}


def test_a_partial_folder_of_something_else_is_kept(tmp_path):
    (tmp_path / "out.partial").mkdir()
    (tmp_path / "out.partial" / "letter").touch()
    with pytest.raises(InvalidInput, match="is none"):
        PartialFolder(tmp_path / "out", THING).refuse_existing(force=True)
    assert os.listdir(tmp_path / "out.partial") == ["letter"]
