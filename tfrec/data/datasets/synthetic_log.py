"""Synthetic shop logs of any size, as dirty as real ones, for tests and benchmarks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from tfrec import schema
from tfrec.errors import InvalidInput

BLOCK = 1 << 20  # rows drawn at a time
START = 1_700_000_000  # seconds
KINDS = (schema.VIEW, schema.CART, schema.PURCHASE)
WORDS = ("red", "blue", "small", "large", "steel", "oak", "lamp", "kettle", "chair", "mug", "brush", "clock")


def shop_log(
    events: int, users: int | None = None, items: int | None = None, *, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """An unordered shop log of 90 days, and its catalogue.

    Item popularity and user activity follow power laws. 1% of the rows have a blank user, and 2% repeat another row of
    their block.

    Args:
        events: int. Number of rows in the log.
        users: int. Number of users. Defaults to an eighth of the events.
        items: int. Number of items. Defaults to a hundredth of the events, at least 10 and at most 200,000.
        seed: int. The same seed gives the same log.

    Returns:
        events: user_id, item_id, event (view, cart or purchase), timestamp (int64, seconds), value (price, float32).
        items: item_id, title.

    Raises:
        InvalidInput: `events` is below 1.

    Example:
        >>> log, catalogue = shop_log(1000)
        >>> log.height, catalogue.columns
        (1000, ['item_id', 'title'])
    """
    users, items = _sizes(events, users, items)
    return pl.concat(_blocks(events, users, items, seed), rechunk=True), _catalogue(items, seed)


def _sizes(events: int, users: int | None, items: int | None) -> tuple[int, int]:
    if events < 1:
        raise InvalidInput(f"Expected at least 1 event; received {events}.")
    return users or max(1, events // 8), items or min(200_000, max(10, events // 100))


def _blocks(events: int, users: int, items: int, seed: int) -> Iterator[pl.DataFrame]:
    """Yields the log in blocks, each with its own random generator, so that only one must be in memory."""
    for number, start in enumerate(range(0, events, BLOCK)):
        yield _block(min(BLOCK, events - start), users, items, np.random.default_rng([seed, number]))


def _block(events: int, users: int, items: int, rng: np.random.Generator) -> pl.DataFrame:
    # A power of a uniform number follows a power law, and is many times faster to draw than a weighted choice.
    user = (users * rng.random(events) ** 2).astype(np.int64)
    item = (items * rng.random(events) ** 3).astype(np.int64)
    kind = rng.choice(len(KINDS), events, p=[0.85, 0.1, 0.05])
    time = START + rng.integers(0, 90 * 86_400, events)
    value = (1 + item % 100).astype(np.float32)
    again = rng.random(events) < 0.02
    source = np.where(again, rng.integers(0, events, events), np.arange(events))
    frame = pl.DataFrame({"u": user, "i": item, "k": kind, "t": time, "v": value})[source]
    blank = pl.Series(rng.random(events) < 0.01)
    names = pl.Series(KINDS)
    return frame.select(
        pl.when(~blank).then(pl.format("u{}", "u")).alias(schema.USER_ID),
        pl.format("i{}", "i").alias(schema.ITEM_ID),
        pl.Series(schema.EVENT, names[frame["k"]]),
        pl.col("t").alias(schema.TIMESTAMP),
        pl.col("v").alias(schema.VALUE),
    )


def _catalogue(items: int, seed: int) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    words = np.array(WORDS)[rng.integers(0, len(WORDS), (items, 3))]
    ids = [f"i{index}" for index in range(items)]
    return pl.DataFrame({schema.ITEM_ID: ids, "title": [" ".join(row) for row in words.tolist()]})


def write_shop_log(folder: str | Path, events: int, *, seed: int = 0) -> tuple[Path, Path]:
    """Writes `shop_log` to `events.parquet` and `items.parquet` below `folder`, and returns the two paths.

    The log is written block by block, so that 50 million events need no more memory than one million.

    Args:
        folder: Folder to write to; it is created if needed.
        events: int. Number of rows in the log.
        seed: int. The same seed gives the same files.
    """
    users, items = _sizes(events, None, None)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    blocks = (block.to_arrow(compat_level=pl.CompatLevel.oldest()) for block in _blocks(events, users, items, seed))
    first = next(blocks)
    with pq.ParquetWriter(folder / "events.parquet", first.schema, compression="zstd", compression_level=1) as writer:
        for block in itertools.chain([first], blocks):
            writer.write_table(block, row_group_size=BLOCK)
    _catalogue(items, seed).write_parquet(folder / "items.parquet")
    return folder / "events.parquet", folder / "items.parquet"
