"""The choice and the refit of hidden units, against least squares over all choices."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders.compression.prune import select_and_refit


@pytest.fixture
def problem():
    """Units of which some repeat others, and a linear map of them: gram, mean, kernel, bias, values."""
    rng = np.random.default_rng(1)
    values = rng.normal(size=(500, 6)) + 3
    values[:, 4] = values[:, 0] + values[:, 1]
    values[:, 5] = 0.01 * rng.normal(size=500)
    mean = values.mean(axis=0)
    centred = values - mean
    return centred.T @ centred / 500, mean, rng.normal(size=(6, 3)), rng.normal(size=3), values


def error(values, kernel, bias, kept):
    """The squared error of the best linear map with an intercept, by NumPy's least squares."""
    inputs = np.concatenate([values[:, kept], np.ones((len(values), 1))], axis=1)
    outputs = values @ kernel + bias
    return np.square(outputs - inputs @ np.linalg.lstsq(inputs, outputs)[0]).sum()


@pytest.mark.parametrize("size", [1, 2])
def test_the_units_that_stay_are_the_best_of_all_choices(problem, size):
    gram, mean, kernel, bias, values = problem
    kept, _, _ = select_and_refit(gram, mean, kernel, bias, keep=4, size=size)
    groups = np.arange(6).reshape(-1, size)
    every = [np.concatenate(choice) for choice in combinations(groups, 4 // size)]
    best = min(every, key=lambda choice: error(values, kernel, bias, choice))
    assert_allclose(error(values, kernel, bias, kept), error(values, kernel, bias, best), rtol=0.01, atol=1e-6)


def test_the_refit_is_least_squares_with_an_intercept(problem):
    gram, mean, kernel, bias, values = problem
    kept, new_kernel, new_bias = select_and_refit(gram, mean, kernel, bias, keep=3)
    found = np.square(values @ kernel + bias - values[:, kept] @ new_kernel - new_bias).sum()
    assert_allclose(found, error(values, kernel, bias, kept), rtol=0.02)


def test_keeping_all_changes_nothing(problem):
    gram, mean, kernel, bias, _ = problem
    kept, new_kernel, new_bias = select_and_refit(gram, mean, kernel, bias, keep=6)
    assert_array_equal(kept, np.arange(6))
    assert_allclose(new_kernel, kernel, atol=1e-6)
    assert_allclose(new_bias, bias, atol=1e-6)
