"""Embedding columns beside the text: scale, gaps, refusals, and a text-only item."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from types import SimpleNamespace  # isort: skip

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_allclose

from tfrec.errors import InvalidInput
from tfrec.models import NextItemModel
from tfrec.models.shared.item_features import item_features

TEXT = np.array([[3.0, 4.0], [0.0, 5.0], [5.0, 0.0]], np.float32)


def catalogue(**columns):
    return SimpleNamespace(items=pl.DataFrame({"item_id": ["a", "b", "c"], **columns}))


def test_columns_stand_beside_the_text_at_its_length_and_gaps_get_the_mean():
    data = catalogue(image_embedding=[[0.0, 0.0, 2.0], None, [0.0, 7.0, 0.0]], price=[1.0, 2.0, 3.0])
    found = item_features(data, TEXT)
    assert_allclose(found[:, :2], TEXT)
    assert_allclose(found[:, 2:], 5 * np.array([[0, 0, 1], [0, 0.5, 0.5], [0, 1, 0]]))
    assert_allclose(item_features(data, None), found[:, 2:] / 5)


def test_without_columns_it_is_the_text_or_nothing():
    assert_allclose(item_features(catalogue(), TEXT), TEXT)
    assert item_features(catalogue(), None) is None


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[1.0], [float("nan")], [2.0]], "not finite in 1 items, e.g. 'b'"),
        ([[1.0], [1.0, 2.0], None], "lists of 1 numbers; item 'b' has"),
        (["x", "y", None], "item 'a' has 'x'"),
        ([["x"], ["y"], None], "lists of numbers, some are not"),
        ([None, None, None], "there is none"),
    ],
)
def test_what_is_no_embedding_is_refused(rows, message):
    with pytest.raises(InvalidInput, match=message):
        item_features(catalogue(sound_embedding=rows), TEXT)


def test_an_item_known_by_text_alone_has_the_mean_of_the_rest():
    rows = np.random.default_rng(0).normal(size=(20, 6)).astype(np.float32)
    model = NextItemModel(20, 1, text_dim=6, dim=4, heads=2)
    model.items.start_from(rows)
    whole = np.concatenate([rows[:, :4], np.tile(rows[:, 4:].mean(axis=0), (20, 1))], axis=1)
    assert_allclose(model.text_to_vector(rows[:, :4]), model.text_to_vector(whole), atol=1e-5)
