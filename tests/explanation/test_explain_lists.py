"""`tfrec.explain`: the lists of `recommend`, with reasons that hold when the model is asked again."""

import numpy as np
import polars as pl
import pytest

import tfrec
from tests.explanation.toy import ROWS, make_histories, make_run
from tfrec.retrieval import recommend

pytestmark = pytest.mark.slow  # tracing
DATA = make_histories(ROWS)


@pytest.fixture(scope="module")
def run():
    return make_run()


@pytest.fixture(scope="module")
def frame(run):
    return tfrec.explain(run, DATA, k=2, events=2)


def scores_without(run, row, gone):
    """Scores of all items for a row, without the events of these ages (1 is the newest)."""
    events = DATA.row(row)
    left = [at for at in range(events.start, events.stop) if events.stop - at not in gone]
    inputs = {"history_items": DATA.items[None, left], "history_events": DATA.events[None, left].astype(np.int32)}
    return run.model.scores({**inputs, "history_gaps": np.zeros([1, len(left)], np.float32)}).numpy()[0]


def test_the_items_are_those_of_recommend_and_the_parts_sum_to_the_scores(run, frame):
    lists = recommend(run.scorer(), DATA, item_ids=run.item_ids, k=2, exclude_seen=True)
    columns = ["user_id", "item_id", "rank"]
    assert frame.select(columns).equals(lists.select(columns))
    np.testing.assert_allclose(frame["score"], lists["score"], atol=1e-5)
    parts = frame["parts"].struct.unnest()
    assert parts.columns == ["network", "memory by history", "memory by text", "repeats", "popularity"]
    np.testing.assert_allclose(parts.sum_horizontal(), frame["score"], atol=1e-5)


def test_effects_are_what_the_score_loses_without_the_event(run, frame):
    for row in (0, 3, 4):
        explained = frame.filter(user_id=f"u{row}").row(0, named=True)
        item, ages = int(explained["item_id"][1:]), range(1, len(ROWS[row]) + 1)
        full = scores_without(run, row, ())[item]
        effects = {age: full - scores_without(run, row, (age,))[item] for age in ages}
        largest = [age for age in sorted(effects, key=lambda age: -effects[age])[:2] if effects[age] > 1e-3]
        lowest = min(effects, key=lambda age: effects[age])
        largest += [lowest] if effects[lowest] < -1e-3 else []
        assert [event["age"] for event in explained["events"]] == largest
        found = [event["effect"] for event in explained["events"]]
        np.testing.assert_allclose(found, [effects[age] for age in largest], atol=2e-5)
        kinds = [["view", "purchase"][DATA.events[DATA.row(row)][-age]] for age in largest]
        assert [event["event"] for event in explained["events"]] == kinds


def test_without_the_counterfactual_the_item_is_not_in_the_list(run, frame):
    found = frame.filter(pl.col("counterfactual").list.len() == 1)
    assert found.height
    for explained in found.iter_rows(named=True):
        row, item = int(explained["user_id"][1:]), int(explained["item_id"][1:])
        gone = int(explained["counterfactual"][0][1:])
        seen = set(ROWS[row])

        def listed(ages, row=row, seen=seen):
            scores = scores_without(run, row, ages)
            return sorted(set(range(len(scores))) - seen, key=lambda other: -scores[other])[:2]

        ages = [age for age in range(1, len(ROWS[row]) + 1) if ROWS[row][-age] == gone]
        assert item in listed(()) and any(item not in listed((age,)) for age in ages)


def test_the_sentences_name_the_titles(frame):
    explained = frame.filter(pl.col("events").list.len() > 0).row(0, named=True)
    for language in ("en", "zh"):
        named = [explained["item_id"], *(event["item_id"] for event in explained["events"])]
        assert all(f"“Film {item[1:]}”" in explained[f"sentence_{language}"] for item in named)


def test_other_items_are_explained_without_a_rank(run, frame):
    asked = tfrec.explain(run, DATA, k=1, users=["u3"], items=["i5", frame.filter(user_id="u3")["item_id"][0]])
    assert asked["rank"].to_list() == [None, 1] and asked["counterfactual"][0] is None


def test_the_added_event_brings_the_item_in(run):
    asked = tfrec.explain(run, DATA, k=2, items=[f"i{item}" for item in range(9)])
    absent = asked.filter(pl.col("rank").is_null() & pl.col("added_event").is_not_null())
    assert absent.height and asked.filter(pl.col("rank").is_not_null())["added_event"].null_count()
    for explained in absent.head(5).iter_rows(named=True):
        row, item, new = (int(explained[name][1:]) for name in ("user_id", "item_id", "added_event"))
        kinds = DATA.events[DATA.row(row)].tolist()
        longer = make_histories([[*ROWS[row], new]], [[*kinds, *(kinds[-1:] or [0])]])
        scores = run.scorer().scores(longer, np.array([0]))[0]
        others = set(range(len(scores))) - set(ROWS[row])
        assert item in sorted(others, key=lambda other: -scores[other])[:2]


def test_without_a_history_nothing_is_made_up(run, capsys):
    frame = tfrec.explain(run, DATA, k=1, users=["u2", "u0"])
    assert frame["events"][0].to_list() == [] and frame["counterfactual"][0] is None
    assert "we know nothing of you yet" in frame["sentence_en"][0] and "还不了解您" in frame["sentence_zh"][0]
    assert "1 of 2 users have no history" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"users": ["u0", "who"]}, "1 of 2 users are not in the data, e.g. 'who'"),
        ({"items": ["i0", "what"]}, "1 of 2 items are not in the catalogue, e.g. 'what'"),
        ({"k": 0}, "Expected k of at least 1, received 0"),
        ({"counterfactuals": -1}, "Expected counterfactuals of at least 0"),
        ({"out": "x.csv"}, "which CSV cannot"),
    ],
)
def test_bad_input_is_said(run, options, message):
    with pytest.raises(tfrec.InvalidInput, match=message):
        tfrec.explain(run, DATA, **options)


def test_a_click_ranker_has_no_list_to_explain(run):
    ranker = type(run)(**{**vars(run), "kind": "click-ranker"})
    with pytest.raises(tfrec.InvalidInput, match="makes no list to explain"):
        tfrec.explain(ranker, DATA)


def test_it_is_written_as_it_is_returned(run, frame, tmp_path):
    tfrec.explain(run, DATA, k=2, events=2, out=tmp_path / "why.parquet")
    assert pl.read_parquet(tmp_path / "why.parquet").equals(frame)
