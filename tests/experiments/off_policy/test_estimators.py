"""Off-policy estimates against loops, and against the known truth of simulated logs."""

import math

import numpy as np
import pytest

from tfrec import InvalidInput
from tfrec.experiments import (
    epsilon_greedy_policy,
    model_value,
    off_policy,
    sample_actions,
    slate_off_policy,
    softmax_policy,
    thompson_policy,
)

ACTIONS = 5


def small(seed=0, rows=40):
    rng = np.random.default_rng(seed)
    return rng.random(rows), rng.uniform(0.1, 1, rows), rng.random(rows), rng.random(rows), rng.random(rows)


def test_estimators_equal_loops():
    r, p, t, m, v = small()
    rows = range(len(r))
    w = [t[i] / p[i] for i in rows]
    clipped = [min(x, 2.0) for x in w]
    n = len(r)
    expected = {
        ("ips", None): sum(w[i] * r[i] for i in rows) / n,
        ("ips", 2.0): sum(clipped[i] * r[i] for i in rows) / n,
        ("snips", None): sum(w[i] * r[i] for i in rows) / sum(w),
        ("snips", 2.0): sum(clipped[i] * r[i] for i in rows) / sum(clipped),
        ("dr", None): sum(v[i] + w[i] * (r[i] - m[i]) for i in rows) / n,
        ("switch-dr", None): sum(v[i] + (w[i] * (r[i] - m[i]) if w[i] <= 1.5 else 0) for i in rows) / n,
    }
    for (name, clip), value in expected.items():
        found = off_policy(r, p, t, estimator=name, clip=clip, logged_model=m, target_model=v, switch=1.5)
        assert found.value == pytest.approx(value), (name, clip)
    found = off_policy(r, p, t, estimator="ips", clip=2.0)
    assert found.effective_sample_size == pytest.approx(sum(clipped) ** 2 / sum(x * x for x in clipped))
    assert found.max_weight == max(w) and found.clipped == pytest.approx(sum(x > 2 for x in w) / n)
    assert found.high - found.value == pytest.approx(1.959964 * found.standard_error)


def test_the_error_of_snips_equals_a_jackknife():
    r, p, t, _, _ = small(1, 400)
    w = t / p
    without = [(np.delete(w, i) @ np.delete(r, i)) / np.delete(w, i).sum() for i in range(len(r))]
    jackknife = math.sqrt((len(r) - 1) * np.var(without))
    assert off_policy(r, p, t).standard_error == pytest.approx(jackknife, rel=0.03)


def world(rng, rows):
    """Contexts with click probabilities, a logging policy and another target policy."""
    truth = 1 / (1 + np.exp(-rng.normal(-1, 1, (rows, ACTIONS))))
    guess = np.clip(truth + rng.normal(0, 0.2, truth.shape), 0, 1)
    logging = softmax_policy(guess, 0.5)
    target = epsilon_greedy_policy(np.clip(truth + rng.normal(0, 0.1, truth.shape), 0, 1), 0.2)
    return truth, logging, target


@pytest.mark.parametrize("estimator", ["ips", "snips", "dr", "switch-dr"])
def test_estimates_are_close_to_the_truth_and_intervals_cover_it(estimator):
    rng = np.random.default_rng(2)
    errors, covered, runs = [], 0, 200
    for _ in range(runs):
        truth, logging, target = world(rng, 1000)
        actions, chances = sample_actions(logging, rng)
        rewards = (rng.random(1000) < truth[np.arange(1000), actions]).astype(float)
        model = np.full(truth.shape, 0.3) if estimator == "dr" else truth  # dr is right even with a poor model
        found = off_policy(
            rewards,
            chances,
            target[np.arange(1000), actions],
            estimator=estimator,
            logged_model=model[np.arange(1000), actions],
            target_model=model_value(model, target),
            switch=6.0,
        )
        value = (truth * target).sum(axis=1).mean()
        errors.append(found.value - value)
        covered += found.low <= value <= found.high
        assert not found.warnings or estimator == "switch-dr"
    assert abs(np.mean(errors)) < 4 * np.std(errors) / math.sqrt(runs)
    assert covered / runs > 0.95 - 3.5 * math.sqrt(0.95 * 0.05 / runs)


def test_a_good_model_narrows_the_interval():
    rng = np.random.default_rng(3)
    truth, logging, target = world(rng, 4000)
    actions, chances = sample_actions(logging, rng)
    at = np.arange(4000), actions
    rewards = truth[at] + rng.normal(0, 0.02, 4000)
    ips = off_policy(rewards, chances, target[at], estimator="ips")
    dr = off_policy(rewards, chances, target[at], estimator="dr", logged_model=truth[at],
                    target_model=model_value(truth, target))  # fmt: skip
    assert dr.standard_error < ips.standard_error / 3


def test_slates_equal_loops():
    rng = np.random.default_rng(4)
    r, p, t = rng.random((20, 3)), rng.uniform(0.2, 1, (20, 3)), rng.random((20, 3))
    expected = {"independent": 0.0, "reward-interaction": 0.0, "standard": 0.0}
    for i in range(20):
        whole = math.prod(t[i, j] / p[i, j] for j in range(3))
        product = 1.0
        for j in range(3):
            product *= t[i, j] / p[i, j]
            expected["independent"] += t[i, j] / p[i, j] * r[i, j] / 20
            expected["reward-interaction"] += product * r[i, j] / 20
            expected["standard"] += whole * r[i, j] / 20
    for name, value in expected.items():
        assert slate_off_policy(r, p, t, interaction=name).value == pytest.approx(value)
    one = slate_off_policy(r[:, :1], p[:, :1], t[:, :1], self_normalised=True, clip=2.0)
    assert one.value == pytest.approx(off_policy(r[:, 0], p[:, 0], t[:, 0], clip=2.0).value)


