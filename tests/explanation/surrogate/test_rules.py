"""Rules: planted ones are found and measured, and where there are none, none is kept."""

from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from tfrec.explanation.surrogate.rules import Rule, find_rules, holds, measure_rules


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def noisy(truth, rng, rate=0.1):
    return truth ^ (rng.random(truth.shape) < rate)


def test_the_first_rule_is_the_one_that_most_more_users_follow(rng):
    has, gets = rng.random([300, 6]) < 0.4, rng.random([300, 4]) < 0.5
    gets[:, 2] |= has[:, 1] & has[:, 4]
    sets = [(a,) for a in range(6)] + list(combinations(range(6), 2))
    gains = {
        (conditions, outcome): gets[there, outcome].sum() - there.sum() * gets[:, outcome].mean()
        for conditions in sets
        for outcome in range(4)
        if (there := has[:, conditions].all(axis=1)).any()
    }
    assert tuple(find_rules(has, gets, support=20)[0]) == max(gains, key=gains.get) == ((1, 4), 2)


def test_a_pair_is_taken_only_where_neither_says_as_much_alone(rng):
    has = rng.random([400, 5]) < 0.5
    alone, together = noisy(has[:, 0], rng), noisy(has[:, 1] & has[:, 2], rng)
    found = find_rules(has, np.stack([alone, together], axis=1), support=20)
    assert Rule((0,), 0) in found and Rule((1, 2), 1) in found
    assert not any(len(rule.conditions) == 2 and 0 in rule.conditions and rule.outcome == 0 for rule in found)


def test_rules_are_no_variants_of_each_other(rng):
    same = rng.random([200, 1]) < 0.5
    has, gets = np.repeat(same, 5, axis=1), np.repeat(same, 9, axis=1)
    found = find_rules(has, gets, support=20)
    assert found[:2] == [Rule((0,), 0), Rule((0,), 1)]
    for outcome in range(9):
        conditions = [rule.conditions for rule in found if rule.outcome == outcome]
        assert len(conditions) <= 2 and len(set(sum(conditions, ()))) == len(sum(conditions, ()))


def test_few_users_and_few_hits_make_no_rule():
    has, gets = np.zeros([200, 1], bool), np.zeros([200, 1], bool)
    has[:30], gets[:15] = True, True
    assert find_rules(has, gets, support=20) == []  # right of half of them, which is not most
    gets[:16] = True
    assert find_rules(has, gets, support=20) and find_rules(has, gets, support=31) == []
    assert find_rules(has[:0], gets[:0], support=1) == find_rules(has[:, :0], gets, support=1) == []


def test_fidelity_is_counted_on_the_users_given():
    has = np.array([[1, 1], [1, 1], [1, 0], [0, 1], [0, 0], [0, 0]], bool)
    gets = np.array([[1], [0], [1], [0], [0], [1]], bool)
    both, one = measure_rules([Rule((0, 1), 0), Rule((0,), 0)], has, gets)
    assert both[:3] == (2, 1, 3) and one[:3] == (3, 2, 3)
    assert one.agree[0] < 2 / 3 < one.agree[1] and one.lift[0] < 2 / 3 - 3 / 6 < one.lift[1]
    assert not holds(one) and not holds(both)


def test_the_more_rules_are_measured_the_wider_are_their_lifts(rng):
    has, gets = rng.random([200, 1]) < 0.4, rng.random([200, 1]) < 0.6
    there, hit = has[:, 0], gets[:, 0]
    counts = (there & hit).sum(), there.sum(), (~there & hit).sum(), (~there).sum()
    for rules in (1, 10):
        found = measure_rules([Rule((0,), 0)] * rules, has, gets)[-1]
        between = confint_proportions_2indep(*counts, alpha=0.05 / rules, method="newcomb", compare="diff")
        assert_allclose(found.lift, np.array(between) * (~there).mean())
        assert_allclose(found.agree, proportion_confint(*counts[:2], method="wilson"))


def test_a_planted_rule_holds_and_chance_does_not(rng):
    kept = 0
    for _ in range(40):
        has, gets = rng.random([400, 12]) < 0.4, rng.random([400, 8]) < 0.6
        rules = find_rules(has[:200], gets[:200], support=20)
        kept += any(map(holds, measure_rules(rules, has[200:], gets[200:])))
    assert kept <= 4  # 2.5% of 40 samples are 1
    gets[:, 0] = noisy(has[:, 3], rng)
    (rule, *_) = rules = find_rules(has[:200], gets[:200], support=20)
    assert rule == Rule((3,), 0) and holds(measure_rules(rules, has[200:], gets[200:])[0])
