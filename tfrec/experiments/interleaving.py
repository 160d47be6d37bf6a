"""Interleaving: mixes two rankings into one list, so that each user compares both.

It needs far fewer users than an A/B test, but it only tells which ranking users prefer, not how a business metric
changes: confirm the result with an A/B test. Team draft: Radlinski, Kurup and Joachims (2008). Optimised: Radlinski and
Craswell (2013).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput, Unavailable
from tfrec.evaluation.significance import paired_permutation


@dataclass(frozen=True)
class Interleaved:
    """An interleaved list, with the credit of a click on each position.

    Attributes:
        items: The list to show.
        credits: float, one per position: above 0 in favour of B, below 0 in favour of A.
    """

    items: tuple[Any, ...]
    credits: tuple[float, ...]

    def score(self, clicked: Sequence[Any]) -> float:
        """Sum of the credits of the clicked items; above 0 prefers B.

        Raises:
            InvalidInput: A clicked item is not in the list.
        """
        missing = [item for item in clicked if item not in self.items]
        if missing:
            raise InvalidInput(f"{len(missing)} clicked items were not in the list, e.g. {missing[0]!r}.")
        return float(sum(self.credits[self.items.index(item)] for item in clicked))


def team_draft(a: Sequence[Hashable], b: Sequence[Hashable], k: int, rng: np.random.Generator) -> Interleaved:
    """Team-draft interleaving: in each round, in random order, both rankings add their best item that is left.

    Args:
        a: Ranking A, best first, distinct items.
        b: Ranking B, best first, distinct items.
        k: int. Length of the list; it is shorter if both rankings run out.
        rng: Random generator for the order in each round.

    Returns:
        The list, with credit −1 for the items that A added and +1 for those of B.

    Example:
        >>> sorted(team_draft("xy", "yx", 2, np.random.default_rng(0)).items)
        ['x', 'y']
    """
    sides = (_distinct(a, "a"), _distinct(b, "b"))
    items: list[Any] = []
    credits: list[float] = []
    counts = [0, 0]
    while len(items) < k:
        lead = counts[0] - counts[1]
        turn = int(rng.integers(2)) if lead == 0 else int(lead > 0)
        picked = next((item for item in sides[turn] if item not in items), None)
        if picked is None:  # this ranking has run out; the other continues
            turn = 1 - turn
            picked = next((item for item in sides[turn] if item not in items), None)
            if picked is None:
                break
        items.append(picked)
        credits.append(1.0 if turn else -1.0)
        counts[turn] += 1
    return Interleaved(tuple(items), tuple(credits))


@dataclass(frozen=True)
class OptimisedInterleaving:
    """A distribution over interleaved lists that is unbiased for random clicks and most sensitive to real ones.

    Attributes:
        lists: The lists that may be shown.
        probabilities: The probability of each list.
        sensitivity: Expected sensitivity (see `optimised`).
        bias: Largest expected credit of a random click on the first n positions, over all n. It is 0 unless no exactly
            fair distribution exists for these rankings.
    """

    lists: tuple[Interleaved, ...]
    probabilities: tuple[float, ...]
    sensitivity: float
    bias: float

    def draw(self, rng: np.random.Generator) -> Interleaved:
        """Draws one list."""
        return self.lists[int(rng.choice(len(self.lists), p=self.probabilities))]


def optimised(a: Sequence[Hashable], b: Sequence[Hashable], k: int) -> OptimisedInterleaving:
    """Optimised interleaving: the fair distribution over lists with the highest sensitivity.

    Each list is built by repeatedly adding the best remaining item of A or of B, so that it shows only what one of them
    would show. The credit of an item is its rank in A minus its rank in B (linear credit; an item that is not in a
    ranking has the rank after its end). The distribution is fair: for every n, a click on a random position among the
    first n has an expected credit of 0. The sensitivity of a list assumes clicks in proportion to 1 / position; it is
    the share of clicks with a credit, times the entropy (bits) of which side they favour. A linear programme finds the
    fair distribution with the highest expected sensitivity.

    Args:
        a: Ranking A, best first, distinct items.
        b: Ranking B, best first, distinct items.
        k: int in 1…12. Length of the lists; up to 2ᵏ lists are considered.

    Raises:
        InvalidInput: An empty ranking, repeated items, or k outside 1…12.
        Unavailable: SciPy is not installed.

    Example:
        >>> result = optimised("xy", "yx", 2)
        >>> [round(p, 3) for p in result.probabilities], result.bias
        ([0.5, 0.5], 0.0)
    """
    first, second = _distinct(a, "a"), _distinct(b, "b")
    if not 1 <= k <= 12:
        raise InvalidInput(f"Expected k in 1…12, received {k}.")
    rank_a, rank_b = ({item: rank for rank, item in enumerate(ranking, 1)} for ranking in (first, second))
    rows = sorted(_prefix_lists(first, second, k), key=lambda row: [rank_a.get(i, len(first) + 1) for i in row])
    credit = [[float(rank_a.get(i, len(first) + 1) - rank_b.get(i, len(second) + 1)) for i in row] for row in rows]
    table = np.array(credit)
    probabilities, bias = _fair_distribution(table)
    kept = np.flatnonzero(probabilities > 1e-9)
    weights = probabilities[kept] / probabilities[kept].sum()
    return OptimisedInterleaving(
        lists=tuple(Interleaved(tuple(rows[i]), tuple(credit[i])) for i in kept),
        probabilities=tuple(float(w) for w in weights),
        sensitivity=float(_sensitivity(table)[kept] @ weights),
        bias=bias,
    )


def _prefix_lists(a: Sequence[Any], b: Sequence[Any], k: int) -> set[tuple[Any, ...]]:
    length = min(k, len(set(a) | set(b)))
    lists: set[tuple[Any, ...]] = {()}
    for _ in range(length):
        grown = set()
        for row in lists:
            for side in (a, b):
                item = next((item for item in side if item not in row), None)
                if item is not None:
                    grown.add((*row, item))
        lists = grown
    return lists


def _sensitivity(credit: np.ndarray) -> np.ndarray:
    clicks = 1 / np.arange(1, credit.shape[1] + 1)
    clicks = clicks / clicks.sum()
    for_a, for_b = (clicks * (credit < 0)).sum(axis=1), (clicks * (credit > 0)).sum(axis=1)
    either = np.maximum(for_a + for_b, 1e-300)
    bits = np.zeros(len(credit))
    for share in (for_a / either, for_b / either):
        bits -= np.where(share > 0, share * np.log2(np.where(share > 0, share, 1)), 0)
    return (for_a + for_b) * bits


def _fair_distribution(credit: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities of the lists, and the bias that cannot be avoided."""
    try:
        from scipy.optimize import linprog
    except ImportError:
        raise Unavailable(
            "Optimised interleaving needs SciPy. Install it: pip install 'tfrec-bert[experiments]'"
        ) from None
    lists, length = credit.shape
    means = (credit.cumsum(axis=1) / np.arange(1, length + 1)).T
    # First find the smallest bias t with |means · p| ≤ t, then the most sensitive distribution with this bias.
    ones, column = np.ones((1, lists)), -np.ones((2 * length, 1))
    both = np.vstack([means, -means])
    least = linprog(
        [*np.zeros(lists), 1.0],
        A_ub=np.hstack([both, column]),
        b_ub=np.zeros(2 * length),
        A_eq=np.hstack([ones, [[0.0]]]),
        b_eq=[1.0],
    )
    bias = max(float(least.x[-1]), 0.0)
    bias = 0.0 if bias < 1e-9 else bias
    best = linprog(
        -_sensitivity(credit), A_ub=both, b_ub=np.full(2 * length, bias + 1e-9), A_eq=ones, b_eq=[1.0], bounds=(0, 1)
    )
    return np.clip(best.x if best.success else least.x[:-1], 0, 1), bias


