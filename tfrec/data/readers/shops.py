"""Logs of shops: RetailRocket, OTTO, H&M, Yoochoose, Diginetica, Taobao, Instacart, Online Retail.

RetailRocket: the catalogue is one row a property, with weekly snapshots in two files: the latest value counts. All
but a
few properties are hashed numbers, so there is little text.
OTTO: sessions with nested events, times in milliseconds (documented as "Unix timestamp"); several events share one.
H&M: dates only, and equal rows are two of a thing: they are kept. `article_id` begins with 0.
Yoochoose: what people did is which file it is in; no header, no catalogue.
Diginetica: `;`, a day and milliseconds since the session began; 63% of the users are NA, so sessions are the users.
Taobao: UserBehavior.csv has no header, and some of its times lie in 1902 or 2037: they are dropped.
Instacart: no dates, only days since the last order; a time is made of them that orders events and is no clock.
Online Retail: cp1252 or a workbook; years of two or four digits; invoices that begin with C are returns (negative
quantity). Items come from the log.
Sources: the page of each set; https://github.com/otto-de/recsys-dataset, https://github.com/RUCAIBox/RecSysDatasets.
"""

from __future__ import annotations

import polars as pl

from tfrec import schema
from tfrec.config import RunConfig
from tfrec.config.inputs import InputConfig
from tfrec.data.readers.log_reader import Files, LogReader, opened
from tfrec.errors import InvalidInput

_YOOCHOOSE = {
    "click": ["user_id", "timestamp", "item_id", "category"],
    "buy": ["user_id", "timestamp", "item_id", "price", "value"],
}
_YOOCHOOSE_KINDS = {"click": schema.CLICK, "buy": schema.PURCHASE}


def clicks_and_buys(files: Files, config: RunConfig) -> pl.LazyFrame:
    """Yoochoose: one log of two files with other columns; 0 pieces, which many purchases have, are no number."""
    parts = []
    for file in files:
        kind = next((kind for kind in _YOOCHOOSE if kind in file.name.lower()), None)
        if kind is None:
            raise InvalidInput(f"events: {file.name} is neither clicks nor buys of Yoochoose.")
        frame = opened([file], "events", config, InputConfig(names=_YOOCHOOSE[kind], separator=","))
        columns = [schema.USER_ID, schema.ITEM_ID, schema.TIMESTAMP, pl.lit(_YOOCHOOSE_KINDS[kind]).alias(schema.EVENT)]
        if kind == "buy":
            pieces = pl.col(schema.VALUE).cast(pl.Float64, strict=False)
            columns.append(pl.when(pieces > 0).then(pieces).alias(schema.VALUE))
        parts.append(frame.select(columns))
    return pl.concat(parts, how="diagonal")


def baskets(files: Files, config: RunConfig) -> pl.LazyFrame:
    """Instacart: the products of every order, with the hours since the user's first order as their time."""
    by_name = {file.name.split(".")[0]: file for file in files}
    if "orders" not in by_name:
        raise InvalidInput("events: Instacart needs orders.csv beside order_products__*.csv.")
    orders = opened([by_name.pop("orders")], "events", config)
    days = pl.col("days_since_prior_order").cast(pl.Float64, strict=False).fill_null(0)
    number = pl.col("order_number").cast(pl.Int64)
    timed = orders.sort(schema.USER_ID, number).select(
        "order_id",
        schema.USER_ID,
        (days.cum_sum().over(schema.USER_ID) * 24 + pl.col("order_hour_of_day").cast(pl.Float64)).alias("hours"),
        number.alias("order_number"),
    )
    # An order never comes before the one that its number says it follows.
    timed = timed.with_columns((pl.col("hours").cum_max().over(schema.USER_ID) + pl.col("order_number")).cast(pl.Int64))
    lines = opened(list(by_name.values()), "events", config)
    return lines.join(timed, on="order_id").select(
        schema.USER_ID, pl.col("product_id").alias(schema.ITEM_ID), pl.col("hours").alias(schema.TIMESTAMP)
    )


READERS = (
    LogReader(
        "retailrocket",
        "events.csv and item_properties_part*.csv (one row a property; the latest counts).",
        ("events.csv",),
        ("item_properties*.csv",),
        {
            "events": {"columns": {"user_id": "visitorid", "item_id": "itemid"}},
            "items": {"columns": {"item_id": "itemid"}},
        },
    ),
    LogReader(
        "otto",
        "sessions as JSON lines with nested events; no catalogue.",
        ("*.jsonl*",),
        options={
            "ties": "file",
            "events": {
                "columns": {
                    "user_id": "session",
                    "item_id": "events[].aid",
                    "timestamp": "events[].ts",
                    "event": "events[].type",
                }
            },
        },
    ),
    LogReader(
        "hm",
        "transactions_train.csv and articles.csv; equal rows are two pieces and stay.",
        ("transactions*.csv*",),
        ("articles*.csv*",),
        {
            "default_event": "purchase",
            "exact_duplicates": "keep",
            "events": {"columns": {"user_id": "customer_id", "item_id": "article_id", "timestamp": "t_dat"}},
            "items": {"columns": {"item_id": "article_id"}},
            "text_template": "{prod_name}, {product_type_name}, {colour_group_name}, {section_name}. {detail_desc}",
        },
    ),
    LogReader(
        "yoochoose",
        "yoochoose-clicks.dat and yoochoose-buys.dat (no header); no catalogue.",
        ("*clicks*.dat*", "*buys*.dat*"),
        make_events=clicks_and_buys,
    ),
    LogReader(
        "diginetica",
        "train-item-views.csv and train-purchases.csv (;); sessions are the users, names are hashed.",
        ("*item-views*.csv", "*purchases*.csv"),
        options={
            "event_map": {"train-item-views": "view", "train-purchases": "purchase"},
            "events": {
                "separator": ";",
                "columns": {
                    "user_id": "sessionId",
                    "item_id": "itemId|itemid",
                    "timestamp": "eventdate + timeframe ms",
                    "event": "@file",
                },
            },
        },
    ),
    LogReader(
        "taobao",
        "UserBehavior.csv (no header; pv, cart, fav, buy); no catalogue.",
        ("UserBehavior*.csv*",),
        options={
            "events": {"separator": ",", "names": ["user_id", "item_id", "category_id", "event", "timestamp"]},
        },
    ),
    LogReader(
        "instacart",
        "orders.csv, order_products__*.csv and products.csv, joined; time is made of days since the last order.",
        ("orders.csv*", "order_products__*.csv*"),
        ("products.csv*",),
        {
            "default_event": "purchase",
            "timestamp_unit": "order",
            "items": {"columns": {"item_id": "product_id", "title": "product_name"}},
        },
        make_events=baskets,
    ),
    LogReader(
        "online-retail",
        "Online Retail.csv or .xlsx (I and II); returns are known by their quantity; items come from the log.",
        ("*etail*.csv*", "*etail*.xlsx", "data.csv"),
        options={
            "default_event": "purchase",
            "item_columns": ["Description"],
            "events": {
                "columns": {
                    "user_id": "CustomerID|Customer ID",
                    "item_id": "StockCode",
                    "timestamp": "InvoiceDate",
                    "value": "Quantity",
                }
            },
        },
    ),
)
