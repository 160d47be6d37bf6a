"""Interleaving is fair to random clicks, finds real preferences, and is more sensitive than an A/B test."""

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from tfrec import InvalidInput
from tfrec.experiments import interleaving_test, optimised, team_draft
from tfrec.experiments.interleaving import Interleaved


def test_teams_pick_their_best_item_and_stay_balanced():
    rng = np.random.default_rng(0)
    a, b = list(range(8)), [7, 1, 9, 0, 5, 3, 2, 6]
    for _ in range(200):
        found = team_draft(a, b, 6, rng)
        assert len(set(found.items)) == 6
        for n in range(1, 7):
            assert abs(sum(found.credits[:n])) <= 1
            ranking = b if found.credits[n - 1] > 0 else a
            above = found.items[: n - 1]
            assert found.items[n - 1] == next(item for item in ranking if item not in above)


def test_the_other_ranking_continues_after_a_short_one():
    found = team_draft(["x"], ["x", "y", "z"], 5, np.random.default_rng(1))
    assert found.items == ("x", "y", "z") and found.credits[1:] == (1.0, 1.0)


@pytest.mark.parametrize("seed", range(4))
def test_random_clickers_prefer_neither(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.permutation(9)[:6].tolist(), rng.permutation(9)[:6].tolist()
    lottery = optimised(a, b, 5)
    assert sum(lottery.probabilities) == pytest.approx(1)
    for n in range(1, 6):
        gives = sum(p * np.mean(shown.credits[:n]) for p, shown in zip(lottery.probabilities, lottery.lists))
        assert abs(gives) <= lottery.bias + 1e-6
    draft = [sum(team_draft(a, b, 5, rng).credits[:3]) for _ in range(4000)]
    assert abs(np.mean(draft)) < 4 * np.std(draft) / math.sqrt(4000)


def all_prefix_lists(a, b, k):
    found = set()
    for choices in itertools.product([a, b], repeat=k):
        row = []
        for side in choices:
            row.append(next(item for item in side if item not in row))
        found.add(tuple(row))
    return found


def test_lists_respect_prefixes_and_no_other_distribution_is_more_sensitive():
    a, b = [1, 2, 3, 4], [2, 4, 1, 3]
    lottery = optimised(a, b, 3)
    allowed = sorted(all_prefix_lists(a, b, 3))
    assert {shown.items for shown in lottery.lists} <= set(allowed)
    assert lottery.bias == 0
    # With three fairness constraints an optimal distribution mixes at most four lists: try all.
    credit = {row: [a.index(i) - b.index(i) for i in row] for row in allowed}

    def sensitivity(row):
        clicks = np.array([1, 1 / 2, 1 / 3]) / (11 / 6)
        sides = [sum(c for c, d in zip(clicks, credit[row]) if np.sign(d) == s) for s in (-1, 1)]
        return sum(-s * math.log2(s / sum(sides)) for s in sides if s)

    best = 0.0
    for size in range(1, 5):
        for chosen in itertools.combinations(allowed, size):
            rows = np.array([[np.mean(credit[row][:n]) for row in chosen] for n in (1, 2, 3)] + [[1.0] * size])
            p, *_ = np.linalg.lstsq(rows, [0, 0, 0, 1.0], rcond=None)
            if np.allclose(rows @ p, [0, 0, 0, 1]) and (p >= -1e-9).all():
                best = max(best, sum(x * sensitivity(row) for x, row in zip(p, chosen)))
    assert lottery.sensitivity == pytest.approx(best, abs=1e-6)


def test_equal_rankings_have_no_sensitivity():
    lottery = optimised([1, 2, 3], [1, 2, 3], 3)
    assert len(lottery.lists) == 1 and lottery.lists[0].credits == (0, 0, 0) and lottery.sensitivity == 0
    drawn = lottery.draw(np.random.default_rng(0))
    assert drawn.items == (1, 2, 3) and drawn.score([1, 3]) == 0


def test_every_user_counts_once():
    scores = np.array([5.0, 7.0, -1.0, -1.0, -2.0, 1.0, -1.0])
    users = ["busy", "busy", "a", "b", "c", "tie", "tie"]
    found = interleaving_test(scores, users, flips=20_000)
    assert (found["wins_b"], found["wins_a"], found["ties"], found["users"]) == (1, 3, 1, 5)
    assert found["mean_credit"] == pytest.approx((6 - 1 - 1 - 2 + 0) / 5)
    sums = [abs(np.dot(signs, [6, 1, 1, 2])) for signs in itertools.product([-1, 1], repeat=4)]
    assert found["p"] == pytest.approx(np.mean([value >= 2 for value in sums]), abs=0.015)


def simulate(rng, visits, way):
    """The p-value of one experiment: ranking B puts good items a little higher, and clicks favour the top."""
    appeal = rng.uniform(0.02, 0.3, 10)
    a = np.argsort(-(appeal + rng.normal(0, 0.12, 10))).tolist()
    b = np.argsort(-(appeal + rng.normal(0, 0.06, 10))).tolist()
    look = 0.8 ** np.arange(5)
    if way == "ab":
        clicks = [rng.binomial(1, appeal[ranking[:5]] * look, (visits // 2, 5)).sum(axis=1) for ranking in (a, b)]
        return stats.ttest_ind(clicks[1], clicks[0]).pvalue
    lottery = optimised(a, b, 5) if way == "optimised" else None
    scores = []
    for _ in range(visits):
        shown = lottery.draw(rng) if lottery else team_draft(a, b, 5, rng)
        clicked = rng.random(5) < appeal[list(shown.items)] * look
        scores.append(float(np.dot(shown.credits, clicked)))
    return interleaving_test(np.array(scores), range(visits), flips=199)["p"]


def test_interleaving_is_more_sensitive_than_an_a_b_test_with_as_many_visits():
    found = {}
    for way in ("ab", "team", "optimised"):
        rng = np.random.default_rng(7)
        found[way] = np.mean([simulate(rng, 400, way) <= 0.05 for _ in range(40)])
    assert found["team"] > found["ab"] + 0.15 and found["optimised"] > found["ab"] + 0.15


@pytest.mark.parametrize("way", ["team", "optimised"])
def test_false_positives_are_as_planned_if_clicks_depend_only_on_the_position(way):
    rng = np.random.default_rng(8)
    a, b = [1, 2, 3, 4, 5, 6], [3, 1, 6, 5, 2, 4]
    lottery = optimised(a, b, 5)
    wrong = 0
    for _ in range(300):
        shown = [lottery.draw(rng) if way == "optimised" else team_draft(a, b, 5, rng) for _ in range(80)]
        scores = [float(np.dot(each.credits, rng.random(5) < 0.4 * 0.7 ** np.arange(5))) for each in shown]
        wrong += interleaving_test(np.array(scores), range(80), flips=199)["p"] <= 0.05
    assert wrong / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_invalid_arguments_are_refused():
    rng = np.random.default_rng(0)
    for call, message in (
        (lambda: team_draft([], [1], 2, rng), "ranking a"),
        (lambda: team_draft([1], [2, 2], 2, rng), "ranking b"),
        (lambda: optimised([1], [2], 13), "1…12"),
        (lambda: Interleaved((1,), (1.0,)).score([2]), "not in the list"),
        (lambda: interleaving_test(np.array([]), []), "received"),
        (lambda: interleaving_test(np.array([np.nan]), ["u"]), "finite"),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()
