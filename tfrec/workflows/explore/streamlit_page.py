"""The page of `tfrec explore`: widgets around `Explorer`, which has the logic. Streamlit runs this file as a script."""

from __future__ import annotations

import argparse
import re
from typing import Any

import streamlit as st

from tfrec.data import PreparedDataset
from tfrec.errors import TfrecError
from tfrec.runs import Run
from tfrec.workflows.explore.explorer import Card, Explorer, Reason, Recommendation
from tfrec.workflows.explore.list_comparison import compare_lists


@st.cache_resource(show_spinner="Loading the model")
def explorer_of(path: str) -> Explorer:
    """The explorer of a run, loaded once for all visitors."""
    return Explorer(Run.load(path))


@st.cache_resource(show_spinner="Loading the data")
def data_of(path: str) -> PreparedDataset:
    """The prepared data, loaded once."""
    return PreparedDataset.load(path)


def main() -> None:
    """Draws the page; Streamlit calls it again after every click."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", action="append", required=True)
    parser.add_argument("--data")
    options = parser.parse_args()
    st.set_page_config(page_title="tfrec explore", layout="wide")
    st.session_state.setdefault("history", [])
    explorers = {path: explorer_of(path) for path in options.run}
    first = explorers[options.run[0]]
    data = data_of(options.data) if options.data else None
    with st.sidebar:
        history(first, data)
        asked = knobs(first)
    pages = ["Recommendations", "A new item", *(["Two versions"] if len(explorers) > 1 else [])]
    tabs = st.tabs(pages)
    with tabs[0]:
        recommendations(first, asked)
    with tabs[1]:
        new_item(first, data)
    if len(explorers) > 1:
        with tabs[2]:
            versions(explorers, asked)


def history(explorer: Explorer, data: PreparedDataset | None) -> None:
    """The sidebar's first part: take a user's history, or put one together."""
    st.header("History")
    if data is not None:
        taken = st.selectbox(
            "A user of the data", data.histories().user_ids.tolist(), index=None, placeholder="Choose a user"
        )
        st.button("Take this history", disabled=taken is None, on_click=take, args=(data, taken))
    words = st.text_input("Search items", placeholder="Words of a title or text")
    for item in explorer.search(words, 6) if words else []:
        st.button(f"Add {plain(explorer.card(item).title)}", key=f"add-{item}", on_click=add, args=(item,))
    events: list[tuple[str, str]] = st.session_state.history
    st.caption(
        f"{len(events)} events, oldest first; a click takes one out" if events else "Nothing yet: popular items."
    )
    for place, (item, _) in reversed(list(enumerate(events[-12:], max(len(events) - 12, 0)))):
        name = explorer.card(item).title if item in set(explorer.ids) else item
        st.button(f"Remove {plain(name)}", key=f"out-{place}", on_click=events.pop, args=(place,))
    st.button("Clear", disabled=not events, on_click=events.clear)
    if len(explorer.run.event_kinds) > 1:
        st.selectbox("Kind of the events added", explorer.run.event_kinds, key="kind")


def take(data: PreparedDataset, user: str) -> None:
    """Puts a user's events in the place of the history."""
    histories = data.histories()
    row = histories.row(int((histories.user_ids == user).argmax()))
    ids, kinds = data.item_ids[histories.items[row]], [data.event_kinds[code] for code in histories.events[row]]
    st.session_state.history = list(zip(ids.tolist(), kinds))


def add(item: str) -> None:
    """Adds an event of the chosen kind."""
    st.session_state.history.append((item, st.session_state.get("kind")))


def knobs(explorer: Explorer) -> dict[str, Any]:
    """The sidebar's second part: what `Explorer.recommend` takes beside the history."""
    st.header("List")
    k = st.slider("Items", 1, 50, 10)
    diversity = st.slider("Diversity", 0.0, 1.0, 0.0, 0.05)
    exclude = st.toggle("Leave out items of the history", value=True)
    where = {name: st.multiselect(f"Only {name}", facet.values) for name, facet in explorer.facets.items()}
    return {"k": k, "diversity": diversity, "exclude_seen": exclude, "where": where}


