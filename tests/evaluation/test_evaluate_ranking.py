"""Ranking metrics against loops; ties, intervals and stored predictions."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import evaluate_protocols, evaluate_ranking, rankings
from tfrec.evaluation.ranking_metrics import UNRANKED, bootstrap_intervals, novelty, ranking_metrics, target_ranks


class Fixed:
    """A scorer with fixed scores: row i of the histories gets row i."""

    name = "fixed"

    def __init__(self, scores):
        self.table = np.array(scores, np.float32)
        self.table.flags.writeable = False
        self.num_items = self.table.shape[1]

    def scores(self, histories, rows):
        found = self.table[rows]
        found.flags.writeable = False  # masking must copy
        return found


def queries(targets, histories=None):
    histories = histories or [[] for _ in targets]
    flat = np.array(sum(histories, []), np.int32)
    zeros = np.zeros(len(flat))
    history = Histories(
        user_ids=np.array([f"u{i}" for i in range(len(targets))], dtype=object),
        offsets=np.cumsum([0, *map(len, histories)]),
        items=flat,
        events=zeros.astype(np.int16),
        timestamps=zeros.astype(np.int64),
        values=zeros.astype(np.float32),
        is_target=np.ones(len(flat), bool),
    )
    return Queries(history, np.cumsum([0, *map(len, targets)]), np.array(sum(targets, []), np.int32))


def measure(scores, targets, histories=None, **options):
    scorer = Fixed(scores)
    defaults = {"num_items": scorer.num_items, "ks": (2,), "bootstrap": 0}
    return evaluate_ranking(scorer, queries(targets, histories), **{**defaults, **options})


def expected_ranks(scores, targets):
    """The worst order that the scores allow: on ties other items first, and NaN before everything."""
    high = [math.inf if math.isnan(s) else s for s in scores]
    order = sorted(range(len(scores)), key=lambda i: (-high[i], i in targets, targets.index(i) if i in targets else 0))
    return [order.index(t) + 1 if scores[t] > -math.inf else None for t in targets]


def expected_metrics(ranks, k):
    hits = [r for r in ranks if r is not None and r <= k]
    ideal = sum(1 / math.log2(place + 1) for place in range(1, min(len(ranks), k) + 1))
    return {
        "recall": len(hits) / len(ranks),
        "ndcg": sum(1 / math.log2(r + 1) for r in hits) / ideal,
        "mrr": 1 / min(hits) if hits else 0.0,
        "hit_rate": 1.0 if hits else 0.0,
    }


LEVELS = st.sampled_from([-1.0, 0.0, 0.5, 0.5, 2.0, -math.inf, math.nan])


@st.composite
def tables(draw):
    items, rows = draw(st.integers(1, 8)), draw(st.integers(1, 4))
    scores = draw(st.lists(st.lists(LEVELS, min_size=items, max_size=items), min_size=rows, max_size=rows))
    some = st.lists(st.integers(0, items - 1), min_size=1, max_size=items, unique=True)
    return scores, [draw(some) for _ in range(rows)]


@given(tables(), st.integers(1, 9))
@settings(max_examples=200, deadline=None)
def test_ranks_and_metrics_equal_loops(table, k):
    scores, targets = table
    asked = queries(targets)
    ranks = target_ranks(np.array(scores, np.float32), asked.target_offsets, asked.target_items)
    found = ranking_metrics(ranks, asked.target_offsets, k)
    for row, wanted in enumerate(targets):
        expected = expected_ranks(scores[row], wanted)
        mine = ranks[asked.target_offsets[row] : asked.target_offsets[row + 1]]
        assert [None if r == UNRANKED else r for r in mine.tolist()] == expected
        for name, value in expected_metrics(expected, k).items():
            assert found[name][row] == pytest.approx(value), name


@pytest.mark.parametrize(
    "scores, targets, ranks",
    [
        ([0.1, 0.9, 0.5], [1], [1]),
        ([0.5, 0.5, 0.5], [0], [3]),  # a constant model is last, not first
        ([0.5, 0.5, 0.1], [0, 1], [1, 2]),  # two targets do not push each other down
        ([0.5, 0.5, 0.5], [0, 2], [2, 3]),
        ([0.1, 0.2, 0.3], [0, 2], [3, 1]),
        ([np.nan, 0.2, 0.3], [1], [3]),  # a broken score never helps
        ([np.nan, 0.2, 0.3], [0], [UNRANKED]),
        ([-np.inf, 0.2, 0.3], [0], [UNRANKED]),
    ],
)
def test_ranks_by_hand(scores, targets, ranks):
    assert target_ranks(np.array([scores]), np.array([0, len(targets)]), np.array(targets)).tolist() == ranks


def test_metrics_by_hand():
    # Targets at ranks 1 and 3 of five; the list holds two.
    result = measure([[0.9, 0.8, 0.7, 0.1, 0.0]], [[0, 2]])
    assert result.metrics["recall@2"] == 0.5
    assert result.metrics["ndcg@2"] == pytest.approx(1 / (1 + 1 / math.log2(3)))
    assert result.metrics["mrr@2"] == result.metrics["hit_rate@2"] == 1
    assert result.metrics["coverage@2"] == 0.4
    assert (result.metrics["users"], result.metrics["items"]) == (1, 5)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batches_do_not_change_the_result(batch_size):
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(10, 20))
    targets = [rng.choice(20, size=rng.integers(1, 4), replace=False).tolist() for _ in range(10)]
    histories = [rng.integers(0, 20, size=rng.integers(0, 6)).tolist() for _ in range(10)]
    options = {"exclude_seen": True, "bootstrap": 10, "train_counts": np.arange(20)}
    whole, parts = (measure(scores, targets, histories, batch_size=size, **options) for size in (10, batch_size))
    assert whole.metrics == parts.metrics and whole.intervals == parts.intervals
    assert whole.predictions.equals(parts.predictions)


def test_histories_of_similar_length_are_scored_together_and_results_keep_their_order(monkeypatch):
    scores = np.random.default_rng(0).normal(size=(5, 20))
    histories, asked, scored = [[7] * length for length in (5, 0, 4, 1, 5)], [], Fixed.scores
    monkeypatch.setattr(
        Fixed, "scores", lambda self, histories, rows: asked.append(rows.tolist()) or scored(self, histories, rows)
    )
    found = measure(scores, [[3], [4, 9], [0], [19], [2]], histories, batch_size=2)
    assert asked == [[1, 3], [2, 0], [4]]
    assert found.predictions["items"].to_list() == np.argsort(-scores, axis=1).tolist()
    for ranks, wanted, row in zip(found.predictions["ranks"], found.predictions["targets"], scores, strict=True):
        assert sorted(ranks) == sorted(1 + (row > row[item]).sum() for item in wanted)


def test_scores_of_a_large_catalogue_are_computed_for_few_queries_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    scores, targets = rng.normal(size=(10, 20)), [[item] for item in rng.integers(0, 20, 10).tolist()]
    whole, asked, scored = measure(scores, targets), [], Fixed.scores
    monkeypatch.setattr(
        Fixed, "scores", lambda self, histories, rows: asked.append(len(rows)) or scored(self, histories, rows)
    )
    monkeypatch.setattr(rankings, "MOST_SCORES", 3 * 20 + 19)
    assert measure(scores, targets).metrics == whole.metrics
    assert asked == [3, 3, 3, 1]


def test_masked_items_are_in_no_list_and_a_masked_target_is_missed():
    scores, targets, histories = [[3.0, 2.0, 1.0]] * 2, [[1], [0]], [[0], [0]]
    free = measure(scores, targets, histories)
    masked = measure(scores, targets, histories, exclude_seen=True, ks=(1, 3))
    assert free.predictions["ranks"].to_list() == [[2], [1]]
    assert masked.predictions["ranks"].to_list() == [[1], [None]]
    assert (
        masked.metrics["hit_rate@3"] == 0.5
    )  # a masked item is not listed even if the list could hold the whole catalogue
    assert masked.metrics["coverage@1"] == pytest.approx(1 / 3)


def test_two_protocols_at_once_score_once_and_equal_separate_evaluations():
    rng = np.random.default_rng(2)
    scores, targets = rng.normal(size=(7, 9)), [[int(item)] for item in rng.integers(0, 9, 7)]
    histories = [rng.integers(0, 9, size=3).tolist() for _ in range(7)]
    asked, scorer = queries(targets, histories), Fixed(scores)
    calls, one = [], scorer.scores
    scorer.scores = lambda histories, rows: calls.append(len(rows)) or one(histories, rows)
    both = evaluate_protocols(scorer, asked, (True, False), num_items=9, ks=(2,), bootstrap=0, batch_size=4)
    assert calls == [4, 3]
    for found, masked in zip(both, (True, False), strict=True):
        alone = measure(scores, targets, histories, exclude_seen=masked)
        assert found.metrics == alone.metrics and found.predictions.equals(alone.predictions)
    assert both[0].metrics != both[1].metrics


def test_every_query_is_kept_and_the_mean_is_over_queries():
    result = measure([[3.0, 2.0, 1.0]] * 3, [[0], [1], [2]], train_counts=np.array([1, 0, 0]))
    assert result.per_user["user_id"].to_list() == ["u0", "u1", "u2"]
    assert result.per_user["recall@2"].to_list() == [1, 1, 0]
    for name in result.per_user.columns[2:]:
        assert result.metrics[name] == pytest.approx(result.per_user[name].mean())


@pytest.mark.parametrize("keep", [0, 1, 5])
def test_metrics_can_be_recomputed_from_predictions(keep):
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(6, 9))
    targets = [[0, 1], [2], [3], [4, 5, 6], [7], [8]]
    result = measure(scores, targets, keep_predictions=keep, ks=(3,))
    kept = result.predictions
    assert kept["targets"].to_list() == targets
    assert kept["items"].to_list() == np.argsort(-scores, axis=1)[:, :keep].tolist()
    assert kept.schema["items"] == pl.List(pl.Int32) and kept["scores"].list.len().to_list() == [keep] * 6
    again = [expected_metrics(ranks, 3)["ndcg"] for ranks in kept["ranks"].to_list()]
    assert result.metrics["ndcg@3"] == pytest.approx(np.mean(again))


def test_novelty_is_the_mean_information_of_a_list():
    # Four events, three items: chances (3+1)/7, (1+1)/7 and, never seen, 1/7.
    bits = -np.log2(np.array([4, 2, 1]) / 7)
    found = novelty(np.array([[0, 1], [2, -1], [-1, -1]]), np.array([3, 1, 0]))
    assert_allclose(found, [bits[:2].mean(), bits[2], 0])


def test_intervals_contain_the_mean_and_narrow_with_more_queries():
    rng = np.random.default_rng(2)
    few, many = rng.random((50, 2)), rng.random((5000, 2))
    wide, narrow = bootstrap_intervals(few, 300, seed=0), bootstrap_intervals(many, 300, seed=0)
    for values, bounds in ((few, wide), (many, narrow)):
        assert (bounds[:, 0] < values.mean(axis=0)).all() and (values.mean(axis=0) < bounds[:, 1]).all()
        # A uniform's mean has standard error sqrt(1/12/n); 95% is 1.96 of them to each side.
        assert_allclose(bounds[:, 1] - bounds[:, 0], 2 * 1.96 * np.sqrt(1 / 12 / len(values)), rtol=0.25)


def test_the_seed_decides_the_intervals():
    values = np.random.default_rng(3).random((40, 1))
    assert_array_equal(bootstrap_intervals(values, 50, seed=1), bootstrap_intervals(values, 50, seed=1))
    assert (bootstrap_intervals(values, 50, seed=1) != bootstrap_intervals(values, 50, seed=2)).any()


def test_intervals_are_named_like_their_metrics():
    result = measure([[3.0, 2.0, 1.0]] * 3, [[0], [1], [2]], bootstrap=20)
    assert set(result.intervals) == {"recall@2", "ndcg@2", "mrr@2", "hit_rate@2"}
    low, high = result.intervals["recall@2"]
    assert 0 <= low <= result.metrics["recall@2"] <= high <= 1


@pytest.mark.parametrize(
    "targets, options, message",
    [
        ([], {}, "at least one query"),
        ([[0], []], {}, "at least one target"),
        ([[0], [3]], {}, "received 3"),
        ([[0], [1]], {"ks": (0,)}, "at least 1"),
        ([[0], [1]], {"num_items": 4}, "another catalogue"),
    ],
)
def test_invalid_input_is_refused(targets, options, message):
    with pytest.raises(InvalidInput, match=message):
        measure([[1.0, 2.0, 3.0]] * 2, targets, **options)
