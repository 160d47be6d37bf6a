"""Work in progress belongs to one living process at a time, from its first instant."""

import contextlib

import pytest

from tfrec.errors import InvalidInput
from tfrec.files import OutputKind, PartialFolder, partial_folder
from tfrec.files.locks import lock

KIND = OutputKind("interrupted work", {"work.json": ("step",)})


def write(folder):
    (folder / "work.json").write_text('{"step": 1}')


@pytest.mark.parametrize("force", [False, True])
def test_no_other_process_can_take_the_folder_between_its_creation_and_its_lock(tmp_path, monkeypatch, force):
    create, tried = partial_folder.atomic_folder, []

    @contextlib.contextmanager
    def then_somebody_tries(path, *arguments):
        with create(path, *arguments) as work:
            yield work
        with pytest.raises(BlockingIOError), lock(path):
            pass
        tried.append(path)

    monkeypatch.setattr(partial_folder, "atomic_folder", then_somebody_tries)
    partial = PartialFolder(tmp_path / "run", KIND)
    if force:
        partial.folder.mkdir()
        write(partial.folder)
    with partial.begun(write, force):
        with pytest.raises(InvalidInput, match="Another process is at work in .*run.partial"), partial.locked():
            pass
        partial.folder.rename(tmp_path / "run")  # as when it is done
        with pytest.raises(BlockingIOError), lock(tmp_path / "run"):
            pass
    assert tried == [partial.folder]
    with lock(tmp_path / "run"):
        pass


def test_a_folder_that_another_process_has_just_finished_is_no_folder_without_locks(tmp_path):
    partial = PartialFolder(tmp_path / "run", KIND)
    with pytest.raises(InvalidInput, match="run.partial is gone: .* Run the command again"), partial.locked():
        raise AssertionError("it was not there")
