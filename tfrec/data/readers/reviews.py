"""Yelp, Steam, Goodreads and Book-Crossing: people and what they reviewed.

Yelp: JSON lines named `.json`; `attributes` are Python reprs inside JSON strings and no text; tips have no id.
Steam: Python dictionaries with `u'…'`; reviews name the user by `username` and the game by `product_id`, the games by
`id`; more than half of the 7.79 million rows are repeats, which are dropped
(https://github.com/RUCAIBox/RecSysDatasets).
Goodreads: times like `Sun Jul 30 07:44:10 -0700 2017`, numbers as text; a rating of 0 means not rated and stays a
target. `goodreads_interactions.csv` has no time and other ids: its rows are taken in their order.
Book-Crossing: `;`, cp1252, `\\"` for a quote, `;` and `&amp;` in titles, no time: rows are taken in their order,
which is
not that of time. A rating of 0 is "implicit" (about six in ten) and stays a target.
"""

from __future__ import annotations

import polars as pl

from tfrec.config import RunConfig
from tfrec.data.readers.log_reader import Files, LogReader, opened

_BOOK_TEXTS = ("title", "description", "publisher", "publication_year")


def books(files: Files, config: RunConfig) -> pl.LazyFrame:
    """The columns of Goodreads' books that say what a book is."""
    frame = opened(files, "items", config)
    found = frame.collect_schema().names()
    return frame.select("item_id", *(name for name in _BOOK_TEXTS if name in found))


def games(files: Files, config: RunConfig) -> pl.LazyFrame:
    """The columns of Steam's games that say what a game is."""
    frame = opened(files, "items", config)
    found = frame.collect_schema().names()
    return frame.select("item_id", "title", *(name for name in ("genres", "tags", "developer") if name in found))


READERS = (
    LogReader(
        "yelp",
        "yelp_academic_dataset_review.json and …_business.json (JSON lines).",
        ("*review*.json*",),
        ("*business*.json*",),
        {
            "default_event": "rating",
            "events": {"columns": {"item_id": "business_id", "value": "stars", "timestamp": "date"}},
            "items": {"columns": {"item_id": "business_id"}},
            "text_template": "{name}, {categories}, {city}",
        },
    ),
    LogReader(
        "steam",
        "steam_reviews.json.gz and steam_games.json.gz (Python dictionaries).",
        ("*review*",),
        ("*game*",),
        {
            "events": {"columns": {"user_id": "username|user_id", "item_id": "product_id", "timestamp": "date"}},
            "items": {"columns": {"item_id": "id", "title": "title|app_name"}},
        },
        make_items=games,
    ),
    LogReader(
        "goodreads",
        "goodreads_interactions_X.json.gz and goodreads_books_X.json.gz.",
        ("*interactions*",),
        ("*books*",),
        {
            "default_event": "rating",
            "events": {"columns": {"item_id": "book_id", "value": "rating", "timestamp": "date_updated|date_added"}},
            "items": {"columns": {"item_id": "book_id"}},
        },
        make_items=books,
    ),
    LogReader(
        "book-crossing",
        "BX-Book-Ratings.csv and BX-Books.csv (;, cp1252); no time, rows in their order.",
        ("*Book-Ratings.csv",),
        ("*Books.csv",),
        {
            "default_event": "rating",
            "positive": "all",
            "events": {
                "separator": ";",
                "encoding": "cp1252",
                "escape": "\\",
                "columns": {"user_id": "User-ID", "item_id": "ISBN", "value": "Book-Rating", "timestamp": "@row"},
            },
            "items": {
                "separator": ";",
                "encoding": "cp1252",
                "escape": "\\",
                "columns": {"item_id": "ISBN", "title": "Book-Title"},
            },
        },
    ),
)
