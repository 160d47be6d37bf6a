"""A folder that tfrec wrote, read back: whole, unchanged, and with one clear message where it is not."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.files.checksums import sha256_of
from tfrec.progress import say

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

FILES: Final = "files"
"""The key of a manifest below which each file's relative name and SHA-256 are."""

Read = TypeVar("Read")


def read_object(path: Path, required: Mapping[str, type], cure: str) -> dict[str, Any]:
    """Reads the JSON object that says what a folder is.

    Args:
        path: The file.
        required: Name to type of what must be in it.
        cure: What to do about a damaged folder, as the last sentence of the message.

    Raises:
        InvalidInput: It is missing, is not JSON, is not an object, or lacks something.
    """
    try:
        content = read_json(path)
    except InvalidInput as error:
        raise InvalidInput(f"{error} {cure}") from None
    if not isinstance(content, dict):
        raise InvalidInput(f"{path} must hold a JSON object, received a {type(content).__name__}. {cure}")
    for name, kind in {**required, **({FILES: dict} if FILES in content else {})}.items():
        if not isinstance(content.get(name), kind):
            raise InvalidInput(
                f"{path} is damaged: expected {name!r} of type {kind.__name__}, received {content.get(name)!r}. {cure}"
            )
    return content


class StoredFolder:
    """The files of a folder whose manifest lists them with their SHA-256.

    A file is checked when it is read, so that what nobody reads costs nothing, and again when it has changed since.
    A folder of an older version lists none; its files are read as they are, and that is said once.

    Args:
        path: The folder.
        manifest: Its manifest, of `read_object`.
        cure: What to do about a damaged folder, as the last sentence of each message.
    """

    def __init__(self, path: Path, manifest: Mapping[str, Any], cure: str) -> None:
        self.path, self.cure = path, cure
        self._checksums: dict[str, str] | None = manifest.get(FILES)
        if self._checksums is None:
            _say_unchecked(path)

    def has(self, name: str) -> bool:
        """Whether the folder has the file, as part of what was written."""
        return (self.path / name).is_file() if self._checksums is None else name in self._checksums

    def file(self, name: str) -> Path:
        """The path of a file that is as it was written.

        Raises:
            InvalidInput: It is missing, was changed, or did not come with the folder.
        """
        path = self.path / name
        if not path.is_file():
            raise InvalidInput(f"{self.path} is damaged: it has no {name}. {self.cure}")
        if self._checksums is None:
            return path
        if name not in self._checksums:
            raise InvalidInput(f"{path} did not come with {self.path}: its manifest has no such file. {self.cure}")
        if (received := sha256_of(path)) != self._checksums[name]:
            raise InvalidInput(
                f"{path} has changed since it was written: expected SHA-256 {self._checksums[name][:12]}…, received "
                f"{received[:12]}…. {self.cure}"
            )
        return path

    def folder(self, name: str) -> Path | None:
        """The path of a folder below whose files are as they were written; None if there is none."""
        path = self.path / name
        if self._checksums is None:
            return path if path.is_dir() else None
        below = [file for file in self._checksums if file.startswith(f"{name}/")]
        for file in below:
            self.file(file)
        return path if below else None

    def check(self) -> None:
        """Checks all files that the manifest lists; `InvalidInput` names the first that is not as it was written."""
        for name in self._checksums or ():
            self.file(name)

    def parquet(self, name: str, columns: Iterable[str] = ()) -> pl.DataFrame:
        """The table in a Parquet file, which must have some columns."""
        return read_table(self.file(name), self.cure, columns)

    def array(self, name: str) -> np.ndarray:
        """The array in a NumPy file."""
        import numpy as np

        return _read(self.file(name), lambda path: np.load(path, allow_pickle=False), self.cure)

    def json(self, name: str) -> Any:
        """The content of a JSON file."""
        return _read(self.file(name), read_json, self.cure)


def read_table(path: Path, cure: str, columns: Iterable[str] = ()) -> pl.DataFrame:
    """The table in a Parquet or CSV file, which must have some columns; `InvalidInput` says why it cannot be read."""
    import polars as pl

    def read_csv(file: Path) -> pl.DataFrame:
        return pl.read_csv(file, infer_schema_length=None)

    frame = _read(path, read_csv if path.suffix == ".csv" else pl.read_parquet, cure)
    if lacking := set(columns) - set(frame.columns):
        raise InvalidInput(f"{path} is damaged: it has no column {min(lacking)!r}. {cure}")
    return frame


def read_arrays(path: Path, cure: str) -> dict[str, np.ndarray]:
    """The arrays in an .npz file, by name; `InvalidInput` says why it cannot be read."""
    import numpy as np

    def read(file: Path) -> dict[str, np.ndarray]:
        with np.load(file, allow_pickle=False) as stored:
            return dict(stored)

    return _read(path, read, cure)


def _read(path: Path, read: Callable[[Path], Read], cure: str) -> Read:
    try:
        return read(path)
    except MemoryError:
        raise
    except Exception as error:  # each library has its own errors for bytes that it cannot read
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InvalidInput(f"{path} cannot be read ({reason}). {cure}") from error


@lru_cache(maxsize=1024)
def _say_unchecked(path: Path) -> None:
    say(f"{path} comes from a version of tfrec that recorded no hashes: its files are not checked.")
