"""Intervals of shares and of lifts, against statsmodels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tfrec.explanation.surrogate.proportions import lift_interval, share_interval


@pytest.mark.parametrize("level", [0.95, 0.996])
def test_a_share_has_the_interval_of_wilson(level):
    hits, of = np.array([0, 3, 8, 40]), np.array([7, 7, 10, 40])
    expected = proportion_confint(hits, of, alpha=1 - level, method="wilson")
    assert_allclose(share_interval(hits, of, level), expected, atol=1e-12)
    assert [float(bound) for bound in share_interval(np.array(0), np.array(0))] == [0, 1]


@pytest.mark.parametrize(("hits", "of", "all_hits"), [(30, 40, 50), (2, 40, 50), (40, 40, 41), (0, 3, 5)])
def test_a_lift_is_the_difference_to_the_others_times_their_share(hits, of, all_hits):
    low, high = confint_proportions_2indep(hits, of, all_hits - hits, 200 - of, method="newcomb", compare="diff")
    found = lift_interval(np.array(hits), np.array(of), np.array(all_hits), 200)
    assert_allclose(found, np.array([low, high]) * (200 - of) / 200, atol=1e-12)


def test_nobody_and_everyone_are_no_better_than_all():
    hits, of = np.array([0, 5]), np.array([0, 10])
    assert_allclose(lift_interval(hits, of, np.array([5, 5]), 10), 0)
