"""Which names are versions, and that what could block a reader for ever is refused."""

import logging
import os
import socket
from pathlib import Path

import pytest

from tfrec.errors import InvalidInput
from tfrec.serving.exporting.export import next_version
from tfrec.serving.version_folders import refuse_special_files, servable_versions, version_folders

LARGEST = 9_223_372_036_854_775_807
"""Of int64."""


def test_numbers_beyond_int64_are_ignored_with_one_warning(tmp_path, caplog):
    for name in ("1", str(LARGEST + 1), "9" * 200, "٣", "-1", "x", ".2.tmp-y"):
        (tmp_path / name).mkdir()
    with caplog.at_level(logging.WARNING, "tfrec.serving"):
        assert version_folders(tmp_path) == {1: tmp_path / "1"}
        assert next_version(tmp_path) == 2
        version_folders(tmp_path)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 2 and all("is ignored" in message for message in warned)
    (tmp_path / str(LARGEST)).mkdir()
    with pytest.raises(InvalidInput, match="there is none after that"):
        next_version(tmp_path)


def test_of_two_names_for_a_number_the_plain_one_counts(tmp_path):
    for name in ("007", "7"):
        (tmp_path / name).mkdir()
    assert version_folders(tmp_path) == {7: tmp_path / "7"}
    assert servable_versions(tmp_path) == {}


@pytest.fixture
def device():
    """A device that any user may name."""
    return Path("/dev/zero")


@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "pipe behind a link", "pipe in a linked folder"])
def test_what_is_no_plain_file_is_refused(tmp_path, kind, device):
    version, elsewhere = tmp_path / "1", tmp_path / "elsewhere"
    for folder in (version, elsewhere):
        folder.mkdir()
    (version / "saved_model.pb").write_bytes(b"")
    (version / "to nothing").symlink_to(tmp_path / "none")
    (version / "round").symlink_to(version)
    refuse_special_files(version)
    if kind == "device":
        (version / "odd").symlink_to(device)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(str(version / "odd"))
    else:
        os.mkfifo((version if kind == "pipe" else elsewhere) / "odd")
    if kind == "pipe behind a link":
        (version / "variables").symlink_to(elsewhere / "odd")
    if kind == "pipe in a linked folder":
        (version / "variables").symlink_to(elsewhere)
    with pytest.raises(InvalidInput, match=f"is a {kind.split()[0]}"):
        refuse_special_files(version)
