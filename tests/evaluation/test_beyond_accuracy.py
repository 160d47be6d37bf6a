"""List, catalogue and slice metrics against plain loops, trec_eval and scikit-learn."""

import collections
import math

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import ndcg_score
from sklearn.metrics.pairwise import cosine_similarity

from tfrec import InvalidInput
from tfrec.data.histories import Histories, Queries
from tfrec.evaluation import category_matrix, evaluate_beyond, evaluate_ranking
from tfrec.evaluation.catalogue_metrics import catalogue_metrics, gini, head_items, item_group_exposure
from tfrec.evaluation.list_metrics import hits

ITEMS, QUERIES = 30, 25


class Table:
    name, num_items = "table", ITEMS

    def __init__(self, scores):
        self.table = scores

    def scores(self, histories, rows):
        return self.table[rows]


def histories(rows):
    flat = np.array(sum(rows, []), np.int32)
    n = len(flat)
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(rows))], dtype=object),
        offsets=np.cumsum([0, *map(len, rows)]),
        items=flat,
        events=np.zeros(n, np.int16),
        timestamps=np.arange(n),
        values=np.zeros(n, np.float32),
        is_target=np.ones(n, bool),
    )


@pytest.fixture(scope="module")
def world():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(QUERIES, ITEMS)).astype(np.float32)
    targets = [sorted(rng.choice(ITEMS, rng.integers(1, 6), replace=False).tolist()) for _ in range(QUERIES)]
    past = [rng.integers(0, ITEMS, rng.integers(0, 7)).tolist() for _ in range(QUERIES)]
    flat = np.array(sum(targets, []), np.int32)
    asked = Queries(histories(past), np.cumsum([0, *map(len, targets)]), flat)
    result = evaluate_ranking(Table(scores), asked, num_items=ITEMS, ks=(5, 10), bootstrap=0)
    counts = rng.integers(0, 9, ITEMS)
    vectors = rng.normal(size=(ITEMS, 4))
    labels = [None if i % 7 == 0 else "|".join(sorted({f"c{i % 3}", f"c{i % 4}"})) for i in range(ITEMS)]
    return scores, targets, past, asked, result, counts, vectors, labels


def test_ranking_metrics_equal_trec_eval(world):
    import ir_measures
    from ir_measures import AP, RR, P, Qrel, R, ScoredDoc, Success, nDCG

    scores, targets, _, _, result, counts, _, _ = world
    beyond = evaluate_beyond(result.predictions, train_counts=counts, ks=(5, 10))
    relevant = [Qrel(str(q), str(t), 1) for q, wanted in enumerate(targets) for t in wanted]
    run = [ScoredDoc(str(q), str(i), float(s)) for q, row in enumerate(scores) for i, s in enumerate(row)]
    names = {"recall": R, "ndcg": nDCG, "mrr": RR, "hit_rate": Success, "precision": P, "map": AP}
    for k in (5, 10):
        found = ir_measures.calc_aggregate([measure @ k for measure in names.values()], relevant, run)
        ours = {**result.metrics, **beyond.metrics}
        for name, measure in names.items():
            assert ours[f"{name}@{k}"] == pytest.approx(found[measure @ k]), name


def test_ndcg_equals_scikit_learn(world):
    scores, targets, _, _, result, _, _, _ = world
    relevance = np.zeros((QUERIES, ITEMS))
    for query, wanted in enumerate(targets):
        relevance[query, wanted] = 1
    assert result.metrics["ndcg@5"] == pytest.approx(ndcg_score(relevance, scores, k=5))


def kl(past, shown, labels):
    def distribution(items):
        weights = collections.Counter()
        for item in items:
            parts = labels[item].split("|") if labels[item] else []
            for part in parts:
                weights[part] += 1 / len(parts)
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    p, q = distribution(past), distribution(shown)
    if not p or not q:
        return math.nan
    return sum(share * math.log(share / (0.99 * q.get(name, 0) + 0.01 * share)) for name, share in p.items())


def test_list_metrics_equal_loops(world):
    scores, targets, past, asked, result, counts, vectors, labels = world
    matrix, _ = category_matrix(labels)
    found = evaluate_beyond(
        result.predictions,
        train_counts=counts,
        histories=asked.history,
        vectors=vectors,
        categories=matrix,
        ks=(5,),
    )
    cosine = cosine_similarity(vectors)
    popular = sorted(range(ITEMS), key=lambda i: (-counts[i], i))[:5]
    per_user = found.per_user
    for query, wanted in enumerate(targets):
        top = sorted(range(ITEMS), key=lambda i: -scores[query][i])[:5]
        row = {name: per_user[name][query] for name in per_user.columns}
        pairs = [1 - cosine[a, b] for i, a in enumerate(top) for b in top[:i]]
        assert row["diversity@5"] == pytest.approx(np.mean(pairs), abs=1e-6)
        assert row["serendipity@5"] == pytest.approx(len(set(top) & set(wanted) - set(popular)) / 5)
        assert row["popularity@5"] == pytest.approx(np.mean([counts[i] for i in top]))
        near = [1 - max((cosine[i, j] for j in past[query]), default=0) for i in top]
        assert row["unexpectedness@5"] == pytest.approx(np.mean(near), abs=1e-6)
        taste = np.mean([counts[i] for i in past[query]]) if past[query] else 0
        lift = np.mean([counts[i] for i in top]) / taste - 1 if taste else math.nan
        assert row["popularity_lift@5"] == pytest.approx(lift, nan_ok=True)
        assert row["miscalibration@5"] == pytest.approx(kl(past[query], top, labels), nan_ok=True)
    for name in per_user.columns[2:]:
        values = [v for v in per_user[name] if not math.isnan(v)]
        assert found.metrics[name] == pytest.approx(np.mean(values)), name


