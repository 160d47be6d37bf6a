"""Which versions are loaded and which states are shown, with folders in place of models."""

import asyncio
import os
import shutil
from types import SimpleNamespace

import pytest

from tfrec.serving.local.version_manager import END, Versions
from tfrec.serving.version_folders import refuse_special_files


def load(folder):
    """A version that answers with its number; what `LoadedVersion` refuses first is refused here too."""
    refuse_special_files(folder)
    if (folder / "saved_model.pb").read_text() == "broken":
        raise ValueError("it is broken")
    return SimpleNamespace(number=int(folder.name))


@pytest.fixture
def versions(tmp_path):
    managed = Versions(tmp_path / "m", load)
    yield managed
    managed.close()


def place(versions, number, text=""):
    folder = versions.folder / str(number)
    folder.mkdir(parents=True)
    (folder / "saved_model.pb").write_text(text)
    return folder


def refresh(versions):
    return asyncio.run(asyncio.wait_for(versions.refresh(), 10))


@pytest.mark.slow
def test_a_version_that_vanished_leaves_the_status(versions):
    for number, text in ((1, ""), (2, "broken"), (3, "")):
        place(versions, number, text)
        refresh(versions)
    assert {n: s.state for n, s in versions.states.items()} == {1: END, 2: END, 3: 30}
    for number in (1, 2):
        shutil.rmtree(versions.folder / str(number))
    refresh(versions)
    assert list(versions.states) == [3]
    shutil.rmtree(versions.folder / "3")  # still answers, so it is still shown
    refresh(versions)
    assert list(versions.states) == [3] and versions.find().number == 3
    place(versions, 4)
    refresh(versions)
    assert list(versions.states) == [4]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_a_pipe_among_a_versions_files_is_refused_and_blocks_no_other(versions, name):
    place(versions, 1)
    folder = place(versions, 2)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    refresh(versions)
    assert "is a pipe" in versions.states[2].error and versions.find().number == 1
    place(versions, 3)
    refresh(versions)
    assert versions.find().number == 3


def test_a_number_that_no_server_can_hold_is_no_version(versions):
    place(versions, 1)
    place(versions, 2**63)
    refresh(versions)
    assert list(versions.loaded) == list(versions.states) == [1]
