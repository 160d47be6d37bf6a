"""Context columns as numbers and categories."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models.click_ranker.context_features import FEW, ContextFeatures


def column(*values):
    return np.array(values, object)


def test_many_numbers_are_standardised_and_few_are_categories():
    prices = [str(p) for p in range(FEW + 1)]
    found = ContextFeatures.fit({"context_price": column(*prices), "context_hour": column(*["1", "2"] * 6, "1")})
    assert list(found.numbers) == ["context_price"] and found.categories == {"context_hour": ["1", "2"]}
    encoded = found.encode(
        {"context_price": column("0", "6", "", "nonsense"), "context_hour": column("2", "1", "", "7")}, 4
    )
    mean, deviation = np.arange(FEW + 1).mean(), np.arange(FEW + 1).std()
    assert_allclose(encoded["context_numbers"][:, 0], [(0 - mean) / deviation, 0, 0, 0], atol=1e-6)
    assert_array_equal(encoded["context_categories"][:, 0], [2, 1, 0, 0])


def test_a_column_that_nobody_sends_is_unknown():
    found = ContextFeatures.fit({"context_a": column("x", "y"), "context_b": np.arange(30.0)})
    encoded = found.encode(None, 2)
    assert_array_equal(encoded["context_categories"], [[0], [0]])
    assert_array_equal(encoded["context_numbers"], [[0.0], [0.0]])


@pytest.mark.parametrize("values", [column(None, None), np.array([np.nan, np.nan]), column("", "")], ids=str)
def test_a_column_of_nothing_has_no_values(values):
    found = ContextFeatures.fit({"context_a": values})
    assert found.categories == {"context_a": []}
    assert_array_equal(found.encode({"context_a": values}, 2)["context_categories"], [[0], [0]])


def test_a_constant_number_does_not_divide_by_zero():
    found = ContextFeatures({"context_a": (3.0, 1.0)}, {})
    assert_array_equal(found.encode({"context_a": np.array([3.0])}, 1)["context_numbers"], [[0.0]])


def test_they_come_back_from_json():
    found = ContextFeatures.fit({"context_a": column("x", "y"), "context_b": np.arange(30.0)})
    assert ContextFeatures.from_json(found.to_json()) == found
    assert ContextFeatures.from_json(None).columns == []
