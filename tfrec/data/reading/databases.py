"""Tables and queries of DuckDB, SQLite and PostgreSQL as sources.

    postgresql://host/shop          with --events-query "select … from clicks", or the name of a table
    sqlite:///shop.db   duckdb:///shop.duckdb

Rows are fetched in batches of Arrow and kept in a temporary Parquet file, so that a long table needs little memory.
User and password come from the environment (PGUSER, PGPASSWORD, ~/.pgpass) or from the URL; messages leave out whatever
stands before the @, and nothing of the URL is kept.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from tfrec.data.reading.frames import first_line
from tfrec.data.reading.sources import workspace
from tfrec.errors import InvalidInput, Unavailable

SCHEMES = ("postgresql", "postgres", "sqlite", "duckdb")
_NAME = re.compile(r"[\w.\"]+")


def is_database(source: object) -> bool:
    """Whether a source is the URL of a database."""
    return isinstance(source, str) and source.split("://", 1)[0] in SCHEMES and "://" in source


def without_secrets(url: str) -> str:
    """The URL without user and password.

    Example:
        >>> without_secrets("postgresql://me:secret@db/shop?password=x")
        'postgresql://db/shop'
    """
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.split('?')[0].rpartition('@')[2]}"


def read_table(url: str, query: str | None, what: str) -> pl.LazyFrame:
    """The rows of a query or table.

    Args:
        url: Of the database.
        query: SQL, or the name of a table.
        what: What the input is called in messages.

    Raises:
        InvalidInput: No query, a database that does not answer, or a query that it refuses.
        Unavailable: Its driver is not installed.
    """
    if not query:
        raise InvalidInput(
            f"{what}: {without_secrets(url)} is a database. Name a table or a query of it, e.g. "
            f"--set 'data.{what}.query=select user_id, item_id, timestamp from clicks'"
        )
    statement = f"select * from {query.strip()}" if _NAME.fullmatch(query.strip()) else query
    path = Path(tempfile.mkdtemp(dir=workspace())) / "rows.parquet"
    try:
        with _batches(url, statement, what) as batches, pq.ParquetWriter(path, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
    except (InvalidInput, Unavailable):
        raise
    except Exception as error:  # each driver has its own errors, and says which statement was wrong
        text = first_line(error).replace(url, without_secrets(url))
        raise InvalidInput(f"{what}: {without_secrets(url)}: {text}") from None
    return pl.scan_parquet(path)


@contextmanager
def _batches(url: str, statement: str, what: str) -> Iterator[Any]:
    """The rows as a stream of Arrow batches."""
    scheme, _, rest = url.partition("://")
    if scheme == "duckdb":
        with closing(_duckdb(rest.removeprefix("/") if rest.startswith("//") else rest, what)) as connection:
            rows = connection.sql(statement)
            if rows is None:
                raise InvalidInput(f"{what}: the statement gives no rows. Expected a select.")
            reader = getattr(rows, "to_arrow_reader", None) or rows.fetch_record_batch  # before DuckDB 1.4
            yield reader(100_000)
        return
    if scheme == "sqlite" and not Path(rest.removeprefix("/")).is_file() and not Path(rest).is_file():
        raise InvalidInput(f"{what}: there is no database {rest}.")
    with closing(_connection(url, what)) as connection, closing(connection.cursor()) as cursor:
        cursor.execute(statement)
        yield cursor.fetch_record_batch()


def _duckdb(file: str, what: str) -> Any:
    try:
        import duckdb
    except ImportError:
        raise Unavailable(f"{what}: DuckDB is not installed. pip install 'tfrec-bert[databases]'") from None
    if not Path(file).is_file():
        raise InvalidInput(f"{what}: there is no database {file}.")
    return duckdb.connect(file, read_only=True)


def _connection(url: str, what: str) -> Any:
    """A connection by ADBC."""
    try:
        if url.startswith("sqlite"):
            from adbc_driver_sqlite import dbapi as sqlite

            file = url.partition("://")[2]
            return sqlite.connect(file if Path(file).is_file() else file.removeprefix("/"))
        from adbc_driver_postgresql import dbapi as postgresql
    except ImportError:
        raise Unavailable(f"{what}: its driver is not installed. pip install 'tfrec-bert[databases]'") from None
    return postgresql.connect(url)


def check_table(url: str, table: str) -> None:
    """Raises `InvalidInput` if no table of this name can be written to the database. Call it before any long work."""
    if not re.fullmatch(r"\w+", table):
        raise InvalidInput(f"--out: {table!r} is not the name of a table; expected letters, digits and _.")
    if url.startswith("duckdb"):
        raise InvalidInput("--out: lists are written to PostgreSQL, SQLite or a file; DuckDB reads the file.")


def write_table(frame: pl.DataFrame, url: str, table: str, force: bool = False) -> None:
    """Writes a frame as a table of PostgreSQL or SQLite in one transaction: whole or not at all.

    Args:
        frame: The rows.
        url: Of the database.
        table: Its name.
        force: Whether to replace a table of this name.
    """
    check_table(url, table)
    rows: pa.Table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    try:
        with closing(_connection(url, "--out")) as connection, closing(connection.cursor()) as cursor:
            cursor.adbc_ingest(table, rows, mode="replace" if force else "create")
            connection.commit()
    except Unavailable:
        raise
    except Exception as error:
        hint = "" if force else " Where the table exists, --force replaces it."
        raise InvalidInput(f"--out: {without_secrets(url)}: {first_line(error)}{hint}") from None
