"""MovieLens-100K from the files that RecBole ships, in our columns."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput


def read_movielens_100k(folder: str | Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Reads `ml-100k.inter` and `ml-100k.item` below `folder`.

    Returns:
        events: user_id, item_id, event ("rating"), timestamp (int64, seconds), value (float32).
        items: item_id, title, year, genres; all strings.

    Raises:
        InvalidInput: A file is missing or has other columns.
    """
    ratings = _read(Path(folder) / "ml-100k.inter", ["user_id", "item_id", "rating", "timestamp"])
    films = _read(Path(folder) / "ml-100k.item", ["item_id", "movie_title", "release_year", "class"])
    events = ratings.select(
        schema.USER_ID,
        schema.ITEM_ID,
        pl.lit(schema.RATING).alias(schema.EVENT),
        pl.col("timestamp").cast(pl.Float64).cast(pl.Int64).alias(schema.TIMESTAMP),
        pl.col("rating").cast(pl.Float32).alias(schema.VALUE),
    )
    items = films.select(
        schema.ITEM_ID,
        pl.col("movie_title").alias("title"),
        pl.col("release_year").alias("year"),
        pl.col("class").alias("genres"),
    )
    return events, items


def _read(path: Path, columns: list[str]) -> pl.DataFrame:
    if not path.is_file():
        raise InvalidInput(f"{path} is missing. Pass the folder that tfrec.downloads.movielens_100k_folder() returns.")
    frame = pl.read_csv(path, separator="\t", infer_schema=False, quote_char=None)
    frame = frame.rename({name: name.split(":")[0] for name in frame.columns})  # RecBole writes "name:type"
    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise InvalidInput(f"{path} has no column {missing}; found {frame.columns}.")
    return frame.select(columns)
