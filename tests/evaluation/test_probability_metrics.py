"""Probability metrics against loops over pairs and arithmetic by hand."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfrec import InvalidInput
from tfrec.evaluation import evaluate_probabilities

PAIRS = st.lists(st.tuples(st.booleans(), st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.7, 1.0])), min_size=1, max_size=30)


@given(PAIRS)
@settings(deadline=None)
def test_auc_is_the_share_of_pairs_in_the_right_order(pairs):
    labels, given_ = zip(*pairs)
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for y, p in pairs if y for z, n in pairs if not z]
    found = evaluate_probabilities(labels, given_)["auc"]
    assert math.isnan(found) if not wins else found == pytest.approx(sum(wins) / len(wins))


@given(PAIRS)
@settings(deadline=None)
def test_losses_and_calibration_equal_loops(pairs):
    found = evaluate_probabilities(*zip(*pairs), bins=4)
    assert found["brier"] == pytest.approx(sum((p - y) ** 2 for y, p in pairs) / len(pairs))
    kept = [(y, min(max(p, 1e-7), 1 - 1e-7)) for y, p in pairs]
    expected = -sum(math.log(p) if y else math.log(1 - p) for y, p in kept) / len(pairs)
    assert found["log_loss"] == pytest.approx(expected)
    bins = {}
    for y, p in pairs:
        bins.setdefault(min(int(p * 4), 3), []).append((y, p))
    gaps = [abs(sum(y for y, _ in b) - sum(p for _, p in b)) for b in bins.values()]
    assert found["ece"] == pytest.approx(sum(gaps) / len(pairs))
    assert [row["count"] for row in found["calibration"]] == [len(bins[b]) for b in sorted(bins)]


def test_one_bin_by_hand():
    found = evaluate_probabilities([1, 0, 0, 1], [0.9, 0.92, 0.1, 0.98])
    assert found["calibration"][1] == {
        "low": 0.9,
        "high": 1.0,
        "count": 3,
        "probability": pytest.approx((0.9 + 0.92 + 0.98) / 3),
        "positive_rate": pytest.approx(2 / 3),
    }
    assert found["auc"] == 0.75


def test_a_confident_mistake_has_a_finite_loss():
    assert evaluate_probabilities([1], [0.0])["log_loss"] == pytest.approx(-math.log(1e-7))


def test_a_perfect_forecast_has_no_loss():
    found = evaluate_probabilities([0, 1], [0.0, 1.0])
    assert (found["auc"], found["brier"], found["ece"]) == (1, 0, 0)
    assert found["log_loss"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    "labels, given_, message",
    [
        ([], [], "n > 0"),
        ([0, 1], [0.5], "received"),
        ([0, 2], [0.5, 0.5], "labels 0 and 1"),
        ([0, 1], [0.5, 1.2], "sigmoid"),
        ([0, 1], [0.5, np.nan], "NaN"),
    ],
)
def test_invalid_input_is_refused(labels, given_, message):
    with pytest.raises(InvalidInput, match=message):
        evaluate_probabilities(labels, given_)
