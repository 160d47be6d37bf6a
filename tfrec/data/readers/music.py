"""Last.fm: what people listened to. Items are artists.

1K: one row a play, tabs, no header, no quoting ("Weird Al" Yankovic); an artist may have no MusicBrainz id, and then
its
name is its id. 360K: plays an artist, no header and no time. 2K (HetRec): `.dat` with tabs and a header; `artistID` in
the log is `id` in the catalogue, and there is no time. Where there is no time, rows are taken in their order.
Sources: http://ocelma.net/MusicRecommendationDataset/, https://grouplens.org/datasets/hetrec-2011/.
"""

from __future__ import annotations

from tfrec.data.readers.log_reader import LogReader

_TABS = {"separator": "\t", "quote": "none"}

READERS = (
    LogReader(
        "lastfm-1k",
        "userid-timestamp-artid-artname-traid-traname.tsv; items are artists.",
        ("*timestamp*artid*.tsv",),
        options={
            "default_event": "view",
            "item_columns": ["artist"],
            "events": {
                **_TABS,
                "names": ["user_id", "timestamp", "artist_id", "artist", "track_id", "track"],
                "columns": {"item_id": "artist_id|artist"},
            },
        },
    ),
    LogReader(
        "lastfm-2k",
        "user_artists.dat and artists.dat (tabs); no time, rows in their order.",
        ("user_artists.dat",),
        ("artists.dat",),
        {
            "default_event": "view",
            "events": {
                **_TABS,
                "columns": {"user_id": "userID", "item_id": "artistID", "value": "weight", "timestamp": "@row"},
            },
            "items": {**_TABS, "columns": {"item_id": "id"}},
        },
    ),
    LogReader(
        "lastfm-360k",
        "usersha1-artmbid-artname-plays.tsv; no time, rows in their order.",
        ("*artmbid*plays.tsv",),
        options={
            "default_event": "view",
            "item_columns": ["artist"],
            "events": {
                **_TABS,
                "names": ["user_id", "artist_id", "artist", "value"],
                "columns": {"item_id": "artist_id|artist", "timestamp": "@row"},
            },
        },
    ),
)
