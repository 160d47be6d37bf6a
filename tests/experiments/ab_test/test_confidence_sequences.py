"""Confidence sequences: the published formula, agreement with the p-value, and errors under continuous peeking."""

import math

import numpy as np
import pytest

from tfrec import InvalidInput
from tfrec.experiments import always_valid_p, sequence_radius
from tfrec.experiments.ab_test.confidence_sequences import mixture


@pytest.mark.parametrize("n, planned, alpha", [(50, 1000, 0.05), (1000, 1000, 0.05), (9000, 500, 0.01)])
def test_the_radius_equals_the_papers_formula(n, planned, alpha):
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned
    sigma = 2.5
    t = n
    expected = sigma * math.sqrt(2 * (t * rho2 + 1) / (t**2 * rho2) * math.log(math.sqrt(t * rho2 + 1) / alpha))
    assert sequence_radius(sigma / math.sqrt(n), n, planned, alpha) == pytest.approx(expected)


def test_the_sequence_is_narrowest_near_the_planned_size():
    factor = {planned: float(sequence_radius(1.0, 1000, planned)) for planned in (100, 300, 1000, 3000, 10_000)}
    assert min(factor, key=factor.get) == 1000
    assert factor[1000] / 1.96 == pytest.approx(1.55, abs=0.01)


def test_the_p_value_is_below_alpha_exactly_when_the_sequence_excludes_0():
    rng = np.random.default_rng(0)
    for _ in range(200):
        effect, error, n = rng.normal(0, 3), 1.0, int(rng.integers(10, 5000))
        outside = abs(effect) > float(sequence_radius(error, n, 800))
        assert (float(always_valid_p(effect, error, n, 800)) < 0.05) == outside
    assert always_valid_p(0.0, 0.0, 10, 100) == 1


def looks(effect, users, runs, rng):
    """Estimates and errors of a difference of means after every pair of users."""
    control, treatment = rng.exponential(size=(runs, users)), rng.exponential(size=(runs, users)) + effect
    n = np.arange(1, users + 1)
    means, variances = [], []
    for values in (control, treatment):
        mean = values.cumsum(axis=1) / n
        means.append(mean)
        variances.append((values**2).cumsum(axis=1) / n - mean**2)
    return means[1] - means[0], np.sqrt((variances[0] + variances[1]) / n), 2 * n


def test_checking_after_every_user_keeps_the_error_rate():
    runs, burn = 600, 100
    estimate, error, n = (part[..., burn:] for part in looks(0.0, 2000, runs, np.random.default_rng(1)))
    ever = (np.abs(estimate) > sequence_radius(error, n, 2000)).any(axis=1).mean()
    naive = (np.abs(estimate) > 1.96 * error).any(axis=1).mean()
    assert ever <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)
    assert naive > 0.25  # checking the usual interval as often is far worse


def test_an_effect_is_detected_and_covered():
    runs = 300
    estimate, error, n = (part[..., 100:] for part in looks(0.25, 2000, runs, np.random.default_rng(2)))
    radius = sequence_radius(error, n, 2000)
    assert (estimate - radius > 0).any(axis=1).mean() > 0.95
    covered = (np.abs(estimate - 0.25) <= radius).all(axis=1).mean()
    assert covered >= 0.95 - 3 * math.sqrt(0.05 * 0.95 / runs)


def test_invalid_arguments_are_refused():
    for planned, alpha in ((0, 0.05), (100, 0), (100, 1)):
        with pytest.raises(InvalidInput, match="planned"):
            mixture(planned, alpha)
