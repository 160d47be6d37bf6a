"""Assets come from a pinned wheel, are complete or absent, and are downloaded once."""

import hashlib
import subprocess
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tfrec import downloads as assets
from tfrec.errors import InvalidInput, Unavailable


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def pip(monkeypatch, tmp_path):
    """Replaces pip by a copy of a wheel with one file; `pip.sha256` is its hash, `pip.calls` counts the downloads."""
    source = tmp_path / "thing-1-py3-none-any.whl"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr("thing/data.txt", "words")

    class Pip:
        sha256, calls = hashlib.sha256(source.read_bytes()).hexdigest(), 0
        environment = None
        contents = hashlib.sha256(f"data.txt\0{hashlib.sha256(b'words').hexdigest()}\n".encode()).hexdigest()

    def run(command, **kwargs):
        assert command[1:5] == ["-m", "pip", "download", "--no-deps"] and command[-1] == "thing==1"
        Pip.calls += 1
        Pip.environment = kwargs["env"]
        Path(command[command.index("--dest") + 1], source.name).write_bytes(source.read_bytes())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    return Pip


def test_a_wheels_files_are_kept_and_fetched_once(pip):
    for _ in range(2):
        folder = assets.fetch_wheel_members(
            "thing==1", pip.sha256, pip.contents, {"thing/data.txt": "data.txt"}, "thing"
        )
    assert (folder / "data.txt").read_text() == "words"
    assert pip.calls == 1


def test_constraints_of_what_is_installed_do_not_reach_what_is_fetched(pip, monkeypatch):
    monkeypatch.setenv("PIP_CONSTRAINT", "constraints.txt")
    monkeypatch.setenv("PIP_CACHE_DIR", "elsewhere")
    assets.fetch_wheel_members("thing==1", pip.sha256, pip.contents, {"thing/data.txt": "data.txt"}, "thing")
    assert "PIP_CONSTRAINT" not in pip.environment and pip.environment["PIP_CACHE_DIR"] == "elsewhere"


def test_concurrent_fetches_download_once(pip, monkeypatch):
    asked, both = subprocess.run, threading.Barrier(2)

    def slowly(*arguments, **options):
        time.sleep(0.2)
        return asked(*arguments, **options)

    def fetch(_):
        both.wait()
        return assets.fetch_wheel_members("thing==1", pip.sha256, pip.contents, {"thing/data.txt": "data.txt"}, "thing")

    monkeypatch.setattr(subprocess, "run", slowly)
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(fetch, range(2))
    assert one == other and (one / "data.txt").read_text() == "words"
    assert pip.calls == 1


def test_a_wheel_with_another_hash_is_not_used(pip, cache):
    with pytest.raises(InvalidInput, match=f"0000.*{pip.sha256}"):
        assets.fetch_wheel_members("thing==1", "0" * 64, pip.contents, {"thing/data.txt": "data.txt"}, "thing")
    assert not list(cache.rglob("data.txt"))


def test_a_wheel_without_the_file_leaves_nothing(pip, cache):
    with pytest.raises(InvalidInput, match="thing/other.txt"):
        assets.fetch_wheel_members("thing==1", pip.sha256, pip.contents, {"thing/other.txt": "other.txt"}, "thing")
    assert [path for path in cache.rglob("*") if path.name != "assets"] == []


def test_offline_without_a_cache_is_unavailable(monkeypatch, cache):
    def fails(command, **kwargs):
        return subprocess.CompletedProcess(command, 1, "", "WARNING: retrying\nERROR: No matching distribution found\n")

    monkeypatch.setattr(subprocess, "run", fails)
    for fetch in (assets.minilm_folder, assets.movielens_100k_folder, assets.complete_journey_folder):
        with pytest.raises(Unavailable, match=r"not in the cache .*No matching distribution found.*TFREC_CACHE"):
            fetch()


@pytest.mark.parametrize("damage", [b"", b"word", b"Words"])
def test_a_changed_file_in_the_cache_is_fetched_anew_by_the_next_use(pip, damage, capsys):
    fetch = lambda: assets.fetch_wheel_members(  # noqa: E731
        "thing==1", pip.sha256, pip.contents, {"thing/data.txt": "data.txt"}, "thing"
    )
    (fetch() / "data.txt").write_bytes(damage)
    assert (fetch() / "data.txt").read_text() == "words" and pip.calls == 2
    assert "has changed since it was downloaded" in capsys.readouterr().err
    (fetch() / "another.txt").write_text("beside it")
    assert [path.name for path in fetch().iterdir()] == ["data.txt"] and pip.calls == 3


def test_a_changed_file_is_named_and_kept_where_nothing_can_be_fetched(pip, monkeypatch):
    fetch = lambda: assets.fetch_wheel_members(  # noqa: E731
        "thing==1", pip.sha256, pip.contents, {"thing/data.txt": "data.txt"}, "thing"
    )
    file = fetch() / "data.txt"
    file.write_text("changed")
    monkeypatch.setattr(subprocess, "run", lambda command, **kw: subprocess.CompletedProcess(command, 1, "", "offline"))
    with pytest.raises(
        Unavailable, match=rf"{file.parent} has changed since it was downloaded and is not used.*offline"
    ):
        fetch()
    assert file.read_text() == "changed"


def test_files_other_than_the_expected_ones_are_not_kept(pip, cache):
    with pytest.raises(InvalidInput, match=f"checksum {'0' * 64}, received {pip.contents}"):
        assets.fetch_wheel_members("thing==1", pip.sha256, "0" * 64, {"thing/data.txt": "data.txt"}, "thing")
    assert not list(cache.rglob("data.txt"))
