"""Rules of one or two conditions: found among some users, and measured on others."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from tfrec.explanation.surrogate.proportions import lift_interval, share_interval

MOST = 12
"""Rules that are found: as many as one reads."""
OF_ONE_OUTCOME = 2
"""Rules with the same outcome, and rules with the same conditions."""
HOLDS_FOR = 0.5
"""A rule says "people with … get …", so it must be so for most of them."""


class Rule(NamedTuple):
    """Who has all of the conditions gets the outcome.

    Attributes:
        conditions: One or two columns of what users have.
        outcome: A column of what lists hold.
    """

    conditions: tuple[int, ...]
    outcome: int


class Fidelity(NamedTuple):
    """How often a rule is right.

    Attributes:
        users: People with the conditions.
        hits: Those of them that get the outcome.
        all_hits: All people that get it.
        agree: Low and high of the share that gets it of the people with the conditions, of 95%.
        lift: Low and high of what this is above the share of all, of 95% for all rules together.
    """

    users: int
    hits: int
    all_hits: int
    agree: tuple[float, float]
    lift: tuple[float, float]


def find_rules(has: np.ndarray, gets: np.ndarray, support: int) -> list[Rule]:
    """The rules that say most, best first: how many more users get the outcome than if the conditions did not matter.

    All pairs of conditions are tried ("weighted relative accuracy", Lavrač, Flach and Zupan 1999,
    https://doi.org/10.1007/3-540-48751-4_17). Of one outcome, rules share no condition: a pair is taken only where
    neither of its conditions says as much alone.

    Args:
        has: bool `[users, conditions]`.
        gets: bool `[users, outcomes]`.
        support: int. Fewest users with the conditions.

    Example:
        >>> has = np.array([[1, 1], [1, 0], [0, 1], [0, 0]], bool)
        >>> find_rules(has, has[:, :1], support=1)
        [Rule(conditions=(0,), outcome=0)]
    """
    users, outcomes = len(has), gets.astype(np.float32)
    all_hits = gets.sum(axis=0)
    found = []
    for first in range(has.shape[1]):
        both = has[:, first, None] & has[:, first:]  # the first column is that of one condition
        of, hits = both.sum(axis=0)[:, None], np.rint(both.T.astype(np.float32) @ outcomes).astype(int)
        above, _ = lift_interval(hits, of, all_hits, users)
        said = np.where(
            (of >= support) & (hits > HOLDS_FOR * of) & (above > 0), hits - of * all_hits / max(users, 1), 0
        )
        second, outcome = np.nonzero(said > 0)
        found += [
            (-round(float(said[pair]), 6), pair[0] > 0, first, first + int(pair[0]), int(pair[1]))
            for pair in zip(second, outcome)
        ]
    return _different([Rule((a, b) if b > a else (a,), outcome) for _, _, a, b, outcome in sorted(found)])


def measure_rules(rules: list[Rule], has: np.ndarray, gets: np.ndarray) -> list[Fidelity]:
    """How often rules are right of users that they were not found among.

    Args:
        rules: The rules.
        has: bool `[users, conditions]`.
        gets: bool `[users, outcomes]`.
    """
    measured = []
    for rule in rules:
        there, gotten = has[:, rule.conditions].all(axis=1), gets[:, rule.outcome]
        of, hits, all_hits = int(there.sum()), int((there & gotten).sum()), int(gotten.sum())
        counts = np.array(hits), np.array(of)
        agree = share_interval(*counts)
        lift = lift_interval(*counts, np.array(all_hits), len(has), 1 - 0.05 / len(rules))  # Bonferroni
        measured.append(Fidelity(of, hits, all_hits, _pair(agree), _pair(lift)))
    return measured


def holds(found: Fidelity) -> bool:
    """Whether a rule is right of most, and more often than the share of all by its interval."""
    return found.lift[0] > 0 and found.hits > HOLDS_FOR * found.users


def _different(ranked: list[Rule]) -> list[Rule]:
    """The first rules that are no variants of each other."""
    chosen: list[Rule] = []
    outcomes: Counter[int] = Counter()
    reasons: Counter[tuple[int, ...]] = Counter()
    for rule in ranked:
        if max(outcomes[rule.outcome], reasons[rule.conditions]) >= OF_ONE_OUTCOME:
            continue
        if any(rule.outcome == other.outcome and set(rule.conditions) & set(other.conditions) for other in chosen):
            continue
        chosen.append(rule)
        outcomes[rule.outcome] += 1
        reasons[rule.conditions] += 1
        if len(chosen) == MOST:
            break
    return chosen


def _pair(bounds: tuple[np.ndarray, np.ndarray]) -> tuple[float, float]:
    return float(bounds[0]), float(bounds[1])
