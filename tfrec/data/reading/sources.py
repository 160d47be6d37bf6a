"""Which files a source means: a path, a folder, a pattern, a URL, or several of them."""

from __future__ import annotations

import atexit
import glob
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput, Unavailable

SUFFIXES = (
    ".csv", ".tsv", ".txt", ".dat", ".data", ".inter", ".item", ".user", ".json", ".jsonl", ".ndjson", ".parquet",
    ".pq", ".xlsx", ".xls", ".tab", ".psv",
)  # fmt: skip
PACKED = (".gz", ".zst", ".zip", ".bz2", ".xz")
FORMATS = f"{', '.join(SUFFIXES)}, packed as {', '.join(PACKED)} or not"

_workspaces: list[str] = []


def workspace() -> Path:
    """A temporary folder of this process for what is unpacked or fetched; it goes when the process ends."""
    if not _workspaces:
        _workspaces.append(tempfile.mkdtemp(prefix="tfrec-reading-"))
        atexit.register(shutil.rmtree, _workspaces[0], ignore_errors=True)
    return Path(_workspaces[0])


def files_of(source: str | Path | Sequence[str | Path], what: str) -> list[Path]:
    """The files of a source, in the order given and inside a folder or pattern by name.

    Args:
        source: A file; a folder, of which every file of a known kind is read, at any depth; a pattern with * or ?; a
            URL that fsspec opens; or several of these.
        what: What the input is called in messages.

    Raises:
        InvalidInput: There is nothing there, or a file is empty.
        Unavailable: A URL, and fsspec is not installed.
    """
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    if not sources:
        raise InvalidInput(f"{what}: no file was given. Give a file, a folder or a pattern.")
    return _not_empty([file for each in sources for file in _files(each, what)], source, what)


def locations(source: str | Path | Sequence[str | Path], what: str) -> list[str]:
    """Where the files of a source are: paths, and URLs of single files, of which none is fetched.

    Args:
        source, what: As for `files_of`.
    """
    sources = [source] if isinstance(source, (str, Path)) else list(source)
    if not any("://" in str(each) for each in sources):
        return list(map(str, files_of(sources, what)))
    places: list[str] = []
    for each in sources:
        if "://" in str(each):
            system, names = _listed(str(each), what)
            places += [str(system.unstrip_protocol(name)) for name in names]
        else:
            places += map(str, files_of(each, what))
    return places


def _not_empty(files: list[Path], source: object, what: str) -> list[Path]:
    empty = next((file for file in files if file.stat().st_size == 0), None)
    if empty is not None:
        if len(files) == 1:
            raise InvalidInput(f"{what}: {empty} is empty. A header and at least one row are needed.")
        files = [file for file in files if file.stat().st_size]
        if not files:
            raise InvalidInput(f"{what}: all files of {source} are empty.")
    return files


def _files(source: str | Path, what: str) -> list[Path]:
    text = str(source)
    if "://" in text:
        return _fetched(text, what)
    path = Path(source)
    try:
        if path.is_dir():
            found = sorted(p for p in path.rglob("*") if p.is_file() and _is_data(p.relative_to(path)))
            if not found:
                raise InvalidInput(f"{what}: the folder {path} holds no file of {FORMATS}.")
            return found
        if path.is_file():
            return [path]
    except (OSError, ValueError):
        raise InvalidInput(f"{what}: {text[:200]!r} is not the name of a file.") from None
    if glob.has_magic(text):
        matches = sorted(p for name in glob.glob(text, recursive=True) for p in _files(name, what))
        if matches:
            return matches
    raise InvalidInput(f"{what}: there is no file {path}. Give the path of a file of {FORMATS}, a folder or a pattern.")


def _is_data(path: Path) -> bool:
    """Whether a file of a folder is part of the data: Spark and others leave _SUCCESS and hidden files beside it."""
    if any(part.startswith((".", "_")) for part in path.parts):
        return False
    return any(suffix in SUFFIXES + PACKED for suffix in map(str.lower, path.suffixes[-2:])) or "part-" in path.name


def _fetched(url: str, what: str) -> list[Path]:
    """Copies of the files that a URL names, in the workspace."""
    system, names = _listed(url, what)
    try:
        folder = Path(tempfile.mkdtemp(dir=workspace()))
        files = []
        for place, name in enumerate(names):
            files.append(folder / str(place) / Path(name).name)
            files[-1].parent.mkdir()
            system.get_file(name, str(files[-1]))
    except Exception as error:
        raise InvalidInput(f"{what}: cannot open {url}: {error}") from None
    return files


def _listed(url: str, what: str) -> tuple[Any, list[str]]:
    """The file system of a URL, and the files there, by name."""
    try:
        import fsspec
    except ImportError:
        raise Unavailable(f"{what}: {url} needs fsspec. pip install 'tfrec-bert[formats]'") from None
    try:
        system, root = fsspec.core.url_to_fs(url)
        names = sorted(system.glob(root)) if glob.has_magic(root) else [root]
        names = [n for name in names for n in (sorted(system.find(name)) if system.isdir(name) else [name])]
    except ImportError as error:
        raise Unavailable(f"{what}: {url}: {error}.") from None
    except Exception as error:
        raise InvalidInput(f"{what}: cannot open {url}: {error}") from None
    if not names:
        raise InvalidInput(f"{what}: there is nothing at {url}.")
    return system, names
