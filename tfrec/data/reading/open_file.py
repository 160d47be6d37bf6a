"""One file as a lazy frame: finds out what it is, and says so."""

from __future__ import annotations

import ast
import json
import shlex
import tempfile
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from tfrec.config.inputs import InputConfig
from tfrec.data.reading import unpack
from tfrec.data.reading.dialect import Dialect, find_dialect
from tfrec.data.reading.frames import UNREADABLE, first_line
from tfrec.data.reading.guesses import SECTIONS, names_for
from tfrec.data.reading.notices import Notice
from tfrec.data.reading.sources import FORMATS, workspace
from tfrec.errors import InvalidInput, Unavailable


@dataclass(frozen=True)
class OpenFile:
    """A file as a lazy frame; `typed` where the file itself has types (Parquet, JSON), else all columns are text.

    `kind` says what the file was taken for, `name` is its name.
    """

    frame: pl.LazyFrame
    typed: bool
    kind: str
    notices: tuple[Notice, ...] = ()
    name: str = ""


def open_file(
    path: Path, what: str, config: InputConfig, wanted: Collection[str] = (), alone: str = ""
) -> list[OpenFile]:
    """The file as lazy frames: one, or one a member of a zip archive.

    Args:
        path: The file.
        what: "events", "items" or "users", or what else the input is called in messages.
        config: The section of this input.
        wanted: Names of columns that the file is to have.
        alone: Name of the only column of a text of one field a line without a header; "" where there is no such thing.

    Raises:
        InvalidInput: It cannot be read, or it cannot be told how; the message has the flags that say how.
        Unavailable: A package that reads this kind of file is not installed.
    """
    packing = unpack.magic(path)
    if packing == "zip":
        members = unpack.zip_members(path, what)
        return [opened for member in members for opened in open_file(member, what, config, wanted, alone)]
    try:
        opened = _open(path, packing, what, config, wanted, alone)
    except UNREADABLE as error:
        raise InvalidInput(f"{what}: cannot read {path}: {first_line(error)}") from None
    return [replace(opened, name=path.name)]


def _open(path: Path, packing: str, what: str, config: InputConfig, wanted: Collection[str], alone: str) -> OpenFile:
    if packing == "parquet" or config.format == "parquet" or path.suffix.lower() in (".parquet", ".pq"):
        frame = pl.scan_parquet(path, hive_partitioning=False)
        frame.collect_schema()
        return OpenFile(frame, True, "Parquet")
    if packing in ("xlsx", "xls"):
        return _excel(path, what, config)
    if path.suffix.lower() in (".xlsx", ".xls") and config.format is None:
        raise InvalidInput(f"{what}: cannot read {path.name}: it is named as a workbook, and is none.")
    start = unpack.head(path, packing)
    encoding = config.encoding or unpack.find_encoding(path, packing, start)
    text = unpack.decode(start, encoding)
    form = config.format or _form(text)
    if form == "text" and "\0" in text[:4000]:
        raise InvalidInput(f"{what}: {path.name} holds no text and no format that is known. Use one of {FORMATS}.")
    notices = []
    if encoding not in ("utf-8", "utf-8-sig"):
        path, lost = unpack.as_utf8(path, packing, encoding)
        packing = ""
        section = f"data.{what}.encoding" if what in SECTIONS else "the encoding UTF-8"
        if not config.encoding:
            notices.append(Notice(f"{what}: {path.name} is no UTF-8; read as {encoding} ({section} says another)."))
        notices += _undecodable(what, path, lost)
    elif "\ufffd" in text:
        notices += _undecodable(what, path, text.count("\ufffd"))
    if form in ("json", "jsonl", "python"):
        opened = _json(path, packing, form, what)
    else:
        opened = _table(path, packing, text, what, config, wanted, alone)
    return replace(opened, notices=(*notices, *opened.notices))


def _undecodable(what: str, path: Path, lost: int) -> list[Notice]:
    return [Notice(f"{what}: {lost} characters of {path.name} could not be decoded and became U+FFFD.", True)] * bool(
        lost
    )


def _form(text: str) -> str:
    start = text.lstrip("\ufeff \t\r\n")
    if start[:1] == "[":
        return "json" if start[1:].lstrip()[:1] in ("{", "]") else "text"
    if start[:1] != "{":
        return "text"
    inside = start[1:].lstrip()
    return "python" if inside.startswith(("'", "u'", 'u"')) else "jsonl"


