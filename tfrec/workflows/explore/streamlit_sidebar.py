"""Sidebar of the explorer page: the history, and the options of the list."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import streamlit as st

from tfrec.data import PreparedDataset
from tfrec.workflows.explore.explorer import Explorer
from tfrec.workflows.explore.html_cards import counted
from tfrec.workflows.explore.pictures import Pictures
from tfrec.workflows.explore.timeline import PastEvent, events_of

FOUND = 6
"""Search results offered."""
REMOVABLE = 8
"""Newest events that can be removed one by one."""
WITHOUT = 50
"""Newest events that can be left out of what the model reads."""


def history(explorer: Explorer, data: PreparedDataset | None) -> None:
    """Widgets to load a user's history or to put one together."""
    st.header("History")
    if data is not None:
        users = data.histories().user_ids.tolist()
        user = st.selectbox("A user of the data", users, index=None, placeholder="Choose a user")
        st.button("Take this history", disabled=user is None, on_click=take, args=(data, user), width="stretch")
    words = st.text_input("Search items", placeholder="Words of a title or text")
    if len(explorer.run.event_kinds) > 1:
        st.selectbox("Kind of the events added", explorer.run.event_kinds, key="kind")
    for item in explorer.search(words, FOUND) if words else []:
        name = f"Add {plain(explorer.card(item).title)}"
        st.button(name, key=f"add-{item}", icon=":material/add:", on_click=add, args=(item,), width="stretch")
    events: list[PastEvent] = st.session_state.history
    if not events:
        st.caption("No events yet.")
        return
    st.caption(f"{counted(len(events), 'event')}, the newest first:")
    with st.container(key="events-out"):
        for place, event in reversed(list(enumerate(events))[-REMOVABLE:]):
            name = f"Remove {_titled(explorer, event)}"
            icon, key = ":material/close:", f"out-{place}"
            st.button(name, key=key, icon=icon, on_click=remove, args=(place,), type="tertiary")
    st.button("Clear the history", on_click=clear, width="stretch")
    places = list(range(len(events)))[::-1][:WITHOUT]
    st.multiselect("Without these events", places, format_func=lambda at: _titled(explorer, events[at]), key="without")


def _titled(explorer: Explorer, event: PastEvent) -> str:
    known = explorer.place(event.item_id) is not None
    return plain(explorer.card(event.item_id).title if known else event.item_id)


def take(data: PreparedDataset, user: str | None = None) -> None:
    """Replaces the history with that of a user; None chooses a random user with events."""
    histories = data.histories()
    if user is None:
        user = histories.user_ids[np.random.default_rng().choice(np.flatnonzero(histories.lengths))]
    st.session_state.history, st.session_state.without = events_of(data, user), []


def remove(place: int) -> None:
    """Removes an event; those that are switched off are told by their places, which move."""
    st.session_state.history.pop(place)
    st.session_state.without = []


def clear() -> None:
    """Removes all events."""
    st.session_state.history.clear()
    st.session_state.without = []


def add(item: str) -> None:
    """Adds an event of the selected kind to the history."""
    st.session_state.history.append(PastEvent(item, st.session_state.get("kind") or st.session_state.first_kind))


def list_options(explorer: Explorer) -> dict[str, Any]:
    """Widgets for the options of `Explorer.recommend`; returns them as keyword arguments."""
    st.header("List")
    k = st.slider("Items", 1, 50, 10)
    diversity = st.slider("Diversity", 0.0, 1.0, 0.0, 0.05)
    exclude = st.toggle("Leave out items of the history", value=True)
    where = {name: st.multiselect(f"Only {plain(name)}", facet.values) for name, facet in explorer.facets.items()}
    return {"k": k, "diversity": diversity, "exclude_seen": exclude, "where": where}


def web_pictures(pictures: Pictures) -> bool:
    """Whether the browser may load pictures from the web; asks only if the catalogue has web addresses."""
    if not pictures.on_the_web:
        return False
    column = plain(str(pictures.column))
    help_ = f"Your browser fetches them from the addresses in the column {column}. Off: nothing is fetched."
    return st.toggle("Load pictures from the web", value=False, help=help_)


def plain(text: str) -> str:
    """Escapes Markdown, so that Streamlit shows the text literally."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!$~:<>|])", r"\\\1", text)
