"""HTML cards of items: picture, text, reasons, and the score as bars."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from tfrec.reporting.diverging_bars import diverging_bars, span_of
from tfrec.reporting.html_element import Html, element, joined
from tfrec.workflows.explore.answers import Card, Reason, Recommendation
from tfrec.workflows.explore.list_comparison import ListComparison

Source = Callable[[int], str | None]
"""Maps an item's catalogue index to the `src` of its picture."""
NOTHING = joined()


def piece(*children: str) -> Html:
    """A part of the page in the explorer's style."""
    return element("div", *children, class_="explore")


def recommendation_cards(found: Sequence[Recommendation], source: Source) -> Html:
    """A list of recommendations with reasons, and score bars on a common scale."""
    span = span_of(amount for place in found for amount in place.parts.values())
    return piece(element("ol", *(_recommendation(place, source, span) for place in found), class_="cards"))


def similar_cards(found: Iterable[tuple[Card, float]], source: Source) -> Html:
    """Items with their cosines."""
    cards = (card(item, source, badge=_badge(f"similarity {_number(cosine)}", "same")) for item, cosine in found)
    return piece(element("ol", *cards, class_="cards"))


def compared_cards(found: Sequence[Recommendation], badges: dict[str, Html], source: Source) -> Html:
    """One of two compared lists, with a badge for each item that changed."""
    cards = (
        card(
            place.card,
            source,
            rank=place.rank,
            badge=badges.get(place.card.item_id, NOTHING),
            below=(_score_line(place),),
        )
        for place in found
    )
    return piece(element("ol", *cards, class_="cards"))


def change_badges(changed: ListComparison) -> tuple[dict[str, Html], dict[str, Html]]:
    """Badges for the items of the first list (gone) and of the second (new, up, down or unchanged)."""
    gone = {item: _badge("gone", "down") for item in changed.gone}
    return gone, {item: _change(rise) for item, rise in changed.moved.items()}


def card(
    item: Card,
    source: Source,
    *,
    rank: int | None = None,
    badge: Html = NOTHING,
    below: Sequence[Html] = (),
    aside: Html = NOTHING,
) -> Html:
    """A card with an item's picture, title and facts.

    Args:
        item: The item.
        source: Provides the picture.
        rank: Rank in the list.
        badge: Shown after the title.
        below: Shown below the facts.
        aside: Shown beside the facts, or below them on narrow screens.
    """
    number = element("span", f"{rank}. ", class_="rank") if rank is not None else NOTHING
    title = joined(number, item.title, " " if badge else "", badge)
    about = element(
        "div",
        element("p", title, class_="title"),
        element("p", *_facts(item), class_="facts"),
        element("p", f"{counted(item.events, 'event')} · id {item.item_id}", class_="soft"),
        *below,
        class_="about",
    )
    return element("li", tile(item, source), about, aside, class_="card scored" if aside else "card")


def tile(item: Card, source: Source) -> Html:
    """An item's picture, or its initials if there is none, on the colour of its category."""
    address = source(item.place)
    hue = "none" if item.category is None else item.category
    picture = element("img", src=address, alt="", loading="lazy") if address else ""
    return element("span", initials(item.title), picture, class_=f"tile hue-{hue}", aria_hidden="true")


def counted(number: int, word: str) -> str:
    """A number with its noun, in the singular or plural.

    Example:
        >>> counted(1, "event"), counted(1200, "event")
        ('1 event', '1,200 events')
    """
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def initials(title: str) -> str:
    """Two letters that stand for a title.

    Example:
        >>> initials("Star Wars"), initials("Alien"), initials("The 12th *Man*"), initials("…")
        ('SW', 'Al', '1M', '·')
    """
    words = [word for word in re.findall(r"\w+", title) if word.lower() not in ("the", "a", "an")] or re.findall(
        r"\w+", title
    )
    if len(words) > 1:
        return (words[0][0] + words[1][0]).upper()
    return words[0][:2] if words else "·"


def _facts(item: Card) -> Iterable[Html]:
    for number, (name, value) in enumerate(item.facts.items()):
        yield joined(" · " if number else "", element("span", f"{name} ", class_="soft"), value)


def _recommendation(place: Recommendation, source: Source, span: tuple[float, float]) -> Html:
    badge = _badge("seen", "same") if place.seen else NOTHING
    if place.fallback:
        return card(place.card, source, rank=place.rank, badge=badge)
    total = element("p", element("span", "score"), element("span", f"{place.score:.3f}"), class_="total")
    parts = element("div", total, diverging_bars(list(place.parts.items()), span), class_="parts")
    return card(place.card, source, rank=place.rank, badge=badge, below=tuple(_why(place)), aside=parts)


def _why(place: Recommendation) -> Iterable[Html]:
    """What raises the score, what lowers it, and without what the item would not be in the list."""
    for words, reasons in (
        ("Because of ", [why for why in place.because if why.effect > 0]),
        ("Against it ", [why for why in place.because if why.effect < 0]),
    ):
        if reasons:
            yield element("p", element("span", words, class_="soft"), joined(*_reasons(reasons)), class_="why")
    if place.without:
        titles = " and ".join(item.title for item in place.without)
        said = element("span", "Not in the list without ", class_="soft")
        yield element("p", said, titles, class_="why")


def _reasons(because: Iterable[Reason]) -> Iterable[Html]:
    for number, why in enumerate(because):
        together = f"{counted(why.together, 'time')} near it in training, " if why.together else ""
        effect = f"{why.effect:+.3f}".replace("-", "−")
        said = element("span", f" ({effect}; {together}similarity {_number(why.alike)})", class_="soft")
        yield joined("; " if number else "", why.card.title, said)


def _score_line(place: Recommendation) -> Html:
    said = f"{counted(int(place.score), 'event')} in training" if place.fallback else f"score {place.score:.3f}"
    return element("p", said, class_="soft")


def _change(rise: int | None) -> Html:
    if rise is None:
        return _badge("new", "")
    if not rise:
        return _badge("=", "same")
    return _badge(f"up {rise}", "") if rise > 0 else _badge(f"down {-rise}", "down")


def _badge(words: str, look: str) -> Html:
    return element("span", words, class_=f"badge {look}".strip())


def _number(cosine: float) -> str:
    return f"{cosine:.2f}".replace("-", "−")
