"""Amazon reviews (McAuley Lab): 2014, 2018 and 2023.

2014: the catalogue is a Python dictionary a line, not JSON; `categories` is a list of lists. The ratings-only CSV has
no
header. 2018: a title may be a piece of JavaScript ("getTime"), which is left out. 2023: reviews name the product
(`parent_asin`) and its variant (`asin`); the catalogue is keyed by the product. Times are seconds, in 2023
milliseconds.
A user seldom reviews much: published results use leave-one-out, and so does this.
Sources: https://cseweb.ucsd.edu/~jmcauley/datasets/amazon/links.html,
https://huggingface.co/datasets/McAuley-Lab/Amazon-Reviews-2023.
"""

from __future__ import annotations

import polars as pl

from tfrec.config import RunConfig
from tfrec.data.readers.log_reader import Files, LogReader, opened
from tfrec.schema import LEAVE_ONE_OUT

_TEXTS = ("title", "brand", "store", "main_category", "category", "categories", "feature", "features", "description")


def products(files: Files, config: RunConfig) -> pl.LazyFrame:
    """The columns of a catalogue that say what a product is; without titles that are JavaScript."""
    frame = opened(files, "items", config)
    types = frame.collect_schema()
    columns = [_flat(name, types[name]) for name in _TEXTS if name in types]
    frame = frame.select("item_id", *columns)
    if "title" in types:
        script = pl.col("title").str.contains("getTime", literal=True)
        frame = frame.with_columns(pl.when(~script).then("title").alias("title"))
    return frame


def _flat(name: str, dtype: pl.DataType) -> pl.Expr:
    """A list of lists of words as a list of words, without repeats."""
    column = pl.col(name)
    if isinstance(dtype, pl.List) and isinstance(dtype.inner, pl.List):
        return column.list.eval(pl.element().explode()).list.unique(maintain_order=True).alias(name)
    return column


def _reviews(**columns: str) -> dict[str, object]:
    return {"names": ["user_id", "item_id", "value", "timestamp"], "columns": columns}


READERS = (
    LogReader(
        "amazon-2014",
        "reviews_X.json.gz with meta_X.json.gz (Python dictionaries).",
        ("reviews_*",),
        ("meta_*",),
        {
            "default_event": "rating",
            "columns": {"user_id": "reviewerID", "item_id": "asin", "value": "overall", "timestamp": "unixReviewTime"},
            "events": {"names": ["user_id", "item_id", "value", "timestamp"]},
        },
        LEAVE_ONE_OUT,
        make_items=products,
    ),
    LogReader(
        "amazon-2018",
        "X.json.gz or X_5.json.gz with meta_X.json.gz; titles that are JavaScript are left out.",
        ("[!m]*.json*",),
        ("meta_*",),
        {
            "default_event": "rating",
            "columns": {"user_id": "reviewerID", "item_id": "asin", "value": "overall", "timestamp": "unixReviewTime"},
            "events": {"names": ["item_id", "user_id", "value", "timestamp"]},
        },
        LEAVE_ONE_OUT,
        make_items=products,
    ),
    LogReader(
        "amazon-2023",
        "X.jsonl.gz with meta_X.jsonl.gz, or the 5-core CSV; items are parent_asin.",
        ("[!m]*.jsonl*", "[!m]*.csv*"),
        ("meta_*",),
        {
            "default_event": "rating",
            "events": {"columns": {"item_id": "parent_asin", "value": "rating"}},
            "items": {"columns": {"item_id": "parent_asin"}},
        },
        LEAVE_ONE_OUT,
        make_items=products,
    ),
)
