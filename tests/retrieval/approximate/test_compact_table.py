"""Tables in small: what they hold is near the vectors, and lists over them are those of a sort of what they hold."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.retrieval.approximate.compact_table import TABLES, Int8Table, ProductTable
from tfrec.retrieval.approximate.product_codes import product_codes


@pytest.fixture(scope="module")
def vectors():
    """300 unit vectors of 16 dimensions around 20 centres."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(20, 16))[rng.integers(0, 20, 300)] + 0.2 * rng.normal(size=(300, 16))
    return (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)


def test_every_vector_has_the_nearest_words(vectors):
    found = product_codes(vectors)
    assert found.codes.shape == (2, 300) and found.words.shape == (2, 16, 8)  # 300 / 10, down to a power of 2
    for part in range(2):
        words = found.words[part] * found.scales[part]
        rows = vectors[:, 8 * part : 8 * part + 8]
        distances = ((rows[:, None] - words[None]) ** 2).sum(axis=2)
        chosen = distances[np.arange(300), found.codes[part]]
        np.testing.assert_allclose(chosen, distances.min(axis=1), atol=1e-6)


def test_words_are_better_than_chance_and_the_same_each_time(vectors):
    found = product_codes(vectors)
    error = np.square(found.decode() - vectors).sum(axis=1).mean()
    assert error < 0.15  # all vectors at the mean would give about 1
    np.testing.assert_array_equal(product_codes(vectors).codes, found.codes)


def test_a_width_that_eight_does_not_divide_has_narrower_parts():
    assert product_codes(np.ones((30, 12), np.float32)).words.shape == (3, 2, 4)


@pytest.mark.parametrize("kind", ["int8", "pq"])
def test_lists_are_a_sort_of_what_the_table_holds(vectors, kind):
    table = TABLES[kind](vectors)
    held = table.rows(tf.range(300)).numpy()
    assert (held * vectors).sum(axis=1).min() > (0.99 if kind == "int8" else 0.6)
    np.testing.assert_allclose(np.linalg.norm(held, axis=1), 1, atol=0.01)
    rng = np.random.default_rng(1)
    queries = rng.normal(size=(3, 16)).astype(np.float32)
    exclude = np.array([[5, 6], [7, -1], [-1, -1]], np.int32)
    boost = np.array([[0, 1]] * 3, np.int32), np.array([[9.0, 0.0]] * 3, np.float32)
    found = table.search(None, queries, 4, exclude=exclude, boost=boost, allow=np.arange(300) != 8)
    scores = queries @ held.T
    scores[:, 0] += 9
    scores[:, 8] = -np.inf
    for row, gone in zip(scores, exclude):
        row[[item for item in gone if item >= 0]] = -np.inf
    expected = np.sort(scores, axis=1)[:, ::-1][:, :4]
    np.testing.assert_allclose(found.scores, expected, atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(scores, found.indices.numpy(), axis=1), expected, atol=1e-5)


def test_a_product_table_is_more_than_16_times_smaller():
    vectors = np.random.default_rng(0).normal(size=(4000, 64)).astype(np.float32)
    sizes = {kind: vectors.nbytes / TABLES[kind](vectors).nbytes for kind in TABLES}
    assert sizes["pq"] > 16 and 3.5 < sizes["int8"] < 4


def test_zero_vectors_stay_zero():
    zeros = np.zeros((20, 8), np.float32)
    for table in (Int8Table(zeros), ProductTable(zeros)):
        assert not table.rows(tf.constant([3, 4])).numpy().any()
