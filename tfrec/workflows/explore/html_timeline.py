"""HTML timeline of a history: oldest event on the left, scrolled to the newest."""

from __future__ import annotations

from collections.abc import Sequence

from tfrec.reporting.html_element import Html, element
from tfrec.workflows.explore.explorer import Explorer
from tfrec.workflows.explore.html_cards import Source, piece, tile
from tfrec.workflows.explore.page_style import KINDS
from tfrec.workflows.explore.timeline import PastEvent

SHOWN = 60
"""Newest events that are drawn; earlier ones are only counted."""


def timeline(events: Sequence[PastEvent], explorer: Explorer, source: Source) -> Html:
    """The events of a history, each with its picture, kind and date.

    The newest event comes first in the document. The row runs from right to left, so a browser opens it there.

    Args:
        events: The events, oldest first.
        explorer: Provides the items.
        source: Provides the pictures.
    """
    earlier = len(events) - SHOWN
    newest = [_event(event, explorer, source) for event in reversed(events[-SHOWN:])]
    rest = [element("li", f"{earlier:,} earlier events", class_="earlier")] if earlier > 0 else []
    return piece(element("ol", *newest, *rest, class_="timeline", tabindex=0, aria_label="History, newest first"))


def _event(event: PastEvent, explorer: Explorer, source: Source) -> Html:
    kinds = explorer.run.event_kinds
    known = explorer.place(event.item_id) is not None
    item = explorer.card(event.item_id) if known else None
    number = kinds.index(event.kind) % KINDS if event.kind in kinds else KINDS - 1
    return element(
        "li",
        tile(item, source) if item else "",
        element("div", item.title if item else f"{event.item_id} (not in this catalogue)", class_="name"),
        element("div", event.kind, class_="kind") if len(kinds) > 1 else "",
        element("div", f"{event.when:%d %b %Y}", class_="soft") if event.when else "",
        class_=f"kind-{number}",
    )
