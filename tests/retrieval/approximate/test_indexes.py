"""The approximate indexes equal a sort where they score every item; elsewhere their recall is measured."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.models.shared.neighbours import text_neighbours
from tfrec.retrieval import Int8Index, IvfIndex, cluster, index_recall
from tfrec.retrieval.approximate import int8_index as int8
from tfrec.retrieval.approximate import ivf_index as ivf
from tfrec.retrieval.approximate.kmeans import neighbourhoods


def unit(rows):
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def topics(rng, items, dim=16, count=20):
    """Unit vectors around `count` directions."""
    centres = unit(rng.normal(size=(count, dim)))
    return unit(centres[rng.integers(0, count, items)] + 0.15 * rng.normal(size=(items, dim)))


def expected_top_k(scores, k, exclude=(), allow=None):
    """One row: indices best first, ties by index, padded with −1."""
    left = [i for i in range(len(scores)) if i not in exclude and (allow is None or allow[i])]
    left.sort(key=lambda i: (-scores[i], i))
    return (left + [-1] * k)[:k]


def everything(kind, items):
    """An index that scores every item."""
    return Int8Index(items, pool=len(items)) if kind == "int8" else IvfIndex(items, lists=4, probes=10**6)


@st.composite
def cases(draw):
    """Small whole numbers: exact in float32, and full of ties; `k` at least half the items, for ties beyond 2k."""
    items, dim, batch = draw(st.integers(1, 12)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    m = draw(st.integers(0, 5))
    return {
        "items": rng.integers(-2, 3, (items, dim)).astype(np.float32),
        "query": rng.integers(-2, 3, (batch, dim)).astype(np.float32),
        "k": draw(st.integers(-(-items // 2), 14)),
        "exclude": rng.integers(-1, items + 2, (batch, draw(st.integers(0, 5)))).astype(np.int32),
        "allow": rng.random((batch, items)) < 0.6,
        "boost": (rng.integers(-1, items + 1, (batch, m)).astype(np.int32), rng.integers(-3, 4, (batch, m))),
    }


@pytest.mark.parametrize("numbers", [1, 40, 2**21])  # one query at a time, a few, all
@pytest.mark.parametrize("kind", ["int8", "ivf"])
@given(case=cases(), excluding=st.booleans(), allowing=st.sampled_from(["all", "each", "same"]), boosting=st.booleans())
@settings(max_examples=30, deadline=None)
def test_an_index_that_scores_every_item_equals_a_sort(kind, numbers, case, excluding, allowing, boosting):
    allowed = {"all": None, "each": case["allow"], "same": case["allow"][0]}[allowing]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ivf, "NUMBERS", numbers)
        result = everything(kind, case["items"]).search(
            case["items"],
            case["query"],
            case["k"],
            exclude=case["exclude"] if excluding else None,
            allow=allowed,
            boost=case["boost"] if boosting else None,
            exact_if_quicker=False,
        )
    for row, scores in enumerate(case["query"] @ case["items"].T):
        for item, value in zip(case["boost"][0][row], case["boost"][1][row]) if boosting else ():
            if 0 <= item < len(scores):
                scores[item] += value
        exclude = case["exclude"][row] if excluding else ()
        allow = None if allowed is None else np.broadcast_to(allowed, case["allow"].shape)[row]
        indices = expected_top_k(scores, case["k"], exclude, allow)
        assert_array_equal(result.indices[row], indices)
        assert int(result.count[row]) == sum(i >= 0 for i in indices)
        assert_array_equal(result.scores[row], [scores[i] if i >= 0 else -np.inf for i in indices])


@pytest.fixture(scope="module")
def shop():
    rng = np.random.default_rng(0)
    items = topics(rng, 5000)
    return items, unit(items[rng.integers(0, 5000, 64)] + 0.05 * rng.normal(size=(64, 16)))


@pytest.mark.parametrize("make", [Int8Index, lambda items: IvfIndex(items, probes=16)])
def test_recall_is_high_and_scores_are_exact(shop, make):
    items, queries = shop
    result = make(items).search(items, queries, 10, exact_if_quicker=False)
    exact = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :10]
    assert index_recall(result.indices.numpy(), exact, 10) >= 0.95
    found = result.indices.numpy()
    assert_allclose(result.scores, np.einsum("bd,bkd->bk", queries, items[found]), atol=1e-6)
    assert (np.diff(result.scores, axis=1) <= 0).all()


@pytest.mark.parametrize("make", [Int8Index, lambda items: IvfIndex(items, probes=2)])
def test_excluded_items_are_never_returned_and_no_item_is_returned_twice(shop, make):
    items, queries = shop
    exclude = np.argsort(-(queries @ items.T), axis=1)[:, :7].astype(np.int32)
    boost = exclude[:, ::-1].copy(), np.full(exclude.shape, 5.0, np.float32)
    result = make(items).search(items, queries, 20, exclude=exclude, boost=boost, exact_if_quicker=False)
    found = result.indices.numpy()
    for row in range(len(queries)):
        real = found[row][found[row] >= 0]
        assert not set(real) & set(exclude[row]) and len(set(real)) == len(real)


@pytest.mark.parametrize("make", [Int8Index, lambda items: IvfIndex(items, probes=1)])
def test_items_that_a_boost_lifts_to_the_top_are_found_in_any_list(shop, make):
    items, queries = shop
    last = np.argsort(queries @ items.T, axis=1)[:, :3].astype(np.int32)  # the least similar items, in distant lists
    boost = np.repeat(last, 2, axis=1), np.full([64, 6], 2.0, np.float32)  # each twice: 4 in all
    result = make(items).search(items, queries, 5, boost=boost, exact_if_quicker=False)
    scores = np.take_along_axis(queries @ items.T, last, axis=1) + 4
    order = np.argsort(-scores, axis=1)
    assert_array_equal(result.indices[:, :3], np.take_along_axis(last, order, axis=1))
    assert_allclose(result.scores[:, :3], np.take_along_axis(scores, order, axis=1), atol=1e-5)


def test_a_negative_boost_lowers_an_item_inside_its_list(shop):
    items, queries = shop
    best = np.argsort(-(queries @ items.T), axis=1)[:, :1].astype(np.int32)
    boost = best, np.full([64, 1], -9.0)
    found = IvfIndex(items, probes=8).search(items, queries, 5, boost=boost, exact_if_quicker=False)
    assert not (found.indices.numpy() == best).any()


def test_an_allow_list_is_exact_in_an_inverted_file(shop):
    items, queries = shop
    allow = np.zeros(5000, bool)
    allow[[7, 4000, 123]] = True
    found = IvfIndex(items, probes=1).search(items, queries, 5, allow=allow)
    assert_array_equal(found.count, [3] * 64)
    for row, scores in enumerate(queries @ items.T):
        assert_array_equal(found.indices[row], expected_top_k(scores, 5, allow=allow))


def test_short_lists_give_fewer_results(shop):
    items, _ = shop
    result = IvfIndex(items[:40], lists=8, probes=1).search(items[:40], items[:3], 30, exact_if_quicker=False)
    assert (result.count.numpy() < 30).all() and (result.count.numpy() > 0).all()
    for row, count in enumerate(result.count.numpy()):
        assert (result.indices[row, count:].numpy() == -1).all()
        assert np.isneginf(result.scores[row, count:].numpy()).all()


@pytest.mark.slow
def test_an_inverted_file_is_used_only_where_it_is_faster(shop, monkeypatch):
    items, queries = shop
    index = IvfIndex(items, lists=50, probes=1)
    read = int(index.lists.shape[1])
    exact = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :40]
    by_lists = index.search(items, queries, 40, exact_if_quicker=False).indices.numpy()
    assert (by_lists != exact).any(axis=1).all()
    # With these costs the exact scan costs a little more than the lists of two queries, for any batch.
    monkeypatch.setattr(ivf, "OVERHEAD", 0.0)
    monkeypatch.setattr(ivf, "SCAN", 2.1 * read / (len(items) - index.num_lists))
    monkeypatch.setattr(ivf, "SCAN_A_QUERY", 0.0)
    search = tf.function(lambda q: index.search(items, q, 40).indices, input_signature=[tf.TensorSpec([None, 16])])
    assert_array_equal(search(queries[:2]), by_lists[:2])
    assert_array_equal(search(queries[:3]), exact[:3])
    monkeypatch.setattr(ivf, "OVERHEAD", 1e9)
    assert_array_equal(index.search(items, queries[:1], 40).indices, exact[:1])
    monkeypatch.setattr(ivf, "SCAN_A_QUERY", float(len(items)))
    monkeypatch.setattr(ivf, "OVERHEAD", 1.5 * len(items) ** 2)  # the overhead is too high for one query, not for two
    assert_array_equal(index.search(items, queries[:1], 40).indices, exact[:1])
    assert_array_equal(index.search(items, queries[:2], 40).indices, by_lists[:2])


def test_many_queries_at_a_time_are_not_scanned_in_int8(shop):
    items, queries = shop
    index, many = Int8Index(items, pool=1), int8.MOST_QUERIES + 1
    index.scale.assign(index.scale * np.where(np.arange(len(items)) % 2, -1, 1))  # so that the pool is wrong
    search = tf.function(lambda q: index.search(items, q, 9).indices, input_signature=[tf.TensorSpec([None, 16])])
    exact = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :9]
    assert_array_equal(search(queries[:many]), exact[:many])
    assert (search(queries[:1]) != exact[:1]).numpy().any()
    assert (index.search(items, queries, 9, exact_if_quicker=False).indices != exact).numpy().any()


@pytest.mark.parametrize("make", [Int8Index, IvfIndex])
def test_no_queries_have_no_results(shop, make):
    items, _ = shop
    for quicker in (True, False):
        result = make(items).search(items, np.zeros((0, 16), np.float32), 3, exact_if_quicker=quicker)
        assert result.indices.shape == result.scores.shape == (0, 3) and result.count.shape == (0,)


@pytest.mark.parametrize("make", [Int8Index, IvfIndex])
def test_an_index_with_its_vectors_is_less_than_twice_the_vectors(make):
    items = topics(np.random.default_rng(1), 1500, dim=128)
    assert make(items).nbytes < items.nbytes


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["int8", "ivf"])
def test_the_index_is_exported_as_plain_ops(tmp_path, shop, kind):
    from tfrec.guard.servable_ops import refuse_unservable, used_ops

    items, queries = shop

    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.items = tf.Variable(items)
            self.index = Int8Index(items) if kind == "int8" else IvfIndex(items)

        @tf.function(
            input_signature=[
                tf.TensorSpec([None, 16]),
                tf.TensorSpec([None, None], tf.int32),
                tf.TensorSpec([None, None]),
            ]
        )
        def find(self, query, indices, values):
            by_index = {"exact_if_quicker": False, "exclude": indices[:, :1], "boost": (indices, values)}
            return self.index.search(self.items, query, 4, **by_index)._asdict()

        @tf.function(input_signature=[tf.TensorSpec([None, 16])])
        def find_as_served(self, query):
            return self.index.search(self.items, query, 4)._asdict()

    module = Served()
    tf.saved_model.save(module, str(tmp_path))
    refuse_unservable(used_ops(tmp_path))
    indices, values = tf.constant([[1, 2], [3, 3]]), tf.constant([[1.0, 1.0], [2.0, 2.0]])
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.find(tf.constant(queries[:2]), indices, values)
    assert_array_equal(found["indices"], module.find(tf.constant(queries[:2]), indices, values)["indices"])
    assert found["indices"][0, 0] == 2 and 3 not in found["indices"][1]


def test_every_item_is_in_one_list_and_no_list_is_too_long():
    rng = np.random.default_rng(2)
    vectors = np.concatenate([np.ones((300, 3)), rng.normal(size=(100, 3))]).astype(np.float32)
    centres, members = cluster(vectors, lists=10, most=30, seed=1)
    assert sorted(np.concatenate(members).tolist()) == list(range(400))
    assert max(map(len, members)) <= 30 and all((np.diff(m) > 0).all() for m in members)
    assert centres.shape == (len(members), 3)
    again = cluster(vectors, lists=10, most=30, seed=1)
    assert_array_equal(again[0], centres)


def test_clustering_finds_the_topics():
    rng = np.random.default_rng(3)
    truth = rng.integers(0, 4, 400)
    vectors = 5 * np.eye(4)[truth] + 0.1 * rng.normal(size=(400, 4))
    _, members = cluster(vectors.astype(np.float32), lists=12)
    assert all(len(set(truth[m])) == 1 for m in members)


def test_many_centres_start_from_a_hierarchical_clustering(monkeypatch):
    from tfrec.retrieval.approximate import kmeans as clusters

    rng = np.random.default_rng(4)
    vectors = topics(rng, 3000, count=60)
    flat = cluster(vectors, lists=100)
    monkeypatch.setattr(clusters, "FLAT", 50)
    centres, members = cluster(vectors, lists=100)
    assert sorted(np.concatenate(members).tolist()) == list(range(3000)) and 80 <= len(members) <= 120
    assert_array_equal(cluster(vectors, lists=100)[0], centres)
    alike = [np.mean(np.concatenate([vectors[m] @ c for c, m in zip(*found)])) for found in (flat, (centres, members))]
    assert alike[1] > alike[0] - 0.01


def test_recall_is_the_share_of_the_exact_result():
    assert index_recall(np.array([[1, 2, 3]]), np.array([[3, 4, 5]]), 3) == pytest.approx(1 / 3)
    assert index_recall(np.array([[1, 2, 3]]), np.array([[3, 4, 5]]), 1) == 0
    assert index_recall(np.array([[-1, -1]]), np.array([[-1, -1]]), 2) == 1
    assert index_recall(np.array([[-1, -1], [4, -1]]), np.array([[-1, -1], [4, -1]]), 2) == 1


def test_invalid_arguments_are_refused():
    for wrong in (lambda: Int8Index(np.eye(2), pool=0), lambda: IvfIndex(np.eye(2), probes=0)):
        with pytest.raises(InvalidInput, match="at least 1"):
            wrong()
    with pytest.raises(InvalidInput, match="shape"):
        IvfIndex(np.zeros((0, 3)))


@pytest.mark.parametrize("items", [1, 2, 50, 700])
def test_neighbourhoods_contain_every_item_once_and_among_its_own_candidates(items):
    vectors = topics(np.random.default_rng(3), items)
    found = list(neighbourhoods(vectors, probes=3))
    assert sorted(np.concatenate([part for part, _ in found]).tolist()) == list(range(items))
    for part, near in found:
        assert (np.diff(near) > 0).all() and np.isin(part, near).all()
    assert items < 700 or np.mean([len(near) for _, near in found]) < items / 10


def test_near_lists_contain_most_nearest_neighbours_and_all_lists_contain_all():
    vectors = topics(np.random.default_rng(4), 900)
    exact, kernel = text_neighbours(vectors, k=5)
    whole, same = text_neighbours(vectors, 5, neighbourhoods(vectors, probes=10**6))
    assert_array_equal(whole, exact)
    assert_allclose(same, kernel, rtol=1e-4)
    near, _ = text_neighbours(vectors, 5, neighbourhoods(vectors, probes=8))
    assert np.mean([np.isin(row, wanted).mean() for row, wanted in zip(exact, near, strict=True)]) > 0.8
