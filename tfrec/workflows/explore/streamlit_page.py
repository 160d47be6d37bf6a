"""The page of `tfrec explore`: widgets around `Explorer`. Streamlit runs this file as a script."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import streamlit as st

from tfrec.data import PreparedDataset
from tfrec.errors import TfrecError
from tfrec.reporting.highlighted_text import highlighted_text
from tfrec.reporting.html_element import element
from tfrec.runs import Run
from tfrec.workflows.explore import streamlit_sidebar as sidebar
from tfrec.workflows.explore.answers import Recommendation
from tfrec.workflows.explore.explorer import Explorer
from tfrec.workflows.explore.html_cards import (
    Source,
    change_badges,
    compared_cards,
    piece,
    recommendation_cards,
    similar_cards,
)
from tfrec.workflows.explore.html_map import map_of_items
from tfrec.workflows.explore.html_timeline import timeline
from tfrec.workflows.explore.list_comparison import compare_lists
from tfrec.workflows.explore.page_style import style_sheet
from tfrec.workflows.explore.pictures import Pictures


@st.cache_resource(show_spinner="Loading the model")
def explorer_of(path: str) -> Explorer:
    """The explorer of a run, loaded once for all sessions."""
    return Explorer(Run.load(path))


@st.cache_resource(show_spinner="Loading the data")
def data_of(path: str) -> PreparedDataset:
    """The prepared data, loaded once for all sessions."""
    return PreparedDataset.load(path)


@st.cache_resource
def pictures_of(path: str, folder: str) -> Pictures:
    """The pictures of a run's items."""
    return Pictures(explorer_of(path).run.items, Path(folder))


def main() -> None:
    """Draws the page; Streamlit runs it again after every interaction."""
    options = _options()
    st.set_page_config(page_title="tfrec explore", layout="wide")
    st.html(f"<style>{style_sheet()}</style>")
    explorers = {path: explorer_of(path) for path in options.run}
    pictures = {path: pictures_of(path, options.images) for path in options.run}
    name, first = next(iter(explorers.items()))
    data = data_of(options.data) if options.data else None
    st.session_state.setdefault("history", [])
    st.session_state.first_kind = first.run.event_kinds[0]
    with st.sidebar:
        st.caption(sidebar.plain(f"{name}, {len(first.ids):,} items"))
        sidebar.history(first, data)
        asked = sidebar.list_options(first)
        web = sidebar.web_pictures(pictures[name])
    sources: dict[str, Source] = {path: partial(of_run.source, web=web) for path, of_run in pictures.items()}
    views(explorers, data, asked, sources)


def views(
    explorers: dict[str, Explorer], data: PreparedDataset | None, asked: dict[str, Any], sources: dict[str, Source]
) -> None:
    """The tabs.

    Args:
        explorers: Explorers by path of the run, as given; all tabs except the last show the first one.
        data: Provides the users; None for none.
        asked: The result of `list_options`.
        sources: Provide the pictures, by path of the run.
    """
    name, first = next(iter(explorers.items()))
    found = listed(first, asked)
    if st.session_state.get("without"):
        what_changed(listed(first, asked, whole=True), found)
    tabs = st.tabs(["Recommendations", "Map", "A new item", *(["Two versions"] if len(explorers) > 1 else [])])
    with tabs[0]:
        recommendations(first, found, data, sources[name])
    with tabs[1]:
        st.html(map_of_items(first, [event.item_id for event in st.session_state.history], found))
    with tabs[2]:
        new_item(first, data, sources[name])
    if len(explorers) > 1:
        with tabs[3]:
            versions(explorers, asked, sources)


def listed(explorer: Explorer, asked: dict[str, Any], whole: bool = False) -> list[Recommendation]:
    """Recommendations for the current history and options; without the events that are switched off, unless `whole`."""
    off = set() if whole else set(st.session_state.get("without", []))
    events = [event for at, event in enumerate(st.session_state.history) if at not in off]
    where = {name: values for name, values in asked["where"].items() if name in explorer.facets}
    items, kinds = [event.item_id for event in events], [event.kind for event in events]
    return explorer.recommend(items, kinds, **{**asked, "where": where})