def test_slate_estimates_are_right_if_users_stop_at_the_first_click():
    """Users look from the top until the first click: reward-interaction is right, independent is not."""
    rng = np.random.default_rng(5)
    attraction = np.array([0.1, 0.3, 0.6])
    logging, target = np.array([0.5, 0.3, 0.2]), np.array([0.1, 0.3, 0.6])
    rows, places = 60_000, 3
    shown = rng.choice(3, (rows, places), p=logging)
    clicks = np.zeros((rows, places))
    reading = np.ones(rows, bool)
    for place in range(places):
        clicked = reading & (rng.random(rows) < attraction[shown[:, place]])
        clicks[:, place] = clicked
        reading &= ~clicked
    clicked_chance = attraction @ target
    truth = 1 - (1 - clicked_chance) ** places
    cascade = slate_off_policy(clicks, logging[shown], target[shown], interaction="reward-interaction")
    assert abs(cascade.value - truth) < 4 * cascade.standard_error
    wrong = slate_off_policy(clicks, logging[shown], target[shown])
    assert abs(wrong.value - truth) > 4 * wrong.standard_error
    whole = slate_off_policy(clicks, logging[shown], target[shown], interaction="standard")
    assert abs(whole.value - truth) < 4 * whole.standard_error
    assert whole.standard_error > cascade.standard_error


def test_policies_are_probabilities():
    scores = np.array([[1.0, 2.0, -np.inf], [0.0, 0.0, 0.0]])
    soft, greedy = softmax_policy(scores, 2.0), epsilon_greedy_policy(scores, 0.3)
    weights = [math.exp(0.5), math.exp(1.0)]
    assert soft[0].tolist() == pytest.approx([weights[0] / sum(weights), weights[1] / sum(weights), 0])
    assert greedy[0].tolist() == pytest.approx([0.15, 0.85, 0]) and greedy[1].tolist() == pytest.approx([0.8, 0.1, 0.1])
    assert soft.sum(axis=1).tolist() == pytest.approx([1, 1])
    # Two actions with the same record are equally likely the best; the third was hardly tried.
    chances = thompson_policy(np.array([10, 10, 0]), np.array([50, 50, 0]), draws=20_000)
    assert chances.sum() == pytest.approx(1) and chances[0] == pytest.approx(chances[1], abs=0.02)
    beta = np.random.default_rng(9)
    draws = np.column_stack([beta.beta(11, 41, 50_000), beta.beta(11, 41, 50_000), beta.beta(1, 1, 50_000)])
    assert chances[2] == pytest.approx((draws.argmax(axis=1) == 2).mean(), abs=0.015)


def test_actions_are_drawn_with_their_probabilities():
    chances = np.tile([0.2, 0.0, 0.8], (20_000, 1))
    actions, propensities = sample_actions(chances, np.random.default_rng(6))
    counts = np.bincount(actions, minlength=3) / 20_000
    assert counts[1] == 0 and abs(counts[0] - 0.2) < 4 * math.sqrt(0.16 / 20_000)
    assert propensities.tolist() == [0.2 if action == 0 else 0.8 for action in actions]


def test_doubtful_estimates_have_warnings():
    rng = np.random.default_rng(7)
    rows = 5000
    chances = np.where(rng.random(rows) < 0.999, 0.999, 0.001)
    far = off_policy(rng.random(rows), chances, np.where(chances < 0.5, 1.0, 0.0))
    assert any("rows contribute" in warning for warning in far.warnings)
    wrong = off_policy(rng.random(rows), np.full(rows, 0.9), np.full(rows, 0.5))
    assert any("expected 1" in warning for warning in wrong.warnings)
    cut = off_policy(rng.random(rows), np.full(rows, 0.1), np.where(rng.random(rows) < 0.1, 1.0, 0.0), clip=2.0)
    assert any("were clipped" in warning for warning in cut.warnings)


@pytest.mark.parametrize(
    "place, value, message",
    [
        (1, 0.0, "1 of 40 values of propensities are outside"),
        (1, 1.5, "1 of 40 values of propensities are outside"),
        (2, -0.1, "1 of 40 values of target are outside"),
        (0, math.nan, "1 of 40 values of rewards are NaN"),
    ],
)
def test_impossible_values_are_counted(place, value, message):
    arrays = [array.copy() for array in small()[:3]]
    arrays[place][3] = value
    with pytest.raises(InvalidInput, match=message):
        off_policy(*arrays)


def test_missing_or_invalid_arguments_are_named():
    r, p, t, _, _ = small()
    for call, message in (
        (lambda: off_policy(r, p, t[:5]), "one shape"),
        (lambda: off_policy(r, p, t, estimator="dr"), "logged_model"),
        (lambda: off_policy(r, p, t, estimator="magic"), "magic"),
        (lambda: off_policy(r, p, np.zeros(40)), "none of the logged actions"),
        (lambda: slate_off_policy(r[:, None], p[:, None], t[:, None], interaction="x"), "'x'"),
        (lambda: softmax_policy(np.zeros((1, 2)), 0), "temperature"),
        (lambda: softmax_policy(np.array([[np.nan, 1]])), "NaN"),
        (lambda: epsilon_greedy_policy(np.zeros((1, 2)), 2), "epsilon"),
        (lambda: thompson_policy(np.array([3]), np.array([2])), "more clicks"),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()
