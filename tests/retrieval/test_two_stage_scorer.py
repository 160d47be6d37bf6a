"""Two-stage scoring against a loop: which items are candidates, and their order."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.data import Histories
from tfrec.retrieval import recommend
from tfrec.retrieval.two_stage_scorer import TwoStage, blend, head_weights

N = 12
RNG = np.random.default_rng(3)
FIRST = RNG.normal(size=(3, N)).astype(np.float32)
SECOND = RNG.random((3, N, 2)).astype(np.float32)
HISTORIES = Histories(
    user_ids=np.array(["a", "b", "c"], object),
    offsets=np.array([0, 4, 6, 6]),
    items=np.array([int(i) for i in FIRST[0].argsort()[::-1][:4]] + [1, 2], np.int32),
    events=np.array([0, 1, 0, 0, 1, 0], np.int16),
    timestamps=np.arange(6),
    values=np.zeros(6, np.float32),
    is_target=np.ones(6, bool),
)


class First:
    name, num_items = "first", N

    def scores(self, histories, rows):
        return FIRST[rows]


class Second:
    behaviours, max_history = ["view", "purchase"], 4

    def probabilities(self, histories, rows, candidates):
        self.received = histories
        return np.array([[SECOND[r, c] for c in found] for r, found in zip(rows, candidates)])


def lists(scores):
    return np.argsort(-scores, axis=1, kind="stable")


@pytest.mark.parametrize("exclude", [False, True])
@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_candidates_of_the_first_stage_are_in_the_order_of_the_second_then_the_rest(exclude, weight):
    rows = np.array([2, 0])
    scorer = TwoStage(First(), Second(), [1.0, 3.0], candidates=5, first_stage=weight, exclude_seen=exclude)
    found = lists(scorer.scores(HISTORIES, rows))
    for place, row in enumerate(rows):
        seen = set(HISTORIES.items[HISTORIES.row(row)].tolist()) if exclude else set()
        chosen = [item for item in FIRST[row].argsort()[::-1] if item not in seen][:5]
        value = np.array([SECOND[row, item] @ [1.0, 3.0] for item in chosen])
        if weight:
            given = FIRST[row, chosen]
            value = value + weight * (value.mean() + (given - given.mean()) / given.std() * value.std())
        best = [chosen[i] for i in np.argsort(-value)]
        rest = [item for item in FIRST[row].argsort()[::-1] if item not in chosen]
        assert_array_equal(found[place], best + rest)


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_parts_are_weighted_probabilities_and_what_the_first_stage_adds(weight):
    rows = np.array([2, 0])
    scorer = TwoStage(First(), Second(), [1.0, 3.0], candidates=5, first_stage=weight, exclude_seen=True)
    scores, parts = scorer.scores(HISTORIES, rows), scorer.parts(HISTORIES, rows)
    assert list(parts) == ["ranker: view", "ranker: purchase", "first stage"]
    assert_allclose(np.sum(list(parts.values()), axis=0), scores, atol=1e-6)
    best = lists(scores)[:, :5]
    for place, row in enumerate(rows):
        assert_allclose(parts["ranker: purchase"][place, best[place]], 3 * SECOND[row, best[place], 1], rtol=1e-6)
        others = np.setdiff1d(np.arange(N), best[place])
        assert not parts["ranker: view"][place, others].any()
    ranked = parts["first stage"][np.arange(2)[:, None], best]
    assert np.abs(ranked).max() < 1e-6 if not weight else np.ptp(ranked, axis=1).min() > 0.1


def test_candidate_scores_are_weighted_sums_and_masked_items_are_excluded():
    scorer = TwoStage(First(), Second(), [1.0, 3.0], candidates=5, exclude_seen=True)
    ids = [f"i{i}" for i in range(N)]
    frame = recommend(scorer, HISTORIES, item_ids=ids, k=5, users=["a"], exclude_seen=True)
    assert not {int(i[1:]) for i in frame["item_id"]} & set(HISTORIES.items[:4].tolist())
    for item, score in frame.select("item_id", "score").iter_rows():
        assert_allclose(score, SECOND[0, int(item[1:])] @ [1.0, 3.0], rtol=1e-5)
    whole = recommend(scorer, HISTORIES, item_ids=ids, k=N, users=["a"], exclude_seen=True)
    assert whole.height == N - 4 and whole["score"].is_sorted(descending=True)


def test_impressions_are_hidden_from_the_predictor():
    predictor = Second()
    TwoStage(First(), predictor, [1.0, 1.0], impressions=1).scores(HISTORIES, np.array([0]))
    assert_array_equal(predictor.received.items, HISTORIES.items[[0, 2, 3, 5]])
    assert_array_equal(predictor.received.offsets, [0, 3, 4, 4])


def test_items_that_the_first_stage_excludes_stay_excluded():
    class Few(First):
        def scores(self, histories, rows):
            return np.where(np.arange(N) < 3, FIRST[rows], -np.inf)

    found = TwoStage(Few(), Second(), [1.0, 1.0], candidates=2).scores(HISTORIES, np.array([0]))
    assert np.isfinite(found[0, :3]).all() and (found[0, 3:] == -np.inf).all()


def test_equal_first_scores_add_nothing():
    real = np.ones((1, 3), bool)
    found = blend(np.array([[0.1, 0.3, 0.2]]), np.ones((1, 3)), real, 2.0)
    assert_allclose(found, [[0.1 + 0.4, 0.3 + 0.4, 0.2 + 0.4]])


def test_missing_weights_are_zero_and_no_weights_mean_one():
    assert_array_equal(head_weights(["view", "purchase"], {"purchase": 2.0}), [0.0, 2.0])
    assert_array_equal(head_weights(["view", "purchase"], {}), [1.0, 1.0])
    with pytest.raises(InvalidInput, match="'like'"):
        head_weights(["view"], {"like": 1.0})
    with pytest.raises(InvalidInput, match="weight for each"):
        TwoStage(First(), Second(), [1.0])
