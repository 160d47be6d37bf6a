"""What each part adds to a score: together the score, and alone what the score loses when the part is switched off."""

import numpy as np
import pytest

from tfrec.models.next_item.model import NextItemModel
from tfrec.models.next_item.score_weights.catalogue_parts import catalogue_parts

ITEMS = 9
INPUTS = {
    "history_items": np.array([[3, 5, 3, 1], [7, 2, -1, -1]], np.int32),
    "history_events": np.array([[0, 1, 1, 0], [1, -1, -1, -1]], np.int32),
    "history_gaps": np.zeros([2, 4], np.float32),
}


@pytest.fixture(scope="module")
def model():
    """A model with every part, none of which is silent."""
    rng = np.random.default_rng(4)
    model = NextItemModel(ITEMS, 2, dim=8, heads=2, layers=1, max_history=4, neighbours=2, text_neighbours=2, popular=3)
    near, alike = (np.stack([(np.arange(ITEMS) + step) % ITEMS for step in steps], 1) for steps in ((1, 2), (3, 4)))
    counts, kernel = (rng.uniform(1, 5, [ITEMS, 2]).astype(np.float32) for _ in range(2))
    frequencies = rng.integers(1, 20, ITEMS)
    model.memory.remember((near, counts), (alike, kernel), frequencies)
    model.memory.assign(weight=0.7, text_weight=-0.4)
    model.repeats.scaled.assign([-0.1, 0.05, 0.02, 0.03, -0.06])
    model.popularity.remember(frequencies)
    model.popularity.weight.assign(0.5)
    return model


def test_the_parts_sum_to_the_score(model):
    parts = catalogue_parts(model, INPUTS)
    assert list(parts) == ["network", "memory by history", "memory by text", "repeats", "popularity"]
    assert all(np.abs(part).max() > 0.01 for part in parts.values())
    np.testing.assert_allclose(sum(parts.values()), model.scores(INPUTS), atol=1e-5)


@pytest.mark.parametrize(
    "part, switch",
    [
        ("memory by history", lambda model: model.memory.scaled_weight),
        ("memory by text", lambda model: model.memory.scaled_text_weight),
        ("repeats", lambda model: model.repeats.scaled),
        ("popularity", lambda model: model.popularity.weight),
    ],
)
def test_a_part_is_what_the_score_loses_without_it(model, part, switch):
    expected, before = catalogue_parts(model, INPUTS)[part], model.scores(INPUTS)
    variable = switch(model)
    kept = variable.numpy()
    variable.assign(np.zeros_like(kept))
    without = model.scores(INPUTS)
    variable.assign(kept)
    np.testing.assert_allclose(expected, before - without, atol=1e-5)


def test_parts_that_a_model_lacks_are_not_named():
    model = NextItemModel(ITEMS, 2, dim=8, heads=2, layers=1, max_history=4, repeat_bias=False)
    assert list(catalogue_parts(model, INPUTS)) == ["network"]
