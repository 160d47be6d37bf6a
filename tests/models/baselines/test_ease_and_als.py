"""EASE against its definition as a regression, ALS against the normal equations."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tests.models.baselines.test_counting import Data, histories
from tfrec import InvalidInput
from tfrec.models import Als, Ease

LOG = [[0, 1, 2, 1], [1, 2], [3, 4, 0], [4, 3], [0, 1], [5, 2, 1]]


def seen(sequences, items=6):
    return np.array([[item in sequence for item in range(items)] for sequence in sequences], float)


def test_ease_is_the_ridge_regression_of_each_item_on_all_others():
    found, x = Ease(regularisation=1.5).fit(Data(histories(LOG))), seen(LOG)
    for item in range(6):
        others = [other for other in range(6) if other != item]
        gram = x[:, others].T @ x[:, others] + 1.5 * np.eye(5)
        assert_allclose(found.weights[others, item], np.linalg.solve(gram, x[:, others].T @ x[:, item]), rtol=1e-4)
    asked = [[2, 2, 0], [], [5]]
    assert_allclose(found.scores(histories(asked), np.arange(3)), seen(asked) @ found.weights, atol=1e-6)


@pytest.mark.parametrize("regularisation", [0, -1.0])
def test_ease_refuses_what_cannot_be_inverted(regularisation):
    with pytest.raises(InvalidInput, match="above 0"):
        Ease(regularisation)


def test_ease_refuses_a_catalogue_that_is_too_large():
    with pytest.raises(InvalidInput, match="20000 items, this catalogue has 20001"):
        Ease().fit(Data(histories(LOG), num_items=20001))


def test_als_solves_for_the_history_and_knows_no_empty_one():
    pytest.importorskip("implicit", reason="the extra `baselines` is not installed")
    found = Als(factors=3, alpha=5.0, iterations=3).fit(Data(histories(LOG)))
    asked = [[2, 2, 0], [], [5]]
    scores = found.scores(histories(asked), np.array([0, 1, 2]))
    items = np.asarray(found.model.item_factors, float)
    for row, sequence in enumerate(asked):
        confidence = np.where(seen([sequence])[0] > 0, 5.0, 1.0)  # `implicit` takes alpha as the confidence itself
        normal = items.T @ (confidence[:, None] * items) + found.model.regularization * np.eye(3)
        user = np.linalg.solve(normal, items.T @ (confidence * seen([sequence])[0]))
        assert_allclose(scores[row], items @ user, atol=1e-4)
