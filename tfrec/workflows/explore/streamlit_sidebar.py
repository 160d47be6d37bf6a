"""The left side of the explorer's page: whose history, and what list is asked for."""

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
"""Items of a search that are offered."""
REMOVABLE = 8
"""Events that can be taken out one by one, the newest."""


def history(explorer: Explorer, data: PreparedDataset | None) -> None:
    """Take a user's history, or put one together."""
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
            known = explorer.place(event.item_id) is not None
            name = f"Remove {plain(explorer.card(event.item_id).title if known else event.item_id)}"
            icon, key = ":material/close:", f"out-{place}"
            st.button(name, key=key, icon=icon, on_click=events.pop, args=(place,), type="tertiary")
    st.button("Clear the history", on_click=events.clear, width="stretch")


def take(data: PreparedDataset, user: str | None = None) -> None:
    """Puts a user's events in the place of the history; those of anybody who has some where no user is said."""
    histories = data.histories()
    if user is None:
        user = histories.user_ids[np.random.default_rng().choice(np.flatnonzero(histories.lengths))]
    st.session_state.history = events_of(data, user)


def add(item: str) -> None:
    """Adds an event of the chosen kind."""
    st.session_state.history.append(PastEvent(item, st.session_state.get("kind") or st.session_state.first_kind))


def list_options(explorer: Explorer) -> dict[str, Any]:
    """What `Explorer.recommend` takes beside the history."""
    st.header("List")
    k = st.slider("Items", 1, 50, 10)
    diversity = st.slider("Diversity", 0.0, 1.0, 0.0, 0.05)
    exclude = st.toggle("Leave out items of the history", value=True)
    where = {name: st.multiselect(f"Only {name}", facet.values) for name, facet in explorer.facets.items()}
    return {"k": k, "diversity": diversity, "exclude_seen": exclude, "where": where}


def web_pictures(pictures: Pictures) -> bool:
    """Whether the browser may fetch pictures; asked only where the catalogue has web addresses."""
    if not pictures.on_the_web:
        return False
    help_ = f"Your browser fetches them from the addresses in the column {pictures.column!r}. Off: nothing is fetched."
    return st.toggle("Load pictures from the web", value=False, help=help_)


def plain(text: str) -> str:
    """The text so that Streamlit shows it as it is, where it reads Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!$~:<>|])", r"\\\1", text)
