"""Exact top-k in TensorFlow and NumPy against a plain sort."""

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tfrec import InvalidInput
from tfrec.keras import keras
from tfrec.retrieval import TopK, top_k_numpy


def expected_top_k(scores, k, exclude=(), allow=None, boost=()):
    """One row: allowed items, best first, ties by index."""
    scores = list(scores)
    for item, value in boost:
        if 0 <= item < len(scores):
            scores[item] += value
    left = [i for i in range(len(scores)) if i not in exclude and (allow is None or allow[i])]
    left.sort(key=lambda i: (-scores[i], i))
    found = left[:k]
    padding = k - len(found)
    return found + [-1] * padding, [scores[i] for i in found] + [-np.inf] * padding, len(found)


@st.composite
def cases(draw):
    """Small whole numbers: exact in float32, and full of ties."""
    items, dim, batch = draw(st.integers(1, 12)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return {
        "items": rng.integers(-2, 3, (items, dim)).astype(np.float32),
        "query": rng.integers(-2, 3, (batch, dim)).astype(np.float32),
        "k": draw(st.integers(1, 14)),
        "chunk": draw(st.integers(1, 14)),
        "exclude": rng.integers(-1, items + 2, (batch, draw(st.integers(0, 5)))).astype(np.int32),
        "allow": rng.random((batch, items)) < 0.6,
        "boost": (rng.integers(-1, items + 1, (batch, 3)).astype(np.int32), rng.integers(-3, 4, (batch, 3))),
    }


@given(cases(), st.booleans(), st.booleans(), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_scan_equals_a_sort(case, excluding, allowing, boosting):
    result = TopK(case["k"], case["chunk"]).index(case["items"])(
        case["query"],
        exclude=case["exclude"] if excluding else None,
        allow=case["allow"] if allowing else None,
        boost=case["boost"] if boosting else None,
    )
    for row, scores in enumerate(case["query"] @ case["items"].T):
        indices, best, count = expected_top_k(
            scores,
            case["k"],
            exclude=case["exclude"][row] if excluding else (),
            allow=case["allow"][row] if allowing else None,
            boost=zip(case["boost"][0][row], case["boost"][1][row]) if boosting else (),
        )
        assert_array_equal(result.indices[row], indices)
        assert_array_equal(result.scores[row], best)
        assert int(result.count[row]) == count


@given(cases(), st.booleans(), st.booleans())
@settings(max_examples=150, deadline=None)
def test_the_numpy_version_equals_a_sort(case, excluding, allowing):
    scores = case["query"] @ case["items"].T
    before = scores.copy()
    exclude, allow = (case["exclude"] if excluding else None), (case["allow"] if allowing else None)
    indices, best, count = top_k_numpy(scores, case["k"], exclude, allow)
    for row in range(len(scores)):
        expected = expected_top_k(
            scores[row], case["k"], case["exclude"][row] if excluding else (), allow[row] if allowing else None
        )
        assert (indices[row].tolist(), best[row].tolist(), count[row]) == expected
    assert_array_equal(scores, before)
    assert indices.dtype == count.dtype == np.int32


@pytest.mark.parametrize("chunk_size", [1, 3, 1000])
def test_chunking_does_not_change_the_result(chunk_size):
    rng = np.random.default_rng(0)
    items, queries = rng.normal(size=(50, 8)), rng.normal(size=(7, 8))
    expected = np.argsort(-(queries @ items.T), axis=1, kind="stable")[:, :5]
    assert_array_equal(TopK(5, chunk_size).index(items)(queries).indices, expected)


def test_one_allow_list_holds_for_all_queries():
    result = TopK(2, chunk_size=2).index(np.eye(3))([[3.0, 2.0, 1.0], [1.0, 2.0, 3.0]], allow=[True, False, True])
    assert_array_equal(result.indices, [[0, 2], [2, 0]])


def test_excluding_everything_returns_nothing():
    result = TopK(2).index([[1.0], [2.0]])([[1.0]], exclude=[[0, 1]])
    assert_array_equal(result.indices, [[-1, -1]])
    assert_array_equal(result.scores, [[-np.inf, -np.inf]])
    assert_array_equal(result.count, [0])


def test_an_empty_catalogue_and_an_empty_batch_return_nothing():
    assert_array_equal(TopK(2).index(np.zeros((0, 3)))(np.zeros((1, 3))).indices, [[-1, -1]])
    assert TopK(2).index(np.eye(3))(np.zeros((0, 3))).indices.shape == (0, 2)
    assert TopK(2).index(np.zeros((600, 3)))(np.zeros((0, 3))).indices.shape == (0, 2)  # enough for blocks
    indices, _, count = top_k_numpy(np.zeros((1, 0)), 2)
    assert indices.tolist() == [[-1, -1]] and count.tolist() == [0]


def test_a_second_index_replaces_the_first():
    top = TopK(1).index(np.eye(2)).index([[0.0, 1.0], [0.0, 5.0], [0.0, 9.0]])
    assert_array_equal(top([[0.0, 1.0]]).indices, [[2]])
    assert len(top.variables) == 1


@pytest.mark.parametrize("chunk_size", [2, 100])
def test_an_exported_layer_accepts_any_batch_size(tmp_path, chunk_size):
    class Served(tf.Module):
        def __init__(self):
            super().__init__()
            self.top = TopK(2, chunk_size).index(np.eye(5))

        @tf.function(input_signature=[tf.TensorSpec([None, 5]), tf.TensorSpec([None, None], tf.int32)])
        def find(self, query, exclude):
            return self.top(query, exclude=exclude)._asdict()

    tf.saved_model.save(Served(), str(tmp_path))
    loaded = tf.saved_model.load(str(tmp_path))
    found = loaded.find(tf.constant([[5.0, 4, 3, 2, 1]] * 3), tf.constant([[0]] * 3))
    assert_array_equal(found["indices"], [[1, 2]] * 3)


def test_scores_stay_float32_under_a_bfloat16_policy():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        result = TopK(1).index(np.eye(2))(tf.constant([[1.0, 1.001]]))
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert_array_equal(result.indices, [[1]])  # in bfloat16 both are 1, and the first would win


def test_it_can_be_recreated_from_its_config():
    again = TopK.from_config(TopK(3, 7, name="mine").get_config())
    assert (again.k, again.chunk_size, again.name) == (3, 7, "mine")


def test_invalid_arguments_are_refused():
    with pytest.raises(InvalidInput, match="index"):
        TopK(1)([[1.0]])
    with pytest.raises(InvalidInput, match="at least 1"):
        TopK(0)
    with pytest.raises(InvalidInput, match="at least 1"):
        top_k_numpy(np.zeros((1, 2)), 0)
    with pytest.raises(InvalidInput, match="shape"):
        TopK(1).index([1.0, 2.0])
    with pytest.raises(InvalidInput, match="shape"):
        TopK(1).index(np.eye(3))([[1.0, 2.0]])


def test_nan_is_never_returned_by_numpy():
    indices, _, count = top_k_numpy(np.array([[np.nan, 1.0, np.nan]]), 2)
    assert indices.tolist() == [[1, -1]] and count.tolist() == [1]


@pytest.mark.parametrize("chunk_size", [1300, 2600, 100_000])
def test_large_catalogues_are_searched_in_blocks_with_the_same_result_and_ties(chunk_size):
    rng = np.random.default_rng(5)
    items = rng.integers(-2, 3, size=(5003, 3)).astype(np.float32)  # few different scores: ties everywhere
    queries = rng.integers(-2, 3, size=(9, 3)).astype(np.float32)
    queries[0] = 0
    exclude = rng.integers(0, 5003, size=(9, 400)).astype(np.int32)
    allow = rng.random((9, 5003)) < 0.5
    allow[1] = False
    allow[1, [4999, 17]] = True
    got = TopK(4, chunk_size).index(items)(queries, exclude=exclude, allow=allow)
    for row in range(9):
        scores = queries[row] @ items.T
        open_ = allow[row] & ~np.isin(np.arange(5003), exclude[row])
        expected = [i for i in np.argsort(-scores, kind="stable") if open_[i]][:4]
        assert got.count[row] == len(expected)
        assert_array_equal(got.indices[row, : len(expected)], expected)
        assert_array_equal(got.indices[row, len(expected) :], -1)


def test_an_unsorted_choice_of_blocks_with_equal_maxima_takes_the_first():
    items = np.ones((4 * 64 * 6, 1), np.float32)
    assert_array_equal(TopK(3).index(items)([[1.0]]).indices, [[0, 1, 2]])


@pytest.mark.parametrize("levels", [1, 3, 50, 10_000_000])
def test_top_k_numpy_of_a_long_row_equals_a_stable_sort_with_any_ties(levels):
    rng = np.random.default_rng(levels)
    scores = rng.integers(0, levels, (6, 1003)).astype(np.float32)
    scores[1, 900:] = -np.inf
    scores[2, 3:] = -np.inf
    scores[3, ::2] = np.nan
    for k in (1, 7, 30):
        clean = np.where(np.isnan(scores), -np.inf, scores)
        order = np.argsort(-clean, axis=1, kind="stable")[:, :k]
        expected = np.where(np.isneginf(np.take_along_axis(clean, order, axis=1)), -1, order)
        indices, best, count = top_k_numpy(scores, k)
        assert_array_equal(indices, expected)
        assert_array_equal(best, np.take_along_axis(clean, order, axis=1))
        assert_array_equal(count, (expected >= 0).sum(axis=1))


@pytest.mark.parametrize("batch", [1, 40])  # all items at once, and two chunks
def test_the_batch_size_decides_how_many_items_are_scored_at_a_time(batch):
    rng = np.random.default_rng(6)
    items = rng.integers(-3, 4, size=(70_001, 4)).astype(np.float32)
    queries = rng.integers(-3, 4, size=(batch, 4)).astype(np.float32)
    result = TopK(7).index(items)(queries, exclude=np.full((batch, 1), 5, np.int32))
    for row in range(batch):
        scores = queries[row] @ items.T
        scores[5] = -np.inf
        expected = np.argsort(-scores, kind="stable")[:7]
        assert_array_equal(result.indices[row], expected)
        assert_array_equal(result.scores[row], scores[expected])
