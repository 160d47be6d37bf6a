"""The Complete Journey (84.51°): one year of grocery purchases by 2,469 households, in our columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput

COUPON = "coupon_purchase"
"""Event kind of a purchase with a redeemed store coupon."""
_TEXTS = ["product_type", "product_category", "department", "brand", "package_size"]


def read_complete_journey(folder: str | Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reads `transactions.parquet` and `products.parquet` below `folder`.

    The data contain only purchases, no views or favourites. Lines with a quantity of 0 or less (corrections) are kept:
    `prepare` does not use purchases of value ≤ 0 as targets.

    Returns:
        events: user_id, item_id, event ("purchase", or "coupon_purchase" with a redeemed store coupon), timestamp
        (datetime, the same for a whole basket), value (quantity, float32), context_store, context_basket; in time
        order. items: item_id, product_type, product_category, department, brand, package_size; all strings.

    Raises:
        InvalidInput: A file is missing or has other columns.
    """
    lines = _read(
        Path(folder) / "transactions.parquet",
        ["household_id", "product_id", "transaction_timestamp", "quantity", "coupon_disc", "store_id", "basket_id"],
    )
    products = _read(Path(folder) / "products.parquet", ["product_id", *_TEXTS])
    kind = pl.when(pl.col("coupon_disc") > 0).then(pl.lit(COUPON)).otherwise(pl.lit(schema.PURCHASE))
    events = lines.select(
        pl.col("household_id").cast(pl.String).alias(schema.USER_ID),
        pl.col("product_id").cast(pl.String).alias(schema.ITEM_ID),
        kind.alias(schema.EVENT),
        pl.col("transaction_timestamp").cast(pl.Datetime("us")).alias(schema.TIMESTAMP),
        pl.col("quantity").cast(pl.Float32).alias(schema.VALUE),
        pl.col("store_id").cast(pl.String).alias(f"{schema.CONTEXT_PREFIX}store"),
        pl.col("basket_id").cast(pl.String).alias(f"{schema.CONTEXT_PREFIX}basket"),
    )
    items = products.select(pl.col("product_id").cast(pl.String).alias(schema.ITEM_ID), pl.col(_TEXTS).cast(pl.String))
    return events.sort(schema.TIMESTAMP, maintain_order=True), items


def _read(path: Path, columns: list[str]) -> pl.DataFrame:
    if not path.is_file():
        raise InvalidInput(
            f"{path} is missing. Pass the folder that tfrec.downloads.complete_journey_folder() returns."
        )
    frame = pl.read_parquet(path)
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InvalidInput(f"{path} has no column {missing}; found {frame.columns}.")
    return frame.select(columns)
