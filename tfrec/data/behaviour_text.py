"""Renders a user's behaviour as one text: what was viewed, bought and favourited, in order."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec import schema

VERBS = {
    schema.VIEW: "viewed",
    schema.CLICK: "clicked",
    schema.FAVOURITE: "favourited",
    schema.CART: "added to cart",
    schema.PURCHASE: "bought",
    schema.RATING: "rated",
    schema.LIKE: "liked",
    schema.SHARE: "shared",
    schema.FOLLOW: "followed",
    schema.COMMENT: "commented on",
    schema.RETURN: "returned",
    schema.TAG: "tagged",
}

BETWEEN_EVENTS = "; "
"""Separator between two events of a behaviour text."""


def event_text(text: str) -> str:
    """An item's text as it appears in a behaviour text: whitespace collapsed, and no event separator inside.

    Example:
        >>> event_text("Tea  pot; blue")
        'Tea pot, blue'
    """
    return " ".join(text.split()).replace(BETWEEN_EVENTS, ", ")


def behaviour_text(kinds: Sequence[str], texts: Sequence[str], max_words: int = 96) -> str:
    """Renders a history as `"bought: X; viewed: Y"`, oldest event first.

    If the text would exceed `max_words`, the oldest events are dropped, whole events at a time; a newest event that
    is too long by itself is truncated. Items without text are skipped. An empty history gives "".

    Args:
        kinds: Event kinds, oldest first. A kind that is not in `VERBS` is written as it is.
        texts: Item texts, one per event.
        max_words: Maximum number of whitespace-separated words in the result.

    Example:
        >>> behaviour_text(["view", "purchase"], ["Tea pot", "Green tea"])
        'viewed: Tea pot; bought: Green tea'
        >>> behaviour_text(["view", "purchase"], ["Tea pot", "Green tea"], max_words=4)
        'bought: Green tea'
    """
    parts: list[str] = []
    left = max_words
    for kind, text in zip(reversed(kinds), reversed(texts)):
        words = event_text(text).split()
        if not words:
            continue
        words = [*f"{VERBS.get(kind, kind)}:".split(), *words]
        if len(words) > left:
            if not parts:
                parts.append(" ".join(words[:max_words]))
            break
        parts.append(" ".join(words))
        left -= len(words)
    return BETWEEN_EVENTS.join(reversed(parts))
