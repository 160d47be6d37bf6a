"""MIND (Microsoft News): impressions and clicks.

`behaviors.tsv` and `news.tsv` have tabs, no header and no quoting: a title may begin with a quotation mark. Times are
12-hour (`11/15/2019 12:05:00 AM` is five past midnight; a well-known converter makes noon of it). Each impression lists
what was shown, with `-1` for a click, and repeats the user's clicks from before the log, which have no times: they come
once, a second apart, before the user's first impression. A history may be empty.
Source: https://github.com/msnews/msnews.github.io/blob/master/assets/doc/introduction.md.
"""

from __future__ import annotations

import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.data.readers.log_reader import Files, LogReader, opened
from tfrec.data.reading.timestamps import read_times

_NEWS = ["item_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities"]
_SECOND = 1_000_000


def clicks_and_impressions(files: Files, config: RunConfig) -> pl.LazyFrame:
    """The log, preceded by each user's clicks from before it."""
    given = opened(files, "events", config)
    times = read_times(given, schema.TIMESTAMP, "events", time_format=config.data.events.time_format)
    log = given.with_columns(times.value.alias(schema.TIMESTAMP))
    columns = [schema.USER_ID, schema.ITEM_ID, schema.EVENT, schema.TIMESTAMP]
    first = log.sort(schema.TIMESTAMP).group_by(schema.USER_ID, maintain_order=True).first()
    past = first.select(
        schema.USER_ID, schema.TIMESTAMP, pl.col("history").str.split(" ").alias(schema.ITEM_ID)
    ).with_columns(pl.int_ranges(-pl.col(schema.ITEM_ID).list.len().cast(pl.Int64), 0).alias("ago"))
    past = past.explode(schema.ITEM_ID, "ago").drop_nulls(schema.ITEM_ID)
    past = past.with_columns(
        (pl.col(schema.TIMESTAMP) + pl.col("ago") * _SECOND).alias(schema.TIMESTAMP),
        pl.lit(schema.CLICK).alias(schema.EVENT),
    )
    frame = pl.concat([past.select(columns), log.select(columns)])
    return frame.with_columns(pl.col(schema.TIMESTAMP).cast(pl.Datetime("us")))


READERS = (
    LogReader(
        "mind",
        "behaviors.tsv and news.tsv (tabs, no header); what was shown and clicked, and the clicks before.",
        ("behaviors.tsv",),
        ("news.tsv",),
        {
            "events": {
                "names": ["impression_id", "user_id", "timestamp", "history", "impressions"],
                "separator": "\t",
                "impressions": "impressions",
            },
            "items": {"names": _NEWS, "separator": "\t"},
        },
        make_events=clicks_and_impressions,
    ),
)
