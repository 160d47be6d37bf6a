"""Tenrec, KuaiRec and the Netflix Prize.

Tenrec: what people did is in columns of 0 and 1, a row of zeros was shown and not clicked; times were taken out and the
order of the rows kept (https://github.com/yuangh-x/2022-NIPS-Tenrec/issues/1).
KuaiRec: rows without a time are what the experimenters filled in, and are dropped
(https://github.com/chongminggao/KuaiRec/issues/1); `time` is Asia/Shanghai, `timestamp` is UTC. Every row is a view,
however short; watch_ratio is its value.
Netflix: blocks of `movie:` and then `user,rating,date`; the commas in titles are not quoted; years may be NULL.
"""

from __future__ import annotations

import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.readers.log_reader import Files, LogReader, opened
from tfrec.progress import say


def ratings_in_blocks(files: Files, config: RunConfig) -> pl.LazyFrame:
    """Netflix: the film of each rating is the last line before it that ends with a colon."""
    line = pl.col("line").str.strip_chars()
    parts = []
    for file in files:
        lines = pl.scan_csv(
            file, separator="\x1e", quote_char=None, has_header=False, schema={"line": pl.String}, glob=False
        ).select(line)
        film = pl.when(line.str.ends_with(":")).then(line.str.strip_chars_end(":")).forward_fill()
        lines = lines.with_columns(film.alias(schema.ITEM_ID)).filter(~line.str.ends_with(":"))
        names = [schema.USER_ID, schema.VALUE, schema.TIMESTAMP]
        fields = line.str.splitn(",", 3).struct.rename_fields(names).alias("fields")
        parts.append(lines.select(schema.ITEM_ID, fields).unnest("fields"))
    say(f"events: {len(files)} files of ratings in blocks.")
    return pl.concat(parts)


def films(files: Files, config: RunConfig) -> pl.LazyFrame:
    """Netflix: id, year and title, which may hold commas."""
    given = opened(files, "items", config)
    fields = pl.col("line").str.splitn(",", 3).struct.rename_fields([schema.ITEM_ID, "year", "title"])
    frame = given.select(fields.alias("fields")).unnest("fields")
    return frame.select(schema.ITEM_ID, "title", pl.when(pl.col("year") != "NULL").then("year").alias("year"))


READERS = (
    LogReader(
        "tenrec",
        "QB-*.csv, QK-*.csv, ctr_data_1M.csv: 0/1 columns become events; the order of the rows is that of time.",
        ("Q[BK]*.csv*", "ctr_data*.csv*"),
        options={"events": {"flags": ["click", "like", "share", "follow"], "columns": {"timestamp": "@row"}}},
    ),
    LogReader(
        "kuairec",
        "big_matrix.csv (or small_matrix.csv) and kuairec_caption_category.csv.",
        ("big_matrix.csv",),
        ("kuairec_caption_category.csv",),
        {
            "default_event": "view",
            "positive": "all",
            "events": {"columns": {"item_id": "video_id", "value": "watch_ratio"}},
            "items": {"columns": {"item_id": "video_id"}},
        },
    ),
    LogReader(
        "netflix",
        "combined_data_*.txt (blocks) and movie_titles.csv (Latin-1, commas not quoted).",
        ("combined_data_*.txt", "mv_*.txt"),
        ("movie_titles.*",),
        {
            "default_event": "rating",
            "items": {"names": ["line"], "separator": "\x1e", "encoding": "latin-1", "quote": "none"},
        },
        make_events=ratings_in_blocks,
        make_items=films,
    ),
)
