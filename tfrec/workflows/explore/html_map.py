"""HTML map of the items: a dot per item, marks for history and recommendations, titles on hover."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.reporting.html_element import Html, element
from tfrec.workflows.explore.answers import Recommendation
from tfrec.workflows.explore.explorer import Explorer
from tfrec.workflows.explore.html_cards import piece
from tfrec.workflows.explore.item_map import shown_places

MARKED = 50
"""Newest items of the history that are marked; more would hide the map."""


def map_of_items(explorer: Explorer, history: Sequence[str], found: Sequence[Recommendation]) -> Html:
    """The map with its legend and the share of variance that it shows.

    Args:
        explorer: Provides the items.
        history: Item ids, oldest first.
        found: The recommendations for the history.
    """
    picked = {place.card.place: place.rank for place in found}
    known = [place for item in history if (place := explorer.place(item)) is not None]
    past = [place for place in dict.fromkeys(reversed(known)) if place not in picked][:MARKED]
    dots = shown_places(explorer.counts, [*picked, *past])
    plane = element(
        "div",
        *(_point(explorer, place, f"dot hue-{_hue(explorer, place)}") for place in dots.tolist()),
        *(_point(explorer, place, "mark past", "", "history: ") for place in past),
        *(_point(explorer, place, "mark pick", str(rank), f"{rank}. ") for place, rank in picked.items()),
        class_="plane",
        role="group",
        aria_label="Map of the items; history and recommendations can be reached with the Tab key",
    )
    said = (
        f"{len(dots) + len(past) + len(picked):,} of {len(explorer.ids):,} items, the most popular ones. "
        "Similar items tend to be near each other; "
        f"the two axes show {explorer.map.share:.0%} of the variance of the item vectors."
    )
    return piece(element("figure", plane, _legend(explorer), element("figcaption", said, class_="soft"), class_="map"))


def _point(explorer: Explorer, place: int, look: str, text: str = "", before: str = "") -> Html:
    across, up = explorer.map.positions[place]
    title = before + explorer.titles[place]
    sides = f"{' flip' if across > 0.5 else ''}{' under' if up > 0.8 else ''}"
    marked = look.startswith("mark")
    return element(
        "i",
        text,
        class_=look + sides,
        style=f"left:{_inside(across):.1f}%;bottom:{_inside(up):.1f}%",
        data_title=title,
        tabindex=0 if marked else None,
        role="img" if marked else None,
        aria_label=title if marked else None,
    )


def _inside(share: np.floating) -> float:
    """Position in per cent, with a margin for marks at the edges."""
    return 2.5 + 95 * float(share)


def _hue(explorer: Explorer, place: int) -> int | str:
    category = -1 if explorer.categories is None else int(explorer.categories.of_item[place])
    return category if category >= 0 else "none"


def _legend(explorer: Explorer) -> Html:
    marks = [("mark pick", "recommended, by rank"), ("mark past", f"history (newest {MARKED})")]
    labels = [] if explorer.categories is None else explorer.categories.labels
    marks += [(f"dot hue-{place}", label) for place, label in enumerate(labels)]
    return element("p", *(element("span", element("i", class_=look), text) for look, text in marks), class_="legend")
