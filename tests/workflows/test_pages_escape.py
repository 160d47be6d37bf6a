"""Every page of the project, made of words that would be markup: they are shown, and nothing of them is read.

The oracle is Python's HTML parser, which knows nothing of how the pages are made.
"""

import ast
import json
from datetime import UTC, datetime
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.evaluation import evaluate_ranking
from tfrec.experiments import ExperimentSpec, analyse, experiment_report
from tfrec.reporting import svg_charts
from tfrec.reporting.highlighted_text import highlighted_text
from tfrec.workflows.compare_runs import comparison_report
from tfrec.workflows.explore.answers import Card, Reason, Recommendation
from tfrec.workflows.explore.html_cards import change_badges, compared_cards, recommendation_cards, similar_cards
from tfrec.workflows.explore.html_map import map_of_items
from tfrec.workflows.explore.html_timeline import timeline
from tfrec.workflows.explore.item_categories import Categories
from tfrec.workflows.explore.item_map import ItemMap
from tfrec.workflows.explore.list_comparison import compare_lists
from tfrec.workflows.explore.timeline import PastEvent
from tfrec.workflows.run_report import run_report
from tfrec.workflows.tune import tuning_report

SOURCES = Path(__file__).resolve().parents[2] / "tfrec"
HOSTILE = "\"'></td></title><evil evil=1>"
"""Ends a quoted attribute, a cell and a title, and opens an element."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A log whose every word is hostile, with rows that are dropped and shown as examples."""
    rows = [
        (f"u{u}{HOSTILE}", f"i{(u + step) % 4}{HOSTILE}", f"view{HOSTILE}", step) for u in range(6) for step in range(4)
    ]
    rows += [(f"u{HOSTILE}", "", f"view{HOSTILE}", 9), (f"u0{HOSTILE}", f"unknown{HOSTILE}", f"view{HOSTILE}", 0)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}{HOSTILE}" for i in range(4)], f"title{HOSTILE}": [HOSTILE] * 4})
    return prepare(events, items, tmp_path_factory.mktemp("d") / "data", split="leave-one-out")


def prepared(data, folder):
    return (data.path / "report.html").read_text(encoding="utf-8")


