"""Lists of two stages: the parts of their scores, and the events without which both stages score otherwise."""

import numpy as np
import pytest

import tfrec
from tests.explanation.toy import ITEMS, ROWS, make_histories, make_run
from tfrec.explanation.explainer import Explainer
from tfrec.retrieval import recommend
from tfrec.retrieval.two_stage_scorer import TwoStage

DATA = make_histories(ROWS)


class Ranker:
    """Probabilities that rise with every event of the history, and differ between the items of the candidates."""

    behaviours, max_history = ["view", "purchase"], 5

    def probabilities(self, histories, rows, candidates):
        known = [histories.items[histories.row(row)][-self.max_history :] for row in rows]
        pull = np.array([np.exp(-np.abs(np.arange(ITEMS)[:, None] - items)).sum(axis=1) for items in known])
        near = np.take_along_axis(pull, np.maximum(candidates, 0), axis=1)
        return (near[..., None] / (2 + near[..., None]) * [0.9, 0.4]).astype(np.float32)


@pytest.fixture(scope="module")
def run():
    return make_run()


@pytest.mark.slow
def test_the_lists_are_those_of_both_stages_and_so_are_the_effects(run):
    scorer = TwoStage(run.scorer(), Ranker(), [1.0, 2.0], candidates=4, first_stage=0.5, exclude_seen=True)
    rows = np.array([0, 3, 4])
    explainer = Explainer(run, events=2, removals=2, two_stage=scorer)
    frame = explainer.frame(explainer.lists(DATA, rows, 2, True), 2)
    users = [f"u{row}" for row in rows]
    lists = recommend(scorer, DATA, item_ids=run.item_ids, k=2, users=users, exclude_seen=True)
    assert frame.select("user_id", "item_id", "rank").equals(lists.select("user_id", "item_id", "rank"))
    parts = frame["parts"].struct.unnest()
    assert parts.columns == ["ranker: view", "ranker: purchase", "first stage"]
    np.testing.assert_allclose(parts.sum_horizontal(), frame["score"], atol=1e-5)
    for explained in frame.iter_rows(named=True):
        row, item = int(explained["user_id"][1:]), int(explained["item_id"][1:])
        kinds = DATA.events[DATA.row(row)].tolist()
        for event in explained["events"]:
            left = [at for at in range(len(ROWS[row])) if len(ROWS[row]) - at != event["age"]]
            shorter = make_histories([[ROWS[row][at] for at in left]], [[kinds[at] for at in left]])
            without = scorer.scores(shorter, np.array([0]))[0, item]
            np.testing.assert_allclose(event["effect"], explained["score"] - without, atol=2e-5)
    assert frame["events"].list.len().min() >= 1


def test_two_stages_need_prepared_data(run, monkeypatch):
    monkeypatch.setattr("tfrec.explanation.explain_lists.load_run", lambda given: given)
    with pytest.raises(tfrec.InvalidInput, match="prepared data; received Histories"):
        tfrec.explain(run, DATA, ranker=run)
