"""Kinds of events under the names that the field gives them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from tfrec import schema

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


def kind_of(text: str, event_map: Mapping[str, str]) -> str:
    """Our name for a kind: as `data.event_map` says, else a known spelling, else as it is written.

    Example:
        >>> kind_of("Add_to_Cart", {}), kind_of("3", {"3": "purchase"}), kind_of("Waved at", {})
        ('cart', 'purchase', 'Waved at')
    """
    written = text.strip()
    for theirs, ours in event_map.items():
        if theirs.strip().lower() == written.lower():
            return ours
    return SYNONYMS.get(re.sub(r"[\s_\-.]+", "", written.lower()), written)


def spelt_otherwise(raw: Sequence[str], event_map: Mapping[str, str]) -> dict[str, str]:
    """The kinds that are read as another word, by how they are written."""
    return {text.strip(): kind_of(text, event_map) for text in raw if kind_of(text, event_map) != text.strip()}