def run(data, folder):
    scorer = SimpleNamespace(name=HOSTILE, num_items=data.num_items)
    scorer.scores = lambda histories, rows: np.zeros((len(rows), data.num_items), np.float32)
    result = evaluate_ranking(scorer, data.queries("test"), num_items=data.num_items, bootstrap=20, keep_predictions=3)
    result.predictions.write_parquet(folder / "predictions.parquet")
    data.items.write_parquet(folder / "items.parquet")
    reasons = {"user_id": [HOSTILE], "sentence_en": [HOSTILE], "parts": [{HOSTILE: 1.0}]}
    pl.DataFrame(reasons).write_parquet(folder / "explanations.parquet")
    RunConfig().with_values({"encoder.name": HOSTILE}).save(folder / "config.yaml")
    (folder / "history.csv").write_text(f'epoch,"loss{HOSTILE.replace(chr(34), chr(34) * 2)}"\n1,2.5\n2,1.5\n')
    (folder / "manifest.json").write_text(
        json.dumps({"kind": HOSTILE, HOSTILE: HOSTILE, "versions": {HOSTILE: HOSTILE}})
    )
    group = {"users": 9, "ndcg@10": 0.1, "ndcg@10_se": 0.01, "recall@10": 1.0, "mrr@10": 0.2}
    metrics = {name: value for name, value in result.metrics.items() if "@" in name} | {
        "users": 9,
        "items": 4,
        "intervals": {name: list(bounds) for name, bounds in result.intervals.items()},
        "protocol": {"part": "test", "ties": HOSTILE},
        "slices": {"users": {f"by {HOSTILE}": {HOSTILE: group}}, "targets": {HOSTILE: {HOSTILE: group}}},
        "baselines": {HOSTILE: {"ndcg@10": 0.3}},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return run_report(folder, data)


def comparison(data, folder):
    figures = {"difference": 0.1, "low": 0.0, "high": 0.2, "relative": 0.1, "p_adjusted": 0.4}
    return comparison_report(pl.DataFrame([{"system": HOSTILE, "baseline": HOSTILE, "metric": HOSTILE, **figures}]))


def tuning(data, folder):
    return tuning_report([{"trial": 0, "state": "complete", "ndcg@10": 0.1, f"option{HOSTILE}": 1, "text": HOSTILE}])


def decision(data, folder):
    users, arms = [f"u{n}" for n in range(40)], ["a", HOSTILE]
    exposures = pl.DataFrame({"user_id": users, "arm": arms * 20, "timestamp": [100 + n for n in range(40)]})
    outcomes = pl.DataFrame(
        {"user_id": users, "event": HOSTILE, "timestamp": [200 + n for n in range(40)], "value": 1.0}
    )
    metrics = [{"name": HOSTILE, "event": HOSTILE, "role": "primary"}]
    spec = {"name": HOSTILE, "arms": {"a": 0.5, HOSTILE: 0.5}, "metrics": metrics, "segments": ["country"]}
    groups = pl.DataFrame({"user_id": users, "country": [HOSTILE, "b", "b", HOSTILE] * 10})
    return experiment_report(
        analyse(ExperimentSpec.from_dict({**spec, "planned_users": 40}), exposures, outcomes, groups)
    )


def charts(data, folder):
    return "".join(
        (
            svg_charts.forest(HOSTILE, [(HOSTILE, 0.1, 0.0, 0.2)]),
            svg_charts.lines(HOSTILE, {HOSTILE: [(1, 0.5), (2, 0.4)]}, HOSTILE),
            svg_charts.bars(HOSTILE, [(HOSTILE, 2.0)]),
            highlighted_text([HOSTILE, HOSTILE], [0.5, -1.0]),
        )
    )


def explorer(data, folder):
    """All that the page of `tfrec explore` draws as HTML, with a picture whose address is hostile."""
    cards = [Card(f"{place}{HOSTILE}", f"{place}{HOSTILE}", {HOSTILE: HOSTILE}, 1, place, 0) for place in range(3)]
    because = (Reason(cards[1], 2, 0.5, -0.25),)
    found = [
        Recommendation(card, n, 1.0, {HOSTILE: 1.0}, because, (cards[2],), n == 1, False)
        for n, card in enumerate(cards, 1)
    ]
    catalogue = SimpleNamespace(
        ids=[card.item_id for card in cards],
        titles=[card.title for card in cards],
        counts=np.arange(3),
        categories=Categories(HOSTILE, [HOSTILE], np.zeros(3, int)),
        map=ItemMap(np.zeros((3, 2), np.float32), 0.5),
        run=SimpleNamespace(event_kinds=[HOSTILE, "other"]),
        place=lambda item: int(item[0]) if item[0].isdigit() else None,
        card=lambda item: cards[int(item[0])],
    )
    picture = lambda place: f"data:{HOSTILE}"  # noqa: E731
    past = [PastEvent(f"0{HOSTILE}", HOSTILE, datetime(2026, 1, 1, tzinfo=UTC)), PastEvent(f"gone{HOSTILE}", HOSTILE)]
    gone, moved = change_badges(compare_lists([cards[0].item_id], [cards[1].item_id]))
    return "".join(
        (
            recommendation_cards(found, picture),
            similar_cards([(cards[0], 0.5)], picture),
            compared_cards(found, gone | moved, picture),
            map_of_items(catalogue, [f"0{HOSTILE}"], found[1:]),
            timeline(past, catalogue, picture),
        )
    )


PAGES = {
    "data/ingest/write.py": prepared,
    "workflows/run_report.py": run,
    "workflows/compare_runs.py": comparison,
    "workflows/tune.py": tuning,
    "experiments/ab_test/decision_page.py": decision,
    "reporting/svg_charts.py": charts,
    "workflows/explore": explorer,
}
"""What makes a page, and the page."""


class Page(HTMLParser):
    """The elements and the text that a browser would find."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.words += "".join(value or "" for _, value in attributes)

    def handle_data(self, data):
        self.words += data


@pytest.mark.parametrize("made_by", PAGES)
def test_words_of_a_catalogue_and_a_log_are_shown_and_not_read(made_by, data, tmp_path):
    page = Page(PAGES[made_by](data, tmp_path))
    assert HOSTILE in page.words  # it did come to the page
    assert not [tag for tag, attributes in page.elements if tag in ("evil", "script") or "evil" in attributes]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def calls_in(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call)]


def test_every_module_that_renders_a_page_is_walked_above():
    rendering = {
        path.relative_to(SOURCES).as_posix()
        for path in SOURCES.rglob("*.py")
        if "render_report(" in path.read_text(encoding="utf-8") and "dev" not in path.parts
        if any(ast.unparse(call.func) == "render_report" for call in calls_in(path))
    }
    assert rendering == {name for name in PAGES if name.endswith(".py")} - {"reporting/svg_charts.py"}


SHOWS_MARKDOWN = (
    "button",
    "caption",
    "error",
    "header",
    "info",
    "markdown",
    "multiselect",
    "subheader",
    "warning",
    "write",
)
NUMBERS_AND_OUR_WORDS = (
    "counted(len(events), 'event')",
    "changed.overlap:.0%",
    "len(explorer.ids):,",
    "'Recommended next' if",
)


def test_streamlit_gets_markup_through_html_alone_and_other_words_as_plain_text():
    """In its source, as a server would have to run: what Markdown reads is ours, a number, or went through `plain`."""
    found = 0
    for path in (SOURCES / "workflows" / "explore").glob("streamlit_*.py"):
        source = path.read_text(encoding="utf-8")
        assert "unsafe_allow" not in source
        made_plain = {
            line.partition(" = ")[0].strip() for line in source.splitlines() if " = " in line and "plain(" in line
        }
        for call in calls_in(path):
            if ast.unparse(call.func) in [f"st.{name}" for name in SHOWS_MARKDOWN]:
                found += 1
                said, words = call.args[0], ast.unparse(call.args[0])
                ours = isinstance(said, ast.Constant) or any(known in words for known in NUMBERS_AND_OUR_WORDS)
                assert ours or "plain(" in words or words in made_plain, (path.name, ast.unparse(call))
    assert found > 10