def test_gini_is_half_the_mean_difference_over_the_mean():
    values = np.random.default_rng(1).integers(0, 20, 40)
    differences = [abs(a - b) for a in values for b in values]
    assert gini(values) == pytest.approx(np.mean(differences) / (2 * values.mean()))
    assert gini(np.ones(5)) == 0 and gini(np.zeros(5)) == 0


def test_catalogue_metrics_by_hand():
    counts = np.array([9, 5, 1, 0, 0, 0, 0, 0, 0, 0])
    found = catalogue_metrics(np.array([[0, 1], [0, 2], [0, -1]]), counts)
    assert found["coverage"] == 0.3
    assert found["head_share"] == pytest.approx(4 / 5)  # the head of ten items is two: 0 and 1
    assert found["entropy"] == pytest.approx(-(0.6 * math.log2(0.6) + 2 * 0.2 * math.log2(0.2)) / math.log2(10))
    of_four = catalogue_metrics(np.array([[0, 1], [0, 2], [0, -1]]), counts, 4)
    assert of_four["coverage"] == 0.75 and of_four["gini"] == pytest.approx(gini(np.array([3, 1, 1, 0])))
    assert of_four["entropy"] == pytest.approx(found["entropy"] * math.log2(10) / 2)
    empty = catalogue_metrics(np.full((2, 3), -1), counts)
    assert set(empty.values()) == {0.0}


def test_the_head_holds_no_item_without_an_event():
    assert head_items(np.zeros(10)).tolist() == [False] * 10
    assert np.flatnonzero(head_items(np.array([1, 3, 3, 3, 1, 0, 0, 0, 0, 0]))).tolist() == [1, 2]


def test_exposure_by_group_is_the_discounted_share():
    lists, groups = np.array([[0, 1, 2], [1, 0, -1]]), ["a", "b", None]
    found = item_group_exposure(lists, groups, np.array([6, 2, 0]), np.array([0, 0, 1]))
    first, second, third = 1, 1 / math.log2(3), 1 / math.log2(4)
    total = 2 * first + 2 * second + third
    rows = {row["group"]: row for row in found.to_dicts()}
    assert rows["a"]["exposure"] == pytest.approx((first + second) / total)
    assert rows["(none)"]["exposure"] == pytest.approx(third / total)
    assert rows["a"]["disparity"] == pytest.approx((first + second) / total / (2 / 3))
    assert rows["(none)"]["disparity"] is None and rows["a"]["training"] == 0.75


def test_an_item_of_several_groups_counts_in_parts_in_the_exposure_of_each():
    found = item_group_exposure(np.array([[0, 1]]), ["a|b", "b"], np.array([6, 2]), np.array([0, 0, 1]))
    rows = {row["group"]: row for row in found.to_dicts()}
    first, second = 1, 1 / math.log2(3)
    assert rows["a"]["exposure"] == pytest.approx(first / 2 / (first + second))
    assert rows["b"]["exposure"] == pytest.approx((first / 2 + second) / (first + second))
    assert (rows["a"]["items"], rows["b"]["items"]) == (1, 2) and rows["b"]["training"] == pytest.approx(5 / 8)
    assert rows["a"]["targets"] == pytest.approx(1 / 3)


def test_hits_are_targets_of_the_same_query():
    found = hits(np.array([[3, 1], [1, -1], [0, 3]]), np.array([0, 1, 2, 4]), np.array([1, 3, 3, 2]), 4)
    assert found.tolist() == [[False, True], [False, False], [False, True]]


def test_an_items_categories_share_its_weight_and_may_be_missing():
    matrix, names = category_matrix(["b|a", "", None, "b"])
    assert names == ["a", "b"]
    assert_allclose(matrix, [[0.5, 0.5], [0, 0], [0, 0], [0, 1]])
    with pytest.raises(InvalidInput, match="none"):
        category_matrix([None, ""])


def test_a_short_list_is_counted_against_its_full_length():
    frame = pl.DataFrame(
        {"user_id": ["a", "b"], "items": [[0], []], "targets": [[0], [1]], "ranks": [[1], [None]]},
        schema_overrides={"items": pl.List(pl.Int32), "ranks": pl.List(pl.Int64)},
    )
    found = evaluate_beyond(frame, train_counts=np.array([1, 0]), vectors=np.eye(2), ks=(2,))
    assert found.per_user["precision@2"].to_list() == [0.5, 0]
    assert found.per_user["diversity@2"].to_list() == [0, 0]


@pytest.mark.parametrize(
    "change, message",
    [
        ({"ks": (0,)}, "at least 1"),
        ({"ks": (20,)}, "keep_predictions"),
        ({"vectors": np.eye(3)}, "vectors for 30 items"),
        ({"categories": np.eye(3)}, "categories for 30 items"),
        ({"histories": histories([[1]])}, "25 histories"),
    ],
)
def test_inconsistent_arguments_are_refused(world, change, message):
    _, _, _, asked, _, counts, _, _ = world
    short = evaluate_ranking(
        Table(world[0]), asked, num_items=ITEMS, ks=(5,), bootstrap=0, keep_predictions=10
    ).predictions
    with pytest.raises(InvalidInput, match=message):
        evaluate_beyond(short, train_counts=counts, **change)
