"""Lower bounds on ε, membership, and a broken clip that an audit catches."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
from sklearn.metrics import roc_auc_score

from tfrec.errors import InvalidInput
from tfrec.privacy import clipped_gradients, clipping_audit
from tfrec.privacy.clipping_audit import audit_clipping
from tfrec.privacy.lower_bound import epsilon_lower_bound, guesses_of, membership_auc
from tfrec.privacy.noise_source import NoiseSource


def test_the_bound_is_that_of_the_binomial_tail_without_delta():
    # 60 of 80 right: by randomized response with p = e^ε / (1 + e^ε) this has a chance of 5% at the bound
    bound = epsilon_lower_bound(60, 80, 100, delta=0.0)
    draws = np.random.default_rng(0).binomial(80, 1 / (1 + np.exp(-bound)), 400_000)
    assert (draws >= 60).mean() == pytest.approx(0.05, abs=0.002) and bound > 0.5


def test_delta_and_luck_lower_the_bound():
    assert epsilon_lower_bound(42, 80, 80, delta=1e-5) == 0
    without, with_delta = (epsilon_lower_bound(80, 80, 1000, delta) for delta in (0.0, 1e-6))
    assert 0 < with_delta < without
    assert epsilon_lower_bound(80, 80, 1000, 1e-6, confidence=0.99) < with_delta
    with pytest.raises(InvalidInput, match="9, 8, 100"):
        epsilon_lower_bound(9, 8, 100)


def test_a_training_that_keeps_to_epsilon_is_accused_in_one_of_twenty_audits_at_most():
    rng, epsilon = np.random.default_rng(1), 1.0
    accused = 0
    for _ in range(300):  # randomized response has exactly ε
        included = rng.random(100) < 0.5
        answers = np.where(rng.random(100) < 1 / (1 + np.exp(-epsilon)), included, ~included)
        correct, guesses = guesses_of(answers + 0.01 * rng.random(100), included, share=0.25)
        accused += epsilon_lower_bound(correct, guesses, 100, 0.0) > epsilon
    assert accused / 300 < 0.08


def test_guesses_are_about_the_highest_and_the_lowest():
    scores = np.array([9.0, 1.0, 5.0, 0.0, 5.0, 5.0, 5.0, 8.0])
    included = np.array([True, True, False, False, False, False, False, True])
    assert guesses_of(scores, included) == (3, 4)  # 9 and 8 are in; 0 is out, and 1 is not


def test_the_auc_is_that_of_scikit_learn_and_its_interval_covers():
    rng = np.random.default_rng(0)
    members, others = np.round(rng.normal(0.3, 1, 80), 1), np.round(rng.normal(0, 1, 60), 1)
    found = membership_auc(members, others)
    labels = np.r_[np.ones(80), np.zeros(60)]
    assert found["auc"] == pytest.approx(roc_auc_score(labels, np.r_[members, others]))
    covered = 0
    for _ in range(300):
        one = membership_auc(rng.normal(0, 1, 80), rng.normal(0, 1, 60))
        covered += one["low"] <= 0.5 <= one["high"]
    assert covered / 300 > 0.9


def audited(multiplier=2.0, seed=0):
    return audit_clipping(1e-5, multiplier=multiplier, source=NoiseSource(bytes([seed] * 32)))


@pytest.fixture(autouse=True)
def cryptography():
    pytest.importorskip("cryptography")


def test_the_code_that_clips_and_adds_noise_passes(dp_accounting):
    report = audited()
    assert report["passed"] and 0.2 < report["lower_bound"] < report["epsilon"] < 2.5


def test_a_broken_clip_is_caught(dp_accounting, monkeypatch):
    monkeypatch.setattr(clipped_gradients, "_BELOW", 1e9)  # nothing is ever scaled down
    report = audited()
    assert not report["passed"] and report["lower_bound"] > 2 * report["epsilon"]


def test_noise_of_a_tenth_is_caught(dp_accounting, monkeypatch):
    noisy = clipping_audit.with_noise
    monkeypatch.setattr(clipping_audit, "with_noise", lambda sums, noise, deviation: noisy(sums, noise, deviation / 10))
    assert not audited()["passed"]
