"""Tables and queries as sources, and lists as tables; PostgreSQL is a real one, started on loopback by the test."""

import os
import shutil
import socket
import sqlite3
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.data.reading.databases import read_table, without_secrets, write_table
from tfrec.errors import InvalidInput
from tfrec.files import folder_sha256

LOG = pl.DataFrame(
    [(f"u{i % 3}", f"{i % 5:03}", 1_700_000_000 + i, "view") for i in range(20)],
    ["user_id", "item_id", "timestamp", "event"],
    orient="row",
)
ITEMS = pl.DataFrame({"item_id": [f"{i:03}" for i in range(5)], "title": [f"Thé {i}" for i in range(5)]})


def programs():
    """The folder of PostgreSQL's server programs, or None."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    pytest.importorskip("adbc_driver_postgresql")
    bin_folder = programs()
    if bin_folder is None:
        pytest.skip("PostgreSQL's server is not installed (Debian: postgresql)")
    folder = tmp_path_factory.mktemp("pg")
    as_user = []
    if os.geteuid() == 0:  # the server refuses to run as root
        if shutil.which("runuser") is None or subprocess.run(["id", "postgres"], capture_output=True).returncode:
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres")
        as_user = ["runuser", "-u", "postgres", "--"]
        for place in [folder, *folder.parents][:4]:
            place.chmod(0o755)
        shutil.chown(folder, "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = str(folder / "data")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"

    def run(*command):
        subprocess.run([*as_user, *map(str, command)], check=True, capture_output=True, cwd="/")

    run(bin_folder / "initdb", "-D", data, "-U", "shop", "-A", "trust", "-E", "UTF8")
    run(bin_folder / "pg_ctl", "-D", data, "-w", "-l", folder / "log", "-o", options, "start")
    try:
        yield f"postgresql://shop:secret@127.0.0.1:{port}/postgres"
    finally:
        run(bin_folder / "pg_ctl", "-D", data, "-m", "immediate", "stop")


def digest(tmp_path, events, items, **config):
    values = {f"data.{name.replace('_query', '.query')}": query for name, query in config.items()}
    prepare(events, items, tmp_path / "d", split="leave-one-out", config=values)
    return {name: folder_sha256(tmp_path / "d" / name) for name in ("splits",)} | {
        name: (tmp_path / "d" / name).read_bytes() for name in ("items.parquet", "sequences.parquet")
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    return digest(tmp_path_factory.mktemp("expected"), LOG, ITEMS)


@pytest.mark.slow
def test_a_table_of_postgresql_is_a_source_and_lists_become_one(postgresql, tmp_path, expected, capsys):
    write_table(LOG, postgresql, "clicks")
    write_table(ITEMS, postgresql, "shop_items")
    query = "select user_id, item_id, timestamp, event from clicks where user_id is not null order by timestamp"
    assert digest(tmp_path, postgresql, postgresql, events_query=query, items_query="shop_items") == expected
    written = "".join(p.read_text() for p in (tmp_path / "d").glob("*.json"))
    assert "secret" not in written and "secret" not in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="--force replaces it"):
        write_table(ITEMS, postgresql, "shop_items")
    write_table(ITEMS.head(2), postgresql, "shop_items", force=True)
    assert read_table(postgresql, "shop_items", "items").collect().rows() == ITEMS.head(2).rows()


def test_what_postgresql_refuses_is_bad_input_without_the_password(postgresql):
    nowhere = "postgresql://shop:secret@127.0.0.1:1/x"
    for url, query in ((postgresql, "select * from nothing"), (nowhere, "t")):
        with pytest.raises(InvalidInput) as caught:
            read_table(url, query, "events")
        assert "secret" not in str(caught.value)
    with pytest.raises(InvalidInput, match="data.events.query="):
        read_table(postgresql, None, "events")
    with pytest.raises(InvalidInput, match="not the name of a table"):
        write_table(ITEMS, postgresql, "x; drop table y")


def test_a_query_of_sqlite_is_a_source(tmp_path, expected):
    pytest.importorskip("adbc_driver_sqlite")
    with sqlite3.connect(tmp_path / "shop.db") as base:
        base.execute("create table clicks (user_id text, item_id text, timestamp integer, event text)")
        base.executemany("insert into clicks values (?, ?, ?, ?)", LOG.rows())
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert digest(tmp_path, url, ITEMS, events_query="clicks") == expected
    with pytest.raises(InvalidInput, match="no database"):
        read_table("sqlite:///none.db", "clicks", "events")


def test_a_query_of_duckdb_is_a_source(tmp_path, expected):
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(str(tmp_path / "shop.duckdb")) as base:
        log = LOG.to_arrow()  # noqa: F841  DuckDB finds it by its name
        base.execute("create table clicks as select * from log")
    url = f"duckdb://{tmp_path / 'shop.duckdb'}"
    assert digest(tmp_path, url, ITEMS, events_query="select * from clicks") == expected


def test_a_table_is_written_whole_or_not_at_all(tmp_path):
    pytest.importorskip("adbc_driver_sqlite")
    url = f"sqlite:///{tmp_path / 'lists.db'}"
    lists = pl.DataFrame({"user_id": ["a", "b"], "rank": [1, 2], "score": [0.5, 0.25]})
    write_table(lists, url, "lists")
    with pytest.raises(InvalidInput, match="--force replaces it"):
        write_table(lists.head(1), url, "lists")
    with pytest.raises(InvalidInput):  # SQLite has no such type, which shows when the old table is gone already
        write_table(lists.with_columns(more=pl.struct("rank")), url, "lists", force=True)
    assert read_table(url, "lists", "lists").collect().rows() == lists.rows()
    write_table(lists.head(1), url, "lists", force=True)
    assert read_table(url, "lists", "lists").collect().rows() == lists.head(1).rows()
    with pytest.raises(InvalidInput, match="PostgreSQL, SQLite or a file"):
        write_table(lists, "duckdb:///lists.duckdb", "lists")


def test_a_url_in_a_message_has_no_secrets():
    assert without_secrets("postgresql://a:b@c:1/d?password=e") == "postgresql://c:1/d"
