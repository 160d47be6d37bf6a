"""Results of the explorer: items, reasons and recommendations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """An item as shown to the user.

    Args:
        item_id: The item's id.
        title: The title, or the text if there is no title, or the id if both are empty.
        facts: The other columns by name, or the text if there are none.
        events: Number of training events.
        place: Index in the catalogue.
        category: Index into the labels of `Explorer.categories`; None if it has no category.
    """

    item_id: str
    title: str
    facts: dict[str, str]
    events: int
    place: int
    category: int | None


@dataclass(frozen=True)
class Reason:
    """An item of the history that explains a recommendation.

    Args:
        card: The item of the history.
        together: How often the two items occur near each other in training histories; 0 if the pair is not in the
            model's neighbour memory.
        alike: Cosine of the two item vectors.
        effect: What the score of the recommended item loses without the event; below 0 if the event lowers it.
    """

    card: Card
    together: int
    alike: float
    effect: float


@dataclass(frozen=True)
class Recommendation:
    """A recommended item.

    Args:
        card: The item.
        rank: Rank in the list, from 1.
        score: The model's score, or the number of training events if `fallback`.
        parts: Contribution of each part of the model by name; they sum to the score. Empty if `fallback`.
        because: The two events of the history that raise the score most, and the one that lowers it most, as far as
            there are such.
        without: The smallest set of events that was found without which the item is not in the list; empty for none.
        seen: Whether the item is in the history.
        fallback: Whether the list shows popular items because no item of the history is known.
    """

    card: Card
    rank: int
    score: float
    parts: dict[str, float]
    because: tuple[Reason, ...]
    without: tuple[Card, ...]
    seen: bool
    fallback: bool