def _excel(path: Path, what: str, config: InputConfig) -> OpenFile:
    """The first sheet, with every cell as text; a whole number is written without a point."""
    try:
        import fastexcel
    except ImportError:
        raise Unavailable(f"{what}: {path.name} needs fastexcel. pip install 'tfrec-bert[formats]'") from None
    try:
        book = fastexcel.read_excel(path)
        header = None if config.names or config.header is False else 0
        sheet = book.load_sheet(0, header_row=header, column_names=config.names, dtypes="string")
        frame: pl.DataFrame = sheet.to_polars()
    except fastexcel.FastExcelError as error:
        raise InvalidInput(f"{what}: cannot read {path}: {first_line(error)}") from None
    return OpenFile(frame.lazy(), False, f"the sheet {book.sheet_names[0]!r} of a workbook")


def _json(path: Path, packing: str, form: str, what: str) -> OpenFile:
    kind = "JSON lines"
    if form == "python":
        kind, path, packing = "lines of Python", _python_to_json(path, packing, what), ""
    elif form == "jsonl" and not _one_object_a_line(path, packing):
        form = "json"
    if form == "json":
        with closing(unpack.opened(path, packing)) as stream:
            return OpenFile(_json_array(stream.read(), what, path), True, "JSON")
    if packing not in ("", "gz", "zst"):
        path, _ = unpack.as_utf8(path, packing, "utf-8-sig")
    frame = pl.scan_ndjson(path, infer_schema_length=None)
    frame.collect_schema()
    return OpenFile(frame, True, kind)


def _one_object_a_line(path: Path, packing: str) -> bool:
    """Whether the first line is an object by itself; one written over several lines is not."""
    with closing(unpack.opened(path, packing)) as stream:
        first = next((line for line in stream if line.strip()), b"")
    try:
        json.loads(first.decode("utf-8-sig", "replace"))
        return True
    except ValueError:
        return first.rstrip().endswith(b"}")


def _json_array(content: bytes, what: str, path: Path) -> pl.LazyFrame:
    try:
        return pl.read_json(content, infer_schema_length=None).lazy()
    except UNREADABLE:
        pass
    try:
        rows = json.loads(content)
        rows = rows if isinstance(rows, list) else [rows]
        return pl.DataFrame(rows, infer_schema_length=None, strict=False).lazy()
    except (*UNREADABLE, ValueError, TypeError) as error:
        raise InvalidInput(f"{what}: cannot read {path.name} as JSON: {first_line(error)}") from None


def _python_to_json(path: Path, packing: str, what: str) -> Path:
    """JSON lines of a file that holds one Python dictionary a line, as some well-known catalogues do."""
    target = Path(tempfile.mkdtemp(dir=workspace())) / f"{path.name}.jsonl"
    with closing(unpack.opened(path, packing)) as stream, target.open("w", encoding="utf-8") as out:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                row = ast.literal_eval(line.decode("utf-8", "replace").strip())
                out.write(json.dumps(row, ensure_ascii=False) + "\n")
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
                raise InvalidInput(
                    f"{what}: line {number} of {path.name} is no Python dictionary: {first_line(error)}."
                ) from None
    return target


def _table(
    path: Path, packing: str, text: str, what: str, config: InputConfig, wanted: Collection[str], alone: str
) -> OpenFile:
    suffix = next((s for s in reversed(path.suffixes) if s not in (".gz", ".zst", ".bz2", ".xz", ".zip")), "").lower()
    if config.format == "tsv" and not config.separator:
        config = config.model_copy(update={"separator": "\t"})
    dialect = find_dialect(text.removeprefix("\ufeff"), suffix, config, wanted)
    if not dialect.rows:
        raise InvalidInput(f"{what}: {path.name} has no line that is not blank. A header and a row are needed.")
    if alone and not dialect.separator and not dialect.header and not config.names:
        config, dialect = config.model_copy(update={"names": [alone]}), replace(dialect, header=False)
    if dialect.header is None or (dialect.header is False and not config.names):
        raise InvalidInput(_ask_for_names(path, text, dialect, what))
    if packing not in ("", "gz", "zst"):
        path, _ = unpack.as_utf8(path, packing, "utf-8")
    return OpenFile(_scan(path, packing, dialect, config, what), False, str(dialect))


