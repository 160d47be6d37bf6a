"""Checkpoints of the hub: pinned by commit, verified where the name has a checksum, clear where there is no network."""

import shutil
import sys
from types import SimpleNamespace

import pytest

from tfrec.encoders import hub_checkpoints
from tfrec.encoders.hub_checkpoints import hub_folder, names_hub_checkpoint
from tfrec.encoders.presets import checkpoint_folder, is_preset
from tfrec.errors import InvalidInput, Unavailable
from tfrec.files.checksums import folder_checksum

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NAME = f"bge-small-en-v1.5@{COMMIT}"


@pytest.fixture
def hub(tiny_hf_bert, tmp_path, monkeypatch):
    """Downloads, as (repository, commit); the hub gives the same small BERT for each."""
    calls = []

    def snapshot_download(repository, revision, allow_patterns, local_dir):
        calls.append((repository, revision))
        shutil.copytree(tiny_hf_bert, local_dir, dirs_exist_ok=True)

    monkeypatch.setenv("TFREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "huggingface_hub", SimpleNamespace(snapshot_download=snapshot_download))
    return calls


def test_a_pinned_checkpoint_is_downloaded_once_and_verified(hub, tiny_hf_bert, capsys):
    folder = checkpoint_folder(NAME)
    checksum = folder_checksum(tiny_hf_bert)
    assert f"#{checksum}" in "".join(capsys.readouterr())
    assert checkpoint_folder(f"{NAME}#{checksum}") == checkpoint_folder(f"BAAI/{NAME}") == folder
    assert hub == [("BAAI/bge-small-en-v1.5", COMMIT)]
    with pytest.raises(InvalidInput, match=f"checksum {'0' * 64}, received {checksum}"):
        hub_folder(f"{NAME}#{'0' * 64}")
    (folder / "config.json").write_text("{}")
    with pytest.raises(InvalidInput, match="delete"):
        hub_folder(f"{NAME}#{checksum}")


def test_files_with_another_checksum_are_not_kept(hub, tmp_path):
    with pytest.raises(InvalidInput, match="checksum"):
        hub_folder(f"{NAME}#{'0' * 64}")
    assert not [path for path in (tmp_path / "cache" / "assets").iterdir() if path.is_dir()]


@pytest.mark.parametrize("name", ["bge-m3", "bge-m3@main", f"other@{COMMIT}", f"bge-m3@{COMMIT}#12", "owner/repo@v1"])
def test_a_name_without_a_commit_is_refused(hub, name):
    with pytest.raises(InvalidInput, match="NAME@COMMIT"):
        hub_folder(name)
    assert not hub


def test_which_names_are_of_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_hub_checkpoint("bge-m3") and is_preset(f"owner/repo@{COMMIT}")
    (tmp_path / "bge-m3").mkdir()
    assert not any(map(is_preset, ("bge-m3", "encoders/mine", "/data/a@b/encoder", "a@b|c")))


def test_without_a_network_or_the_library_it_says_what_to_do(hub, monkeypatch):
    def offline(*_, **__):
        raise ConnectionError("no route")

    monkeypatch.setattr(sys.modules["huggingface_hub"], "snapshot_download", offline)
    with pytest.raises(Unavailable, match=r"BAAI/bge-small-en-v1.5 is not in the cache.*no route.*import FOLDER"):
        hub_folder(NAME)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(Unavailable, match="pip install huggingface_hub"):
        hub_folder(NAME)


def test_the_short_names_stand_for_repositories():
    assert all(value.count("/") == 1 for value in hub_checkpoints.REPOSITORIES.values())
    assert all(name == value.split("/")[1].lower() for name, value in hub_checkpoints.REPOSITORIES.items())
