"""Kinds of events under the names that the field gives them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from tfrec import schema
from tfrec.errors import InvalidInput

_SPELLINGS: dict[str, str] = {
    schema.VIEW: "view views viewed pv pageview detailpageview viewitem itemview productview productviewed viewproduct "
    "viewcontent watched watch play played read browse browsed listen listened",
    schema.CLICK: "click clicks clicked clickitem selectitem productclicked itemclick",
    schema.FAVOURITE: "favourite favorite fav favs favorites favourites wishlist addtowishlist addtofavorites bookmark "
    "saved save productaddedtowishlist",
    schema.CART: "cart carts carted addtocart addcart addtobasket basket productadded incart cartadd",
    schema.PURCHASE: "purchase purchases purchased transaction transactions order orders ordered buy buys bought "
    "purchasecomplete ordercompleted checkoutcomplete sale sales conversion",
    schema.RATING: "rating ratings rated rate stars score review reviewed",
    schema.LIKE: "like likes liked thumbsup upvote",
    schema.DISLIKE: "dislike dislikes disliked thumbsdown downvote hate",
    schema.SHARE: "share shares shared repost retweet forward",
    schema.FOLLOW: "follow follows followed subscribe subscribed",
    schema.COMMENT: "comment comments commented reply",
    schema.RETURN: "return returns returned refund refunded",
    schema.TAG: "tag tags tagged",
    schema.IMPRESSION: "impression impressions shown exposure exposures show viewitemlist",
}
SYNONYMS = {spelling: kind for kind, spellings in _SPELLINGS.items() for spelling in spellings.split()}
"""Spelling without case, blanks, - and _ to our kind."""


MAX_KINDS = 1000
"""More kinds than any log has: models learn a vector for each, and there are about 500 in the largest web analytics."""


def kinds_of(texts: Iterable[str], event_map: Mapping[str, str]) -> list[str]:
    """Our names for kinds: as `data.event_map` says, else a known spelling, else as it is written.

    Example:
        >>> kinds_of(["Add_to_Cart", "3", "Waved at"], {"3": "purchase"})
        ['cart', 'purchase', 'Waved at']
    """
    given: dict[str, str] = {}
    for theirs, ours in event_map.items():
        given.setdefault(theirs.strip().lower(), ours)

    def named(written: str) -> str:
        if (ours := given.get(written.lower())) is not None:
            return ours
        return SYNONYMS.get(re.sub(r"[\s_\-.]+", "", written.lower()), written)

    return [named(text.strip()) for text in texts]


def spelt_otherwise(raw: Sequence[str], event_map: Mapping[str, str]) -> dict[str, str]:
    """The kinds that are read as another word, by how they are written."""
    named = zip((text.strip() for text in raw), kinds_of(raw, event_map))
    return {text: kind for text, kind in named if kind != text}


def refuse_too_many(kinds: Sequence[str]) -> None:
    """Raises `InvalidInput` if there are more than `MAX_KINDS` kinds: the column holds something else then."""
    if len(kinds) > MAX_KINDS:
        raise InvalidInput(
            f"events: expected at most {MAX_KINDS:,} kinds of events; found {len(kinds):,}, such as {kinds[0]!r} and "
            f"{kinds[-1]!r}. If the column event holds something else, name the right one with "
            "data.events.columns.event; if these are kinds, join them with data.event_map."
        )
