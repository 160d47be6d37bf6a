"""Databases on the command line: `--events URL --events-query SQL`, and lists as a table."""

import sqlite3

import polars as pl
import pytest

from tests.data.reading.test_databases import ITEMS, LOG


def sqlite_base(path):
    with sqlite3.connect(path) as base:
        base.execute("create table clicks (user_id text, item_id text, timestamp integer, event text)")
        base.executemany("insert into clicks values (?, ?, ?, ?)", LOG.rows())


def duckdb_base(path):
    import duckdb

    with duckdb.connect(str(path)) as base:
        log = LOG.to_arrow()  # noqa: F841  DuckDB finds it by its name
        base.execute("create table clicks as select * from log")


@pytest.mark.parametrize("scheme, driver, make", [
    ("sqlite", "adbc_driver_sqlite", sqlite_base),
    ("duckdb", "duckdb", duckdb_base),
])  # fmt: skip
def test_a_query_is_a_log(tfrec, tmp_path, scheme, driver, make):
    pytest.importorskip(driver)
    make(tmp_path / "shop.db")
    ITEMS.write_csv(tmp_path / "items.csv")
    url = f"{scheme}:///{tmp_path / 'shop.db'}"
    query = "select user_id, item_id, timestamp, event from clicks where item_id <> '004'"
    options = ("--events", url, "--items", tmp_path / "items.csv", "--out", tmp_path / "d")
    code, out, err = tfrec("prepare", *options, "--split", "leave-one-out", "--events-query", query)
    assert code == 0 and f"events: {len(LOG.filter(pl.col('item_id') != '004'))}" in out
    assert "a database" in err
    code, out, err = tfrec("prepare", *options, "--force")
    assert code == 2 and "data.events.query=" in err  # a database without a query, and what to pass
    code, out, err = tfrec("prepare", *options, "--force", "--events-query", "select * from nothing")
    assert code == 2 and "nothing" in err
