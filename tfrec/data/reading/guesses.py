"""Guesses at which column is which, for the flags that an error proposes. Nothing is read by a guess alone."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from tfrec import schema

SECTIONS = ("events", "items", "users")
"""Inputs that have a section of their own in the configuration."""
SYNONYMS: dict[str, tuple[str, ...]] = {
    schema.USER_ID: (
        "user", "uid", "userid", "visitor", "visitorid", "customer", "customerid", "reviewerid", "member", "memberid",
        "profile", "profileid", "userpseudoid", "anonymousid", "username", "account", "accountid", "person",
        "personid", "subscriber", "subscriberid", "session", "sessionid", "clientid", "household", "householdid",
        "userhash", "cookie", "cookieid",
    ),
    schema.ITEM_ID: (
        "item", "iid", "itemid", "movie", "movieid", "film", "filmid", "product", "productid", "parentasin", "asin",
        "article", "articleid", "sku", "stockcode", "aid", "book", "bookid", "isbn", "business", "businessid", "news",
        "newsid", "video", "videoid", "track", "trackid", "song", "songid", "artist", "artistid", "content",
        "contentid", "offer", "offerid", "adgroupid", "poi", "venue", "venueid", "show", "game", "id",
    ),
    schema.TIMESTAMP: (
        "timestamp", "time", "ts", "datetime", "date", "eventtime", "eventtimestamp", "eventdate", "unixreviewtime",
        "createdat", "invoicedate", "tdat", "dateadded", "originaltimestamp", "unixtime", "timems", "when", "day",
    ),
    schema.EVENT: ("event", "eventtype", "eventname", "behavior", "behaviour", "action", "actiontype", "type", "kind"),
    schema.VALUE: ("value", "rating", "stars", "score", "overall", "quantity", "qty", "eventvalue", "bookrating",
                   "watchratio", "weight", "playcount", "plays"),
}  # fmt: skip
"""Our column to names that the field gives it, in order of preference; without case, blanks and underscores."""


def plain(name: str) -> str:
    """A column name without case, blanks, underscores and the like."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def column_for(ours: str, found: Sequence[str]) -> str | None:
    """The column that most likely is `ours`, or None.

    Example:
        >>> column_for("item_id", ["userId", "movieId", "rating"])
        'movieId'
    """
    by_name: dict[str, str] = {}
    for name in found:
        by_name.setdefault(plain(name), name)
    for synonym in (plain(ours), *SYNONYMS.get(ours, ())):
        if synonym in by_name:
            return by_name[synonym]
    return None


def mapping_flags(found: Sequence[str], missing: Sequence[str], what: str) -> str:
    """The flags that map the missing columns of an input, to be pasted into a shell.

    Example:
        >>> mapping_flags(["userId", "item"], ["user_id", "item_id"], "events")
        '--set data.events.columns.user_id=userId --set data.events.columns.item_id=item'
    """
    section = f"data.{what}.columns" if what in SECTIONS else "data.columns"
    left = [name for name in found if name not in missing]
    flags = []
    for ours in missing:
        theirs = column_for(ours, left) or "YOUR_NAME"
        if theirs != "YOUR_NAME":
            left.remove(theirs)
        elif ours == schema.TIMESTAMP:
            theirs = "@row"
        flags.append("--set " + shlex.quote(f"{section}.{ours}={theirs}"))
    return " ".join(flags)


def names_for(rows: Sequence[Sequence[str]], what: str) -> list[str]:
    """Names for the columns of a table without a header, guessed from what they hold.

    Example:
        >>> names_for([["196", "242", "3", "881250949"], ["186", "302", "4", "891717742"]], "events")
        ['user_id', 'item_id', 'value', 'timestamp']
    """
    width = max((len(row) for row in rows), default=0)
    columns = [[row[i].strip() for row in rows if i < len(row)] for i in range(width)]
    names = [f"column_{i + 1}" for i in range(width)]
    if what != "events":
        wanted = {"items": schema.ITEM_ID}.get(what, schema.USER_ID)
        return [wanted, *names[1:]] if what != "items" or width < 2 else _item_names(columns, names)
    free = list(range(width))

    def take(ours: str, place: int | None) -> None:
        if place is not None:
            names[place] = ours
            free.remove(place)

    take(schema.TIMESTAMP, next((i for i in free if _all(columns[i], _is_time)), None))
    take(schema.EVENT, next((i for i in free[1:] if _few_words(columns[i])), None))
    if len(free) > 2:
        take(schema.VALUE, next((i for i in reversed(free[2:]) if _all(columns[i], _is_small_number)), None))
    for ours in (schema.USER_ID, schema.ITEM_ID):
        take(ours, free[0] if free else None)
    return names


def _item_names(columns: list[list[str]], names: list[str]) -> list[str]:
    """The first column is the id, the next one with words in it the title."""
    title = next((i for i in range(1, len(columns)) if any(re.search(r"[^\W\d_]{2}", text) for text in columns[i])), 1)
    return [schema.ITEM_ID if i == 0 else "title" if i == title else name for i, name in enumerate(names)]


def _all(texts: list[str], test: object) -> bool:
    present = [text for text in texts if text]
    return bool(present) and all(test(text) for text in present)  # type: ignore[operator]


def _is_time(text: str) -> bool:
    if re.fullmatch(r"\d{8,19}(\.\d+)?", text):
        return float(text) >= 1e8
    return bool(re.search(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{1,2}:\d{2}", text))


def _is_small_number(text: str) -> bool:
    return bool(re.fullmatch(r"-?\d{1,3}([.,]\d+)?", text))


def _few_words(texts: list[str]) -> bool:
    """A kind of event: short words without digits, few of them."""
    return _all(texts, lambda text: re.fullmatch(r"[A-Za-z][A-Za-z _-]{0,30}", text)) and len(set(texts)) <= max(
        2, min(20, len(texts) // 2)
    )
