"""Noisy neighbours: a person adds a vector of norm 1, the noise is that of the multiplier, and few are noise alone."""

from itertools import combinations

import numpy as np
import pytest

from tests.privacy.test_noisy_counts import histories
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_neighbours import WINDOW, bounded_pairs, noisy_neighbours

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))


def everything(people):
    return np.ones(len(people.items), bool)


def pairs_of(row):
    """What one person adds, by a loop over their events."""
    added = {}
    for (i, one), (j, other) in combinations(enumerate(row), 2):
        if one != other and j - i <= WINDOW:
            pair = (min(one, other), max(one, other))
            added[pair] = added.get(pair, 0) + (j - i) ** -0.5
    norm = np.sqrt(sum(value**2 for value in added.values()))
    return {pair: value / norm for pair, value in added.items()}


def test_each_person_adds_near_pairs_of_norm_one():
    rng = np.random.default_rng(0)
    rows = [rng.integers(0, 9, length) for length in (2, 30, 7, 1)]
    expected = np.zeros((9, 9))
    for row in rows:
        for pair, value in pairs_of(row).items():
            expected[pair] += value
    keys, sums = bounded_pairs(histories(*rows), 9, everything(histories(*rows)))
    found = np.zeros(81)
    found[keys] = sums
    np.testing.assert_allclose(found.reshape(9, 9), expected, atol=1e-9)
    for row in rows[:3]:
        _, alone = bounded_pairs(histories(row), 9, everything(histories(row)))
        assert np.square(alone).sum() == pytest.approx(1) or len(set(row)) == 1


def test_events_that_do_not_count_keep_their_place():
    keys, sums = bounded_pairs(histories([0, 1, 2]), 3, np.array([True, False, True]))
    assert keys.tolist() == [0 * 3 + 2] and sums.tolist() == [1.0]


def test_what_many_people_have_is_found_both_ways_and_the_rest_is_hidden_in_noise():
    people = histories(*[[0, 1]] * 200, *[[2, 3]] * 100, *[[0, 2]] * 60, [4, 5])
    near, values = noisy_neighbours(people, 400, 2, 3.0, SOURCE, everything(people))
    assert near[:4].tolist() == [[1, 2], [0, -1], [3, 0], [2, -1]]
    assert values[0, 0] == pytest.approx(200, abs=12) and values[0, 0] == values[1, 0] and values[1, 1] == 0
    assert 5 not in near[4]
    assert (near[4:] >= 0).sum() <= 4


def test_of_the_pairs_that_are_kept_a_fifth_is_noise_alone():
    rng = np.random.default_rng(0)
    people = histories(*[[2 * i, 2 * i + 1] for i in rng.integers(0, 150, 1500)])  # 10 of each of 150 pairs
    near, _ = noisy_neighbours(people, 300, 300, 2.5, SOURCE, everything(people))
    one, other = np.nonzero(near >= 0)[0], near[near >= 0]
    false = (one // 2 != other // 2).mean()
    assert len(one) > 100 and 0.1 < false < 0.35
    none, _ = noisy_neighbours(people, 300, 300, 50.0, SOURCE, everything(people))
    assert (none < 0).all()


def test_the_noise_on_each_pair_has_the_deviation_of_the_ledger(monkeypatch):
    for name, every_positive_sum in (("_LEAST", 0.0), ("_FALSE_SHARE", 1e9)):
        monkeypatch.setattr(f"tfrec.privacy.noisy_neighbours.{name}", every_positive_sum)
    people = histories([0, 1])
    _, values = noisy_neighbours(people, 300, 299, 3.0, SOURCE, everything(people))
    positive = values[values > 0]
    assert np.sqrt(np.square(positive).mean()) == pytest.approx(3.0, rel=0.02)
    assert len(positive) == pytest.approx(300 * 299 / 2, rel=0.02)