def listed(explorer: Explorer, asked: dict[str, Any]) -> list[Recommendation]:
    """The list for the history and knobs of the page."""
    events = st.session_state.history
    kinds = [kind or explorer.run.event_kinds[0] for _, kind in events]
    where = {name: values for name, values in asked["where"].items() if name in explorer.facets}
    return explorer.recommend([item for item, _ in events], kinds, **{**asked, "where": where})


def recommendations(explorer: Explorer, asked: dict[str, Any]) -> None:
    """The list, a card a place."""
    found = listed(explorer, asked)
    if not found:
        st.info("The filters leave no item. Take one away.")
    if found and found[0].fallback:
        st.info("No history yet, so the most popular items come. Search for an item at the left and add it.")
    for place in found:
        with st.container(border=True):
            show(place)


def show(place: Recommendation) -> None:
    """One recommendation: its card, its score, and why."""
    card(place.card, f"{place.rank}. ", " · seen" if place.seen else "")
    if place.fallback:
        st.caption(f"{place.score:.0f} events in training")
        return
    rest = place.score - place.taste
    st.caption(f"score {place.score:.3f} = taste {place.taste:.3f} + repeats and neighbours {rest:.3f}")
    st.caption(f"Because of {'; '.join(map(reason, place.because))}")


def reason(why: Reason) -> str:
    """An item of the history and what ties it to the recommended one."""
    together = f"{why.together} times near it in training, " if why.together else ""
    return f"{plain(why.card.title)} ({together}alike {why.alike:.2f})"


def plain(text: str) -> str:
    """The text so that Streamlit shows it as it is, where it reads Markdown."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!$~:<>|])", r"\\\1", text)


def card(item: Card, before: str = "", after: str = "") -> None:
    """An item's title and facts; its texts are shown as they are, not read as Markdown."""
    st.text(f"{before}{item.title}{after}")
    facts = " · ".join(f"{name}: {value}" for name, value in item.facts.items())
    st.text(f"{facts}{' · ' if facts else ''}{item.events} events · id {item.item_id}")


def new_item(explorer: Explorer, data: PreparedDataset | None) -> None:
    """What a text that the catalogue does not know would be."""
    if not explorer.reads_text:
        st.info("This run reads no text, so it cannot place an item that it does not know.")
        return
    text = st.text_input("Text of a new item", placeholder="What the item says")
    if not text.strip():
        st.caption("Type what a new item would say: its nearest items, and who would like it, come without training.")
        return
    left, right = st.columns(2)
    with left:
        st.subheader("Similar items")
        for other, cosine in explorer.similar_to_text(text, 10):
            with st.container(border=True):
                card(other, after=f" · {cosine:.2f}")
    with right:
        st.subheader("Who would like it")
        if data is None:
            st.caption("Start with --data to see users.")
            return
        for user, score, at in explorer.who_would_like(text, data, 10):
            st.text(f"{user}: would stand at place {at} of {len(explorer.ids)} by taste (score {score:.2f})")


def versions(explorers: dict[str, Explorer], asked: dict[str, Any]) -> None:
    """The lists of two runs for one history, and what changed."""
    names = list(explorers)
    columns = st.columns(2)
    chosen = [
        column.selectbox("Version", names, index=place, key=f"version-{place}") for place, column in enumerate(columns)
    ]
    lists = [listed(explorers[name], asked) for name in chosen]
    changed = compare_lists(*([place.card.item_id for place in found] for found in lists))
    gone = {item: "gone" for item in changed.gone}
    came = {item: "new" if rise is None else f"{rise:+d}" if rise else "=" for item, rise in changed.moved.items()}
    st.caption(f"{changed.overlap:.0%} of the items are in both lists.")
    for column, found, marks in zip(columns, lists, (gone, came)):
        with column:
            for place in found:
                with st.container(border=True):
                    card(
                        place.card, f"{place.rank}. ", f"  [{mark}]" if (mark := marks.get(place.card.item_id)) else ""
                    )
                    st.caption(f"score {place.score:.3f}")


if __name__ == "__main__":
    try:
        main()
    except TfrecError as error:
        st.error(str(error))
