"""What the explorer answers with: items, reasons and places of a list."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """An item, as it is shown.

    Args:
        item_id: Its id.
        title: Its title, else its text, else its id.
        facts: The other columns by name; without any, the text.
        events: Its training events.
        place: Where it stands in the catalogue, from 0.
        category: Its place in the labels of `Explorer.categories`; None where it has none.
    """

    item_id: str
    title: str
    facts: dict[str, str]
    events: int
    place: int
    category: int | None


@dataclass(frozen=True)
class Reason:
    """An item of the history that speaks for a recommendation.

    Args:
        card: The item of the history.
        together: How often training histories have the two near each other; 0 where that is not among what the model
            remembers.
        alike: Cosine of their vectors.
    """

    card: Card
    together: int
    alike: float


@dataclass(frozen=True)
class Recommendation:
    """A place of a list.

    Args:
        card: The item.
        rank: From 1.
        score: What it was ranked by: the model's score, or the training events where `fallback` holds.
        parts: What each part of the model adds to the score, by its name; they sum to it. Empty where `fallback` holds.
        because: The items of the history nearest to it, at most two.
        seen: Whether it is in the history.
        fallback: Whether no item of the history is known, so that popular items came.
    """

    card: Card
    rank: int
    score: float
    parts: dict[str, float]
    because: tuple[Reason, ...]
    seen: bool
    fallback: bool
