"""Synthetic shop logs of any size, as dirty as real ones, for tests and benchmarks."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from tfrec import schema
from tfrec.errors import InvalidInput

BLOCK = 1 << 20  # rows drawn at a time
START = 1_700_000_000  # seconds
KINDS = (schema.VIEW, schema.CART, schema.PURCHASE)
SHELF = 100  # items whose titles begin alike
VISIT = 4  # events of a visit, on average
SEASONAL = 0.25  # share of the visits that are to one of nine shelves of the month
ASTRAY = 0.2  # share of the events that are at any item
WORDS = ("red", "blue", "small", "large", "steel", "oak", "lamp", "kettle", "chair", "mug", "brush", "clock")


def shop_log(
    events: int, users: int | None = None, items: int | None = None, *, seed: int = 0
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """An unordered shop log of 90 days, and its catalogue.

    Item popularity and user activity follow power laws. Users come for visits of some four events, in which they walk
    along one of the shelves of the shop: one of the three that they like, or one of the season's. A fifth of the events
    is at random. 1% of the rows have a blank user, and 2% repeat another row of their block.

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
    shop = _Shop(events, users, items, seed)
    for number, start in enumerate(range(0, events, BLOCK)):
        yield shop.block(min(BLOCK, events - start), np.random.default_rng([seed, number]))


@dataclass(frozen=True)
class _Shop:
    """Whose visits there are, when, and what is looked at: by hashes, so that blocks of a log need not know each other.

    Args:
        events, users, items, seed: Of the whole log.
    """

    events: int
    users: int
    items: int
    seed: int

    def block(self, events: int, rng: np.random.Generator) -> pl.DataFrame:
        """Some rows of the log."""
        # A power of a uniform number follows a power law, and is many times faster to draw than a weighted choice.
        user = (self.users * rng.random(events) ** 2).astype(np.int64)
        visits = self.events / (2 * VISIT * np.sqrt(self.users * (user + 1)))  # of this user
        visit = (np.maximum(visits, 1) * rng.random(events)).astype(np.int64)
        place = rng.random(events)  # within the visit
        day = 89 * self._drawn(user, visit, 0)
        item = self._looked_at(user, visit, (VISIT * 2 * place).astype(np.int64), (day // 30).astype(np.int64))
        item = np.where(rng.random(events) < ASTRAY, (self.items * rng.random(events) ** 3).astype(np.int64), item)
        kind = rng.choice(len(KINDS), events, p=[0.85, 0.1, 0.05])
        time = START + (day * 86_400 + place * 1800).astype(np.int64)
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

    def _looked_at(self, user: np.ndarray, visit: np.ndarray, step: np.ndarray, month: np.ndarray) -> np.ndarray:
        """The items of a visit: neighbours in one shelf, which is one of three that the user likes or of the season."""
        shelves = -(-self.items // SHELF)
        taste = self._drawn(user, (3 * self._drawn(user, visit, 1)).astype(np.int64), 2)
        season = self._drawn(month, (9 * self._drawn(user, visit, 3)).astype(np.int64), 4)
        chosen = np.where(self._drawn(user, visit, 5) < SEASONAL, season, taste**2)
        first = (shelves * chosen).astype(np.int64) * SHELF
        size = np.minimum(SHELF, self.items - first)
        start = (size * self._drawn(user, visit, 6) ** 2).astype(np.int64)
        return np.asarray(first + (start + step) % size)

    def _drawn(self, one: np.ndarray, other: np.ndarray, purpose: int) -> np.ndarray:
        """Numbers in [0, 1) that depend on these alone."""
        drawn = _mixed(one.astype(np.uint64) ^ np.uint64(self.seed * 16 + purpose))
        drawn = _mixed(other.astype(np.uint64) ^ drawn)
        return np.asarray((drawn >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def _mixed(values: np.ndarray) -> np.ndarray:
    """SplitMix64 (Steele, Lea and Flood 2014, https://doi.org/10.1145/2660193.2660195)."""
    with np.errstate(over="ignore"):
        values = values + np.uint64(0x9E3779B97F4A7C15)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _catalogue(items: int, seed: int) -> pl.DataFrame:
    """Items of a shelf share the first two words of their titles."""
    rng = np.random.default_rng(seed)
    shelves = rng.integers(0, len(WORDS), (-(-items // SHELF), 2))
    places = np.column_stack([np.repeat(shelves, SHELF, axis=0)[:items], rng.integers(0, len(WORDS), items)])
    ids = [f"i{index}" for index in range(items)]
    return pl.DataFrame({schema.ITEM_ID: ids, "title": [" ".join(row) for row in np.array(WORDS)[places].tolist()]})


def write_shop_log(
    folder: str | Path, events: int, users: int | None = None, items: int | None = None, *, seed: int = 0
) -> tuple[Path, Path]:
    """Writes `shop_log` to `events.parquet` and `items.parquet` below `folder`, and returns the two paths.

    The log is written block by block, so that 50 million events need no more memory than one million.

    Args:
        folder: Folder to write to; it is created if needed.
        events: int. Number of rows in the log.
        users: int. Number of users, as for `shop_log`.
        items: int. Number of items, as for `shop_log`.
        seed: int. The same seed gives the same files.
    """
    users, items = _sizes(events, users, items)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    blocks = (block.to_arrow(compat_level=pl.CompatLevel.oldest()) for block in _blocks(events, users, items, seed))
    first = next(blocks)
    with pq.ParquetWriter(folder / "events.parquet", first.schema, compression="zstd", compression_level=1) as writer:
        for block in itertools.chain([first], blocks):
            writer.write_table(block, row_group_size=BLOCK)
    _catalogue(items, seed).write_parquet(folder / "items.parquet")
    return folder / "events.parquet", folder / "items.parquet"
