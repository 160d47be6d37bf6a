"""MovieLens (GroupLens): ratings of films.

100K and 1M are in Latin-1 and have no header; 1M separates by `::`. The newer sets are CSV with Windows line ends. Film
ids of `links.csv` (imdbId 0114709) keep their zeros. People rate many films in one session, so that 64% of the users of
100K have ties in time that decide their last film, and a split by time leaves most of them without a history: the split
is leave-one-out. Every rating is a target, a 0.5 like a 5; `data.positive=4` makes those below negatives.
Source: the README of each set (https://grouplens.org/datasets/movielens/).
"""

from __future__ import annotations

import polars as pl

from tfrec.config import RunConfig
from tfrec.data.readers.log_reader import Files, LogReader, opened
from tfrec.schema import LEAVE_ONE_OUT

GENRES = (
    "unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama", "Fantasy",
    "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western",
)  # fmt: skip
_RATINGS = ["user_id", "item_id", "value", "timestamp"]


def films_with_genre_flags(files: Files, config: RunConfig) -> pl.LazyFrame:
    """Title and genres of `u.item`, whose genres are nineteen columns of 0 and 1."""
    frame = opened(files, "items", config)
    genres = pl.concat_list(pl.when(pl.col(name) == "1").then(pl.lit(name)) for name in GENRES).list.drop_nulls()
    return frame.select("item_id", "title", genres.alias("genres"))


def films_with_joined_genres(files: Files, config: RunConfig) -> pl.LazyFrame:
    """Title and genres of `movies.dat` and `movies.csv`, whose genres are joined by |."""
    frame = opened(files, "items", config)
    return frame.select("item_id", "title", pl.col("genres").str.split("|"))


READERS = (
    LogReader(
        "movielens-100k",
        "u.data (tabs, no header) and u.item (|, Latin-1, genres as 0/1 columns).",
        ("u.data",),
        ("u.item",),
        {
            "default_event": "rating",
            "events": {"names": _RATINGS, "separator": "\t"},
            "items": {
                "names": ["item_id", "title", "released", "video_released", "imdb_url", *GENRES],
                "separator": "|",
                "encoding": "latin-1",
                "quote": "none",
            },
        },
        LEAVE_ONE_OUT,
        make_items=films_with_genre_flags,
    ),
    LogReader(
        "movielens-1m",
        "ratings.dat and movies.dat (::, no header, Latin-1).",
        ("ratings.dat",),
        ("movies.dat",),
        {
            "default_event": "rating",
            "events": {"names": _RATINGS, "separator": "::"},
            "items": {"names": ["item_id", "title", "genres"], "separator": "::", "encoding": "latin-1"},
        },
        LEAVE_ONE_OUT,
        make_items=films_with_joined_genres,
    ),
    LogReader(
        "movielens-latest",
        "ratings.csv and movies.csv of 20M, 25M, 32M, latest and latest-small.",
        ("ratings.csv",),
        ("movies.csv",),
        {
            "default_event": "rating",
            "events": {"columns": {"user_id": "userId", "item_id": "movieId", "value": "rating"}},
            "items": {"columns": {"item_id": "movieId"}},
        },
        LEAVE_ONE_OUT,
        make_items=films_with_joined_genres,
    ),
)
