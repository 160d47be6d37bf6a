"""The map: principal axes against scikit-free oracles, and which items are drawn."""

import numpy as np
import pytest

from tfrec.workflows.explore.item_map import item_map, shown_places


def test_the_axes_are_the_two_directions_of_most_variance():
    rng = np.random.default_rng(5)
    vectors = rng.normal(size=(200, 6)) * [1, 5, 0.5, 3, 1, 0.1] + 7
    found = item_map(vectors)
    centred = vectors - vectors.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)  # another way to the same
    for axis in range(2):
        expected = left[:, axis] * sizes[axis]
        assert abs(np.corrcoef(expected, found.positions[:, axis])[0, 1]) == pytest.approx(1, abs=1e-6)
    assert found.share == pytest.approx((sizes[:2] ** 2).sum() / (sizes**2).sum())
    assert found.positions.min(axis=0).tolist() == [0, 0] and found.positions.max(axis=0).tolist() == [1, 1]


@pytest.mark.parametrize("seed", range(6))
def test_an_axis_grows_with_the_number_that_weighs_most_in_it(seed):
    vectors = np.random.default_rng(seed).normal(size=(50, 5))
    positions = item_map(vectors).positions
    # what an axis does along each number, up to a factor: its direction
    directions = (vectors - vectors.mean(axis=0)).T @ (positions - positions.mean(axis=0))
    assert (directions[np.abs(directions).argmax(axis=0), [0, 1]] > 0).all()


@pytest.mark.parametrize("vectors", [np.ones([3, 4]), np.ones([1, 4]), np.arange(3.0)[:, None]])
def test_items_that_do_not_differ_stand_in_the_middle(vectors):
    found = item_map(vectors)
    assert np.isfinite(found.positions).all() and (found.positions[:, 1] == 0.5).all()


def test_the_popular_are_drawn_and_the_marked_are_left_out():
    assert shown_places(np.array([3, 9, 1, 9, 5]), [3], most=3).tolist() == [1, 4, 0]
    assert shown_places(np.array([3, 9]), [], most=9).tolist() == [1, 0]
