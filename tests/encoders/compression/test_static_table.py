"""Token tables against dense algebra, and against teachers that a table can equal."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders.compression.static_table import fit_table
from tfrec.encoders.compression.token_averages import TokenAverages, ridge

LENGTHS = np.array([3, 0, 1, 4])
IDS = np.array([0, 2, 2, 4, 1, 0, 3, 1])


@pytest.fixture
def weights(rng):
    return rng.uniform(0.5, 2, 6)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def dense(ids, lengths, weights):
    """The same linear map, written out as a matrix."""
    matrix, stops = np.zeros((len(lengths), len(weights))), np.cumsum(lengths)
    for row, (stop, length) in enumerate(zip(stops, lengths)):
        for token in ids[stop - length : stop]:
            matrix[row, token] += weights[token]
        if length:
            matrix[row] /= matrix[row].sum()
    return matrix


def test_means_and_their_transpose_equal_a_matrix(weights, rng):
    averages, matrix = TokenAverages(IDS, LENGTHS, weights), dense(IDS, LENGTHS, weights)
    vectors, texts = rng.normal(size=(6, 5)), rng.normal(size=(4, 5))
    assert_allclose(averages.means(vectors), matrix @ vectors, atol=1e-6)
    assert_allclose(averages.transposed(texts), matrix.T @ texts, atol=1e-6)


def test_ridge_equals_the_normal_equations(weights, rng):
    averages, matrix = TokenAverages(IDS, LENGTHS, weights), dense(IDS, LENGTHS, weights)
    targets = rng.normal(size=(4, 3))
    expected = np.linalg.solve(matrix.T @ matrix + 0.1 * np.eye(6), matrix.T @ targets)
    assert_allclose(ridge(averages, targets, 0.1, steps=12), expected, atol=1e-4)


def test_a_table_comes_close_to_a_teacher_that_is_a_table(rng):
    lengths = rng.integers(2, 9, 400)
    ids = rng.integers(0, 50, lengths.sum())
    truth = rng.normal(size=(50, 16)) * rng.uniform(0.2, 2, (50, 1))  # tokens weigh differently
    sums = dense(ids, lengths, np.ones(50)) @ truth
    targets = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
    table = fit_table(ids, lengths, rng.normal(size=(50, 16)).astype(np.float32), targets)
    found = dense(ids, lengths, np.ones(50)) @ table
    cosines = (found * targets).sum(axis=1) / np.linalg.norm(found, axis=1)
    assert cosines.mean() > 0.97


def test_tokens_that_no_text_has_keep_their_start_turned_as_all(rng):
    start = rng.normal(size=(60, 4)).astype(np.float32)
    lengths = np.full(200, 5)
    ids = rng.integers(0, 50, 1000)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    sums = dense(ids, lengths, np.ones(60)) @ start @ turn
    table = fit_table(ids, lengths, start, (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32))
    new, expected = table[50:], start[50:] @ turn
    cosines = (new * expected).sum(axis=1) / np.linalg.norm(new, axis=1) / np.linalg.norm(expected, axis=1)
    assert cosines.min() > 0.95


def test_the_same_texts_give_the_same_table(rng):
    start, targets = rng.normal(size=(6, 3)).astype(np.float32), rng.normal(size=(4, 3)).astype(np.float32)
    assert_array_equal(fit_table(IDS, LENGTHS, start, targets), fit_table(IDS, LENGTHS, start, targets))