def _ask_for_names(path: Path, text: str, dialect: Dialect, what: str) -> str:
    first = text.removeprefix("\ufeff").lstrip("\r\n").splitlines()[0]
    shown = first if len(first) <= 160 else first[:160] + "…"
    names = f"[{','.join(names_for(dialect.rows, what))}]"
    if what not in SECTIONS:
        return f"{what}: {path.name} has no header; its first line is\n  {shown}\nPut a line with names above it."
    flags = f"--set {shlex.quote(f'data.{what}.names={names}')}"
    if dialect.header is None:
        return (
            f"{what}: it cannot be told whether the first line of {path.name} names its columns:\n  {shown}\n"
            f"If it does, pass\n  --set data.{what}.header=true\nIf not, name them in order, e.g.\n  {flags}"
        )
    return (
        f"{what}: {path.name} has no header; its first line is\n  {shown}\nName its columns in order, e.g.\n  {flags}"
    )


def _scan(path: Path, packing: str, dialect: Dialect, config: InputConfig, what: str) -> pl.LazyFrame:
    names = config.names or _unique([field.strip() for field in dialect.rows[0]])
    if all(":" in name for name in names) and not config.names:
        names = [name.split(":")[0] for name in names]  # RecBole's name:type
    if config.names and len(names) != len(dialect.rows[0]):
        raise InvalidInput(
            f"{what}: data.{what}.names has {len(names)} names and the first line of {path.name} "
            f"{len(dialect.rows[0])} fields:\n  {dialect.rows[0]}"
        )
    if dialect.escape:
        return _with_escapes(path, packing, dialect, names).lazy()
    if len(dialect.separator) != 1:
        return _split_lines(path, dialect, names)
    return pl.scan_csv(
        path,
        separator=dialect.separator,
        quote_char=dialect.quote,
        has_header=False,
        skip_rows=int(bool(dialect.header)),
        schema={name: pl.String for name in names},
        encoding="utf8-lossy",
        glob=False,
    )


def _unique(names: list[str]) -> list[str]:
    """The names, with _2, _3 … after those that were there before; blank ones get their place."""
    seen: dict[str, int] = {}
    unique = []
    for place, name in enumerate(names, 1):
        name = name or f"column_{place}"
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return unique


def _split_lines(path: Path, dialect: Dialect, names: list[str]) -> pl.LazyFrame:
    """A file whose separator has no or several characters: lines are read whole and split here."""
    lines = pl.scan_csv(
        path, separator="\x1e", quote_char=None, has_header=False, skip_rows=int(bool(dialect.header)),
        schema={"line": pl.String}, encoding="utf8-lossy", glob=False,
    )  # fmt: skip
    line = pl.col("line").str.strip_chars_end("\r")
    if not dialect.separator:
        return lines.select(line.alias(names[0]))
    fields = line.str.splitn(dialect.separator, len(names)).struct.rename_fields(names)
    return lines.select(fields.alias("fields")).unnest("fields").with_columns(pl.all().replace("", None))


def _with_escapes(path: Path, packing: str, dialect: Dialect, names: list[str]) -> pl.DataFrame:
    """A table with an escape character before quotes, which Polars does not know and Arrow does."""
    import pyarrow as pa
    from pyarrow import csv as arrow_csv

    text = arrow_csv.ConvertOptions(
        column_types={name: pa.string() for name in names}, strings_can_be_null=True, null_values=[""],
        quoted_strings_can_be_null=True,
    )  # fmt: skip
    rows = arrow_csv.ReadOptions(column_names=names, skip_rows=int(bool(dialect.header)), encoding="utf-8")
    parse = arrow_csv.ParseOptions(
        delimiter=dialect.separator, quote_char=dialect.quote, escape_char=dialect.escape, newlines_in_values=True
    )
    try:
        with closing(unpack.opened(path, packing)) as stream:
            frame = pl.from_arrow(arrow_csv.read_csv(stream, rows, parse, text))
    except pa.ArrowInvalid as error:
        raise InvalidInput(f"Cannot read {path.name}: {first_line(error)}") from None
    assert isinstance(frame, pl.DataFrame)
    return frame