def what_changed(before: list[Recommendation], after: list[Recommendation]) -> None:
    """Says what the events that are switched off did to the list."""
    changed = compare_lists([place.card.item_id for place in before], [place.card.item_id for place in after])
    titles = {place.card.item_id: place.card.title for place in (*before, *after)}
    gone = ", ".join(titles[item] for item in changed.gone) or "nothing"
    came = ", ".join(titles[item] for item, rise in changed.moved.items() if rise is None) or "nothing"
    st.info(sidebar.plain(f"Without these events, this leaves the list: {gone}. This comes in: {came}."))


def recommendations(
    explorer: Explorer, found: list[Recommendation], data: PreparedDataset | None, source: Source
) -> None:
    """Shows the history as a timeline and the recommendations as cards."""
    if st.session_state.history:
        st.subheader("History", anchor=False)
        st.html(timeline(st.session_state.history, explorer, source))
    if found and found[0].fallback:
        st.info("No history yet: these are the most popular items. Search for an item on the left and add it.")
        if data is not None:
            st.button("Take somebody's history", on_click=sidebar.take, args=(data,), type="primary")
    if not found:
        st.info("No item passes the filters. Remove one.")
        return
    st.subheader("Recommended next" if not found[0].fallback else "Popular", anchor=False)
    st.html(recommendation_cards(found, source))
    if explorer.reads_text and not found[0].fallback:
        ids = [place.card.item_id for place in found]
        names = {place.card.item_id: sidebar.plain(place.card.title) for place in found}
        label = "Which words of an item matter"
        chosen = st.selectbox(label, ids, index=None, format_func=names.get, placeholder="Choose an item")
        if chosen is not None:
            words_that_matter(explorer, explorer.text(chosen))


def words_that_matter(explorer: Explorer, text: str) -> None:
    """Shows the words of a text, coloured by what they add to its score for the history."""
    said = explorer.words(text, [event.item_id for event in st.session_state.history])
    if said is not None:
        st.html(piece(highlighted_text(said.units, said.effects.tolist())))
        st.caption("What each word adds to the score of the network for this history, or takes away.")


def new_item(explorer: Explorer, data: PreparedDataset | None, source: Source) -> None:
    """Shows similar items and interested users for the text of a new item."""
    if not explorer.reads_text:
        st.info("This run does not use text, so it cannot compute a vector for a new item.")
        return
    text = st.text_input("Text of a new item", placeholder="What the item says")
    if not text.strip():
        st.caption(
            "Type the text of a new item to see the most similar items and who would like it; nothing is trained."
        )
        return
    words_that_matter(explorer, text)
    left, right = st.columns(2)
    with left:
        st.subheader("Similar items", anchor=False)
        st.html(similar_cards(explorer.similar_to_text(text, 10), source))
    with right:
        st.subheader("Who would like it", anchor=False)
        if data is None:
            st.caption("Start with --data to see users.")
            return
        people = [
            element("li", element("span", user), element("span", f"rank {at:,}, score {score:.2f}", class_="soft"))
            for user, score, at in explorer.who_would_like(text, data, 10)
        ]
        st.html(piece(element("ol", *people, class_="people")))
        st.caption(f"The rank that the item would have among the {len(explorer.ids):,} items, by the network alone.")


def versions(explorers: dict[str, Explorer], asked: dict[str, Any], sources: dict[str, Source]) -> None:
    """Shows the lists of two runs for the same history and what changed between them."""
    names = list(explorers)
    columns = st.columns(2)
    chosen = [
        column.selectbox("Version", names, index=place, key=f"version-{place}") for place, column in enumerate(columns)
    ]
    lists = [listed(explorers[name], asked) for name in chosen]
    changed = compare_lists(*([place.card.item_id for place in found] for found in lists))
    st.caption(f"{changed.overlap:.0%} of the items are in both lists.")
    columns = st.columns(2)  # below the caption about both
    for column, name, found, badges in zip(columns, chosen, lists, change_badges(changed)):
        with column:
            st.html(compared_cards(found, badges, sources[name]))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--run", action="append", required=True)
    parser.add_argument("--data")
    parser.add_argument("--images", default=".")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        main()
    except TfrecError as error:
        st.error(sidebar.plain(str(error)))
