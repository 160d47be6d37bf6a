"""Two rankings in one list: the same user compares them, which needs far fewer users than an A/B test.

Team draft: Radlinski, Kurup and Joachims (2008). Optimised: Radlinski and Craswell (2013). It says which ranking is
preferred, not by how much a metric of the business moves: confirm with an A/B test.
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
    """A list to show, and what a click on each place says.

    Attributes:
        items: The list. credits: float, one a place: above 0 is for B, below 0 for A.
    """

    items: tuple[Any, ...]
    credits: tuple[float, ...]

    def score(self, clicked: Sequence[Any]) -> float:
        """The credits of the clicked items, summed: above 0 prefers B. Raises `InvalidInput` for items not shown."""
        missing = [item for item in clicked if item not in self.items]
        if missing:
            raise InvalidInput(f"{len(missing)} clicked items were not in the list, e.g. {missing[0]!r}.")
        return float(sum(self.credits[self.items.index(item)] for item in clicked))


def team_draft(a: Sequence[Hashable], b: Sequence[Hashable], k: int, rng: np.random.Generator) -> Interleaved:
    """Both sides pick their best item that is left, in rounds whose first pick is drawn by a coin.

    Args:
        a, b: Rankings, best first. k: Length of the list; shorter when both rankings run out.
        rng: The coin.

    Returns:
        Credits are −1 for an item that A picked, +1 for B's.

    Example:
        >>> sorted(team_draft("xy", "yx", 2, np.random.default_rng(0)).items)
        ['x', 'y']
    """
    sides = (_checked(a, "a"), _checked(b, "b"))
    items: list[Any] = []
    credits: list[float] = []
    counts = [0, 0]
    while len(items) < k:
        behind = counts[0] - counts[1]
        turn = int(rng.integers(2)) if behind == 0 else int(behind > 0)
        picked = next((item for item in sides[turn] if item not in items), None)
        if picked is None:  # this side has run out; the other goes on
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
    """A lottery over lists in which a random clicker prefers neither side and a real one is seen soonest.

    Attributes:
        lists: What may be shown. probabilities: Of each. sensitivity: Expected, see `optimised`.
        bias: Largest expected credit that a random clicker of some first places gives; 0 but for rankings for which
            no exact lottery exists.
    """

    lists: tuple[Interleaved, ...]
    probabilities: tuple[float, ...]
    sensitivity: float
    bias: float

    def draw(self, rng: np.random.Generator) -> Interleaved:
        """One list."""
        return self.lists[int(rng.choice(len(self.lists), p=self.probabilities))]


def optimised(a: Sequence[Hashable], b: Sequence[Hashable], k: int) -> OptimisedInterleaving:
    """The lottery over prefix-respecting lists that is fair to random clickers and most sensitive.

    A list grows by the best item left of A or of B, so the user sees nothing that neither would show. The credit of an
    item is its rank in A minus its rank in B (linear; an item not in a ranking has the rank after its end). Fair: for
    every n, a click on a random one of the first n places gives 0 on average. Sensitivity of a list: with clicks in
    proportion to 1/place, the share of clicks with a credit times the entropy (bits) of which side they are for; a
    linear programme finds the fair lottery with the most of it.

    Args:
        a, b: Rankings, best first. k: Length of the lists; up to 2ᵏ of them are considered, so at most 12.

    Example:
        >>> found = optimised("xy", "yx", 2)
        >>> [round(p, 3) for p in found.probabilities], found.bias
        ([0.5, 0.5], 0.0)
    """
    first, second = _checked(a, "a"), _checked(b, "b")
    if not 1 <= k <= 12:
        raise InvalidInput(f"Expected k in 1…12, received {k}.")
    places = {
        side: {item: rank for rank, item in enumerate(ranking, 1)} for side, ranking in enumerate((first, second))
    }
    rows = sorted(_prefix_lists(first, second, k), key=lambda row: [places[0].get(i, len(first) + 1) for i in row])
    credit = [
        [float(places[0].get(i, len(first) + 1) - places[1].get(i, len(second) + 1)) for i in row] for row in rows
    ]
    table = np.array(credit)
    probabilities, bias = _lottery(table)
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


def _lottery(credit: np.ndarray) -> tuple[np.ndarray, float]:
    """Probabilities of the lists, and the bias that could not be avoided."""
    try:
        from scipy.optimize import linprog
    except ImportError:
        raise Unavailable(
            "Optimised interleaving needs SciPy. Install it: pip install 'tfrec-bert[experiments]'"
        ) from None
    lists, length = credit.shape
    means = (credit.cumsum(axis=1) / np.arange(1, length + 1)).T
    # First the smallest bias t with |means · p| ≤ t, then the most sensitive lottery within it.
    one, column = np.ones((1, lists)), -np.ones((2 * length, 1))
    both = np.vstack([means, -means])
    least = linprog(
        [*np.zeros(lists), 1.0],
        A_ub=np.hstack([both, column]),
        b_ub=np.zeros(2 * length),
        A_eq=np.hstack([one, [[0.0]]]),
        b_eq=[1.0],
    )
    bias = max(float(least.x[-1]), 0.0)
    bias = 0.0 if bias < 1e-9 else bias
    best = linprog(
        -_sensitivity(credit), A_ub=both, b_ub=np.full(2 * length, bias + 1e-9), A_eq=one, b_eq=[1.0], bounds=(0, 1)
    )
    return np.clip(best.x if best.success else least.x[:-1], 0, 1), bias


def interleaving_test(
    scores: np.ndarray, users: Sequence[Any] | np.ndarray, *, flips: int = 10_000, seed: int = 0
) -> dict[str, float]:
    """Whether users prefer B: the mean credit, where a user's is that of their lists, so that nobody counts twice.

    The size of the credits counts, not only their sign: a fair lottery gives a random clicker a mean of 0, but may give
    one side many small credits and the other few large ones.

    Args:
        scores: float `[lists]`, of `Interleaved.score`, one for each list shown.
        users: `[lists]`, who saw it.
        flips: int. seed: int. Of the sign-flip permutation test over users; like a t-test it needs some dozens of users
            when credits are skewed.

    Returns:
        mean_credit (above 0 prefers B), p (two-sided), users, and for reading only: wins_a, wins_b, ties (users).

    Raises:
        InvalidInput: nothing shown, or other lengths.

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


def _checked(ranking: Sequence[Any], name: str) -> list[Any]:
    items = list(ranking)
    if not items or len(set(items)) < len(items):
        raise InvalidInput(
            f"Expected distinct items in ranking {name}, received {len(items)}, {len(set(items))} distinct."
        )
    return items
