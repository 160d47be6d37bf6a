"""What a file is by its first bytes, and its content unpacked and in UTF-8."""

from __future__ import annotations

import bz2
import codecs
import gzip
import lzma
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import IO, Any

from tfrec.data.reading.sources import workspace
from tfrec.errors import InvalidInput, Unavailable

HEAD = 256 * 1024
"""Bytes that are looked at to find out what a file is."""
_BLOCK = 4 * 1024 * 1024


def _unpacking_errors() -> tuple[type[Exception], ...]:
    errors: list[type[Exception]] = [OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile]
    with suppress(ImportError):
        from zstandard import ZstdError

        errors.append(ZstdError)
    return tuple(errors)


UNPACKING = _unpacking_errors()
"""What unpacking a damaged file may raise."""
_ZIP_ERRORS: tuple[type[Exception], ...] = (RuntimeError, *UNPACKING)  # a password
_MAGIC = (
    (b"\x1f\x8b", "gz"), (b"\x28\xb5\x2f\xfd", "zst"), (b"PK\x03\x04", "zip"), (b"BZh", "bz2"),
    (b"\xfd7zXZ\x00", "xz"), (b"PAR1", "parquet"), (b"\xd0\xcf\x11\xe0", "xls"), (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"ARROW1", "arrow"), (b"SQLite format 3\x00", "sqlite"),
)  # fmt: skip


def magic(path: Path) -> str:
    """gz, zst, zip, bz2, xz, parquet, xlsx, xls, or "" for text; by the content, as names lie."""
    with path.open("rb") as file:
        start = file.read(16)
    found = next((name for bytes_, name in _MAGIC if start.startswith(bytes_)), "")
    if found == "zip" and zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return "xlsx" if "[Content_Types].xml" in archive.namelist() else "zip"
    if found in ("7z", "arrow", "sqlite"):
        raise InvalidInput(
            f"{path.name} is a {found} file, which is not read. Unpack it or write it as Parquet or CSV."
        )
    return found


def opened(path: Path, packing: str) -> IO[bytes]:
    """The unpacked content as a stream of bytes."""
    openers: dict[str, Callable[[Path], Any]] = {
        "": lambda p: p.open("rb"), "gz": gzip.open, "bz2": bz2.open, "xz": lzma.open, "zst": _open_zst,
    }  # fmt: skip
    stream: IO[bytes] = openers[packing](path)
    return stream


def _open_zst(path: Path) -> Any:
    try:
        import zstandard
    except ImportError:
        raise Unavailable(f"{path.name} needs zstandard. pip install 'tfrec-bert[formats]'") from None
    return zstandard.open(path, "rb")


def head(path: Path, packing: str) -> bytes:
    """The first bytes of the unpacked content."""
    try:
        with closing(opened(path, packing)) as stream:
            return stream.read(HEAD)
    except UNPACKING as error:
        raise InvalidInput(f"{path.name} cannot be unpacked: {error}.") from None


def zip_members(path: Path, what: str) -> list[Path]:
    """The files of a zip archive, unpacked into the workspace, in the archive's order."""
    folder = Path(tempfile.mkdtemp(dir=workspace()))
    files = []
    try:
        with zipfile.ZipFile(path) as archive:
            for place, member in enumerate(archive.infolist()):
                name = Path(member.filename).name
                if member.is_dir() or not member.file_size or name.startswith(".") or "__MACOSX" in member.filename:
                    continue
                files.append(folder / str(place) / name)
                files[-1].parent.mkdir()
                with archive.open(member) as source, files[-1].open("wb") as target:
                    while block := source.read(_BLOCK):
                        target.write(block)
    except _ZIP_ERRORS as error:
        raise InvalidInput(f"{what}: cannot unpack {path}: {error}.") from None
    if not files:
        raise InvalidInput(f"{what}: {path} holds no file.")
    return files


def find_encoding(path: Path, packing: str, start: bytes) -> str:
    """The encoding of a text: utf-8, utf-16, utf-32, or cp1252 or latin-1 where its bytes are no UTF-8 at all.

    Bytes that are no UTF-8 in a text that has UTF-8 characters too are damage, and the text stays UTF-8.
    """
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):  # fmt: skip
        if start.startswith(mark):
            return name
    if len(start) > 3 and start[:2000].count(0) > len(start[:2000]) // 4:
        return "utf-16-le" if start[1] == 0 else "utf-16-be"
    high = _bytes_beyond_ascii(path, packing)
    if high is None:
        return "utf-8"
    valid, controls = high
    return "utf-8" if valid else "latin-1" if controls else "cp1252"


def _bytes_beyond_ascii(path: Path, packing: str) -> tuple[bool, bool] | None:
    """None for text that is UTF-8 throughout; else whether it holds any UTF-8 character, and a byte cp1252 lacks."""
    valid, controls, broken = False, False, False
    undefined = bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D])
    for block in _samples(path, packing):
        try:
            valid = valid or not codecs.getincrementaldecoder("utf-8")("strict").decode(block).isascii()
        except UnicodeDecodeError:
            broken = True
            valid = valid or any(ord(c) > 127 and c != "\ufffd" for c in set(block.decode("utf-8", "replace")))
            controls = controls or any(byte in block for byte in undefined)
    return (valid, controls) if broken else None


def _samples(path: Path, packing: str) -> Iterator[bytes]:
    """Blocks of a text: all of it up to 64 MB, beyond that sixteen spread over it (its beginning, where packed).

    A block that begins inside a character is cut to the next one.
    """
    size, whole = path.stat().st_size, 16 * _BLOCK
    with closing(opened(path, packing)) as stream:
        for place in range(16):
            if place and not packing and size > whole:
                stream.seek(place * (size - _BLOCK) // 15)
            block = stream.read(_BLOCK)
            if not block:
                return
            continuation = next((i for i, byte in enumerate(block[:4]) if byte & 0xC0 != 0x80), 0)
            yield block[continuation:] if place else block


def decode(start: bytes, encoding: str) -> str:
    """The beginning of a text, whose last character may be cut; raises `InvalidInput` for an unknown encoding."""
    try:
        return codecs.getincrementaldecoder(encoding)("replace").decode(start)
    except LookupError:
        raise InvalidInput(f"There is no encoding {encoding!r}. Use one that Python knows, e.g. cp1252.") from None


def as_utf8(path: Path, packing: str, encoding: str, old: str = "", new: str = "") -> tuple[Path, int]:
    """A copy of a text in the workspace, unpacked and in UTF-8, with `old` replaced by `new`.

    Returns:
        path: The copy. undecodable: How many characters could not be decoded (each is now U+FFFD).
    """
    target = Path(tempfile.mkdtemp(dir=workspace())) / path.name
    undecodable = 0
    try:
        reader = codecs.getreader(encoding)
        with closing(opened(path, packing)) as stream, target.open("w", encoding="utf-8", newline="") as out:
            text = reader(stream, "replace")
            while block := text.read(_BLOCK):
                undecodable += block.count("\ufffd")
                out.write(block.replace(old, new) if old else block)
    except UNPACKING as error:
        raise InvalidInput(f"{path.name} cannot be read as {encoding}: {error}.") from None
    return target, undecodable
