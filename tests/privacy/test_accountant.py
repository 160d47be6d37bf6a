"""The accountant, against closed forms and against a convolution of the privacy loss that is written out here."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from tfrec.errors import InvalidInput, Unavailable
from tfrec.privacy import Mechanism, epsilon_of, noise_for
from tfrec.privacy import accountant as module

pytestmark = pytest.mark.usefixtures("dp_accounting")
DELTA = 1e-5


def gaussian_delta(sigma, epsilon):
    """δ of one Gaussian mechanism (Balle & Wang 2018, https://arxiv.org/abs/1805.06530, theorem 8)."""
    half, shift = 1 / (2 * sigma), epsilon * sigma
    return norm.cdf(half - shift) - math.exp(epsilon) * norm.cdf(-half - shift)


def root(function, low, high):
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return high


def convolved_epsilon(upper, lower, times, delta=DELTA, width=2e-3, cells=2**15):
    """ε by the convolution of the privacy loss log(upper / lower) with itself, on a grid of that width."""
    x = np.linspace(-20, 20, 400_001)
    mass = upper(x) / upper(x).sum()
    loss = np.log(upper(x)) - np.log(lower(x))
    # a loss between two cells is shared between them, so that its mean is kept
    place = loss / width + cells / 2
    left = np.floor(place).astype(int)
    one = np.bincount(left, mass * (left + 1 - place), cells) + np.bincount(left + 1, mass * (place - left), cells)
    composed = np.fft.irfft(np.fft.rfft(np.fft.ifftshift(one)) ** times, cells)
    composed, losses = np.fft.fftshift(np.maximum(composed, 0)), (np.arange(cells) - cells / 2) * width
    return root(lambda epsilon: (composed * np.maximum(-np.expm1(epsilon - losses), 0)).sum() - delta, 0, 20)


@pytest.mark.parametrize("sigma, times", [(1.0, 1), (4.0, 1), (20.0, 50)])
def test_without_sampling_epsilon_is_that_of_the_closed_form(sigma, times):
    ours = epsilon_of([Mechanism("sums", sigma, times=times)], DELTA)
    expected = root(lambda epsilon: gaussian_delta(sigma / math.sqrt(times), epsilon) - DELTA, 0, 50)
    assert ours == pytest.approx(expected, rel=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("relation", ["add-or-remove-one", "replace-one"])
def test_with_sampling_epsilon_is_that_of_the_convolution(relation):
    sampling, sigma, times = 0.02, 1.0, 200

    def mixture(shift):
        return lambda x: (1 - sampling) * norm.pdf(x, 0, sigma) + sampling * norm.pdf(x, shift, sigma)

    def without(x):
        return norm.pdf(x, 0, sigma)

    if relation == "replace-one":
        expected = convolved_epsilon(mixture(1), mixture(-1), times)
    else:
        expected = max(convolved_epsilon(mixture(1), without, times), convolved_epsilon(without, mixture(1), times))
    ours = epsilon_of([Mechanism("gradients", sigma, sampling, times)], DELTA, relation)
    assert ours == pytest.approx(expected, rel=0.01)


def test_laplace_noise_without_delta_to_speak_of_has_its_epsilon():
    counts = Mechanism("counts", 2.0, noise="laplace")
    assert epsilon_of([counts], 1e-12) == pytest.approx(1 / 2, rel=0.01)
    assert epsilon_of([counts], 1e-12, "replace-one") == pytest.approx(2 / 2, rel=0.01)


def test_together_mechanisms_have_more_than_each_and_less_than_the_sum():
    gradients, counts = Mechanism("gradients", 1.0, 0.02, 200), Mechanism("counts", 5.0)
    one, other, both = (epsilon_of(some, DELTA) for some in ([gradients], [counts], [gradients, counts]))
    assert max(one, other) < both < one + other


def test_the_noise_found_is_enough_and_a_little_less_is_not():
    counts, sought = Mechanism("counts", 20.0, noise="laplace"), Mechanism("sums", 64.0, times=40)
    found = noise_for(2.0, DELTA, sought, [counts])
    assert epsilon_of([Mechanism("sums", found, times=40), counts], DELTA) <= 2.0
    assert epsilon_of([Mechanism("sums", found * 0.98, times=40), counts], DELTA) > 2.0


def test_an_epsilon_out_of_reach_is_refused_with_the_least_that_is_not():
    sought = Mechanism("gradients", 4.0, 0.5, 100)
    with pytest.raises(InvalidInput, match=r"privacy.epsilon=0.1 cannot be reached.*least.*about (\S+)\. Set") as error:
        noise_for(0.1, DELTA, sought)
    least = float(str(error.value).split("about ")[1].split(". Set")[0])
    assert noise_for(least, DELTA, sought) <= 4.0


def test_an_unknown_relation_and_a_wrong_delta_are_refused():
    with pytest.raises(InvalidInput, match="swap"):
        epsilon_of([], DELTA, "swap")
    with pytest.raises(InvalidInput, match="privacy.delta"):
        epsilon_of([], 0.0)


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "dp_accounting.pld", None)
    module._privacy_loss.cache_clear()
    with pytest.raises(Unavailable, match=r"tfrec-bert\[privacy\]"):
        epsilon_of([Mechanism("sums", 3.21)], DELTA)
