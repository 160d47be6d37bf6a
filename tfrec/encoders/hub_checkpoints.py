"""Checkpoints of the Hugging Face hub, pinned by the person who uses them: NAME@COMMIT or NAME@COMMIT#SHA256."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import OutputKind, atomic_folder, cache_dir, folder_lock
from tfrec.files.checksums import folder_checksum
from tfrec.progress import say

REPOSITORIES = {
    "all-distilroberta-v1": "sentence-transformers/all-distilroberta-v1",
    "all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2",
    "bge-m3": "BAAI/bge-m3",
    "bge-small-en-v1.5": "BAAI/bge-small-en-v1.5",
    "modernbert-embed-base": "nomic-ai/modernbert-embed-base",
    "multilingual-e5-small": "intfloat/multilingual-e5-small",
    "nomic-embed-text-v1.5": "nomic-ai/nomic-embed-text-v1.5",
    "paraphrase-multilingual-minilm-l12-v2": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "potion-base-8m": "minishlab/potion-base-8M",
    "static-retrieval-mrl-en-v1": "sentence-transformers/static-retrieval-mrl-en-v1",
}
"""Short names of encoders whose families tfrec has. No hash of them is shipped."""

_FILES = ("*.json", "*/*.json", "model.safetensors", "*/model.safetensors", "vocab.txt", "merges.txt")
_NAME = re.compile(r"(?P<repo>[\w.-]+(/[\w.-]+)?)@(?P<commit>[0-9a-f]{40})(#(?P<sha256>[0-9a-f]{64}))?")
_DOWNLOAD = OutputKind("a download", {})


def names_hub_checkpoint(name: str) -> bool:
    """Whether a name is of the form NAME@COMMIT, or one of `REPOSITORIES`; a folder of that name comes first.

    Example:
        >>> names_hub_checkpoint("bge-m3"), names_hub_checkpoint("encoders/mine")
        (True, False)
    """
    repository = name.split("@", 1)[0]
    known = repository in REPOSITORIES or bool("@" in name and re.fullmatch(r"[\w.-]+/[\w.-]+", repository))
    return known and not Path(name).exists()


def hub_folder(name: str) -> Path:
    """The Hugging Face folder of a pinned checkpoint, downloaded on first use.

    The first download prints the checksum of the files, with which the name can be completed. Where the name has it,
    other files are refused; where it lacks it, what was downloaded first is what every later use gets.

    Args:
        name: "NAME@COMMIT" or "NAME@COMMIT#SHA256". NAME is one of `REPOSITORIES` or "owner/repository".

    Raises:
        InvalidInput: The name has no commit, or the files have another checksum.
        Unavailable: It is not cached, and the hub cannot be reached.
    """
    parts = _NAME.fullmatch(name)
    if parts is None or (parts["repo"] not in REPOSITORIES and "/" not in parts["repo"]):
        raise InvalidInput(
            f"Expected NAME@COMMIT, the 40 digits of a commit at the hub; received {name!r}. tfrec ships no hash of "
            "this encoder, so say which one you mean: its page lists the commits under Files, History."
        )
    repository, commit = REPOSITORIES.get(parts["repo"], parts["repo"]), parts["commit"]
    folder = cache_dir() / "assets" / f"{repository.replace('/', '--')}-{commit[:12]}"
    if not folder.is_dir():
        with folder_lock(folder.parent):
            if not folder.is_dir():  # another process wrote it while this one waited
                _download(repository, commit, parts["sha256"], folder)
    _check(folder, parts["sha256"])
    return folder


def _check(folder: Path, expected: str | None) -> None:
    received = folder_checksum(folder)
    if expected not in (None, received):
        raise InvalidInput(
            f"Expected the files of {folder.name} with checksum {expected}, received {received}. They were not used: "
            f"check the name, or delete {folder} to fetch them again."
        )


def _download(repository: str, commit: str, expected: str | None, folder: Path) -> None:
    say(f"Downloading {repository} at {commit[:12]} from the Hugging Face hub (once)")
    with tempfile.TemporaryDirectory() as scratch:
        _fetch(repository, commit, Path(scratch))
        shutil.rmtree(Path(scratch) / ".cache", ignore_errors=True)  # the library's own notes
        _check(Path(scratch), expected)
        with atomic_folder(folder, _DOWNLOAD) as work:
            shutil.copytree(scratch, work, dirs_exist_ok=True)
    if expected is None:
        say(f"To pin these files: {repository}@{commit}#{folder_checksum(folder)}")


def _fetch(repository: str, commit: str, into: Path) -> None:
    advice = f"Go online, or download {repository} elsewhere and import its folder: tfrec encoder import FOLDER."
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise Unavailable(
            f"{repository} is not in the cache, and huggingface_hub, which downloads it, is not installed. Install it "
            f"(pip install huggingface_hub). {advice}"
        ) from None
    try:
        snapshot_download(repository, revision=commit, allow_patterns=list(_FILES), local_dir=str(into))
    except Exception as error:  # its errors are of several libraries, which change with its version
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Unavailable(f"{repository} is not in the cache, and the hub did not give it: {reason} {advice}") from None
