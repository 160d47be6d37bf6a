"""The choice and the refit of hidden units, against least squares over all choices."""

from itertools import combinations
from types import SimpleNamespace

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders.compression.prune import prune_heads, select_and_refit
from tfrec.encoders.compression.student import Lesson
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BertConfig


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


@pytest.mark.parametrize("buckets", [0, 32], ids=["BERT", "MPNet"])
def test_a_head_that_gives_nothing_leaves_and_nothing_changes(buckets, monkeypatch):
    """The second of three heads is not read by the layer's output; the others keep their biases of distance."""
    config = BertConfig(vocab_size=20, width=12, layers=2, heads=3, inner_width=16, relative_buckets=buckets)
    model, rng = build_backbone(config), np.random.default_rng(0)
    for weight in model.weights:
        weight.assign(rng.normal(size=weight.shape) * 0.5)
    for index in range(2):
        kernel = model.get_layer(f"layer_{index}").attention_out.kernel
        kernel.assign(np.where(np.arange(12)[:, None] // 4 == 1, 0, kernel.numpy()))
    words = rng.integers(0, 20, (40, 9)).astype(np.int32)
    monkeypatch.setattr("tfrec.encoders.compression.prune.tokenise", lambda *_: (words.ravel(), np.full(len(words), 9)))
    teacher = SimpleNamespace(config=config, vocabulary=None, model=model, preprocessor=None)
    small = prune_heads(teacher, Lesson(["a"] * 40, np.zeros((40, 12), np.float32), 9), 2 / 3)
    inputs = {"input_word_ids": words, "input_mask": np.ones_like(words), "input_type_ids": np.zeros_like(words)}
    assert small.config.heads == 2
    assert_allclose(small.model(inputs)["default"], model(inputs)["default"], atol=1e-3)
