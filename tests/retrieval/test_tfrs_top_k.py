"""The TFRS adapter against TFRS's brute force and inside TFRS's metric."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_recommenders as tfrs
from numpy.testing import assert_allclose, assert_array_equal

from tfrec import InvalidInput
from tfrec.retrieval import TfrsTopK

RNG = np.random.default_rng(1)
ITEMS = tf.constant(RNG.normal(size=(30, 4)), tf.float32)
QUERIES = tf.constant(RNG.normal(size=(6, 4)), tf.float32)
NAMES = tf.constant([f"item {i}" for i in range(30)])


def test_it_is_a_tfrs_layer():
    assert isinstance(TfrsTopK(), tfrs.layers.factorized_top_k.TopK)
    assert TfrsTopK().is_exact()


@pytest.mark.parametrize("names", [None, NAMES, tf.range(100, 130)])
def test_results_equal_brute_force(names):
    theirs = tfrs.layers.factorized_top_k.BruteForce(k=5).index(ITEMS, names)
    ours = TfrsTopK(k=5, chunk_size=7).index(ITEMS, names)
    for k in (None, 3):
        expected_scores, expected = theirs(QUERIES, k=k)
        scores, found = ours(QUERIES, k=k)
        assert_allclose(scores, expected_scores, rtol=1e-5)
        assert_array_equal(found, expected)


def test_a_dataset_of_batches_is_indexed():
    batches = tf.data.Dataset.from_tensor_slices((NAMES, ITEMS)).batch(8)
    expected = TfrsTopK(k=4).index(ITEMS, NAMES)(QUERIES)[1]
    assert_array_equal(TfrsTopK(k=4).index_from_dataset(batches)(QUERIES)[1], expected)


def test_a_query_model_encodes_raw_queries():
    top = TfrsTopK(lambda rows: tf.gather(QUERIES, rows), k=2).index(ITEMS)
    assert_array_equal(top(tf.constant([2, 0]))[1], TfrsTopK(k=2).index(ITEMS)(tf.gather(QUERIES, [2, 0]))[1])


def test_it_works_in_the_tfrs_metric():
    truth = tf.gather(ITEMS, [0, 1, 2, 3, 4, 5])
    place = np.argsort(np.argsort(-(QUERIES @ tf.transpose(ITEMS)).numpy(), axis=1), axis=1)[range(6), range(6)]
    metric = tfrs.metrics.FactorizedTopK(TfrsTopK(k=10).index(ITEMS, NAMES), ks=(1, 10))
    metric.update_state(QUERIES, truth, true_candidate_ids=NAMES[:6])
    assert_allclose(metric.result(), [(place < 1).mean(), (place < 10).mean()])


def test_k_above_the_catalogue_returns_the_catalogue():
    scores, found = TfrsTopK(k=100).index(ITEMS)(QUERIES)
    assert scores.shape == found.shape == (6, 30)


@pytest.mark.parametrize("names, nothing", [(tf.constant(["a", "b", "c"]), b""), (None, -1)])
def test_excluded_candidates_are_never_returned(names, nothing):
    # TFRS's own exclusion only lowers their score and returns them where nothing else is left.
    top = TfrsTopK(k=3).index(tf.eye(3), names)
    a, b, c = tf.range(3).numpy() if names is None else names.numpy()
    scores, found = top.query_with_exclusions(tf.constant([[3.0, 2.0, 1.0]] * 2), tf.constant([[a, c], [b, b]]))
    assert_array_equal(found, [[b, nothing, nothing], [a, c, nothing]])
    assert_array_equal(scores, [[2.0, -np.inf, -np.inf], [3.0, 1.0, -np.inf]])


def test_invalid_arguments_are_refused():
    with pytest.raises(InvalidInput, match="index"):
        TfrsTopK()(QUERIES)
    with pytest.raises(InvalidInput, match="index"):
        TfrsTopK().query_with_exclusions(QUERIES, tf.zeros([6, 1], tf.int32))
    with pytest.raises(InvalidInput, match="identifiers"):
        TfrsTopK().index(ITEMS, NAMES[:3])
    with pytest.raises(InvalidInput, match="at least 1"):
        TfrsTopK(k=0)