def interleaving_test(
    scores: np.ndarray, users: Sequence[Any] | np.ndarray, *, flips: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Tests whether users prefer A or B, by the mean over users of each user's mean credit.

    The test uses the size of the credits, not only their sign: a fair distribution gives random clicks a mean credit of
    0, but it may give one side many small credits and the other a few large ones.

    Args:
        scores: float `[lists]`, `Interleaved.score` of each list shown.
        users: `[lists]`, the user who saw each list.
        flips: int. Number of sign flips of the permutation test over users. Like a t-test, it needs a few dozen users
            if credits are skewed.
        seed: int. Seed of the permutation test.

    Returns:
        mean_credit (above 0 prefers B), p (two-sided), users, and as descriptive counts of users wins_a, wins_b, ties.

    Raises:
        InvalidInput: No lists, different lengths, or scores that are not finite.

    Example:
        >>> interleaving_test(np.array([1.0, 1.0, -1.0]), ["u", "v", "w"])["wins_b"]
        2.0
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or len(scores) != len(users) or not len(scores) or not np.isfinite(scores).all():
        raise InvalidInput(f"Expected finite scores and users [lists], received {scores.shape} and {len(users)} users.")
    table = pl.DataFrame({schema.USER_ID: pl.Series([str(user) for user in users]), "score": scores})
    means = table.group_by(schema.USER_ID, maintain_order=True).agg(pl.col("score").mean())["score"].to_numpy()
    return {
        "mean_credit": float(means.mean()),
        "p": float(paired_permutation(means[:, None], flips=flips, seed=seed)[0]),
        "users": float(len(means)),
        **{name: float((np.sign(means) == sign).sum()) for name, sign in (("wins_a", -1), ("wins_b", 1), ("ties", 0))},
    }


def _distinct(ranking: Sequence[Any], name: str) -> list[Any]:
    items = list(ranking)
    if not items or len(set(items)) < len(items):
        raise InvalidInput(
            f"Expected distinct items in ranking {name}, received {len(items)} items, {len(set(items))} distinct."
        )
    return items
