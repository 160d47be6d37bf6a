"""What the guesses of an auditor prove about ε: a lower bound, from canaries that were in a training or not."""

from __future__ import annotations

import numpy as np

from tfrec.errors import InvalidInput


def epsilon_lower_bound(
    correct: int, guesses: int, canaries: int, delta: float = 1e-5, confidence: float = 0.95
) -> float:
    """The ε that a training exceeds, if so many guesses about its canaries are right (Steinke, Nasr & Jagielski 2023).

    Each canary was in the training with probability 1/2, independently of all others, so one training is enough
    (https://arxiv.org/abs/2305.08846, theorem 5.2). A bound of 0 proves nothing: a better attack may find more.

    Args:
        correct: Guesses that are right.
        guesses: Canaries about which there is a guess.
        canaries: Canaries in all.
        delta: float. The δ of the ε that is tested.
        confidence: float in (0, 1). Probability with which the bound holds.

    Raises:
        InvalidInput: There are more right guesses than guesses, or more of them than canaries.

    Example:
        >>> round(epsilon_lower_bound(100, 100, 100, delta=0.0), 2)  # all right: 0.05 = p^100, and ε = log(p / (1 − p))
        3.49
    """
    if not 0 <= correct <= guesses <= canaries:
        raise InvalidInput(
            f"Expected at most as many right guesses as guesses as canaries; received {correct}, {guesses}, {canaries}."
        )
    low, high = 0.0, 50.0
    if _chance(0.0, correct, guesses, canaries, delta) > 1 - confidence:
        return 0.0
    while high - low > 1e-4:
        middle = (low + high) / 2
        unlikely = _chance(middle, correct, guesses, canaries, delta) <= 1 - confidence
        low, high = (middle, high) if unlikely else (low, middle)
    return low


def _chance(epsilon: float, correct: int, guesses: int, canaries: int, delta: float) -> float:
    """The most that the probability of so many right guesses can be, in a training with ε and δ."""
    from scipy.stats import binom

    probability = 1 / (1 + np.exp(-epsilon))
    exact = float(binom.sf(correct - 1, guesses, probability))
    if not correct or not delta:
        return min(exact, 1.0)
    fewer = np.arange(1, correct + 1)
    within = np.cumsum(binom.pmf(correct - fewer, guesses, probability))
    return float(min(exact + 2 * canaries * delta * (within / fewer).max(), 1.0))


def guesses_of(scores: np.ndarray, included: np.ndarray, share: float = 0.25) -> tuple[int, int]:
    """How many guesses are right, of how many: the canaries with the highest scores are guessed in, the lowest out.

    Args:
        scores: float `[canaries]`, higher for a canary that is more likely in.
        included: bool `[canaries]`, whether it was.
        share: float in (0, 0.5]. Share of the canaries guessed in, and as many out. About the others there is none.
    """
    order, count = np.argsort(-scores, kind="stable"), max(1, int(share * len(scores)))
    correct = included[order[:count]].sum() + (~included[order[-count:]]).sum()
    return int(correct), 2 * count


def membership_auc(members: np.ndarray, others: np.ndarray) -> dict[str, float]:
    """How well scores tell members from others: the area under the ROC curve, 0.5 for not at all.

    Args:
        members: float `[n]`, scores of people who were in the training.
        others: float `[m]`, scores of people who were not.

    Returns:
        auc, and low and high, its 95% interval (DeLong et al. 1988).

    Example:
        >>> membership_auc(np.array([3.0, 2.0]), np.array([1.0, 2.0]))["auc"]
        0.875
    """
    wins = (members[:, None] > others) + 0.5 * (members[:, None] == others)
    auc = float(wins.mean())
    variance = wins.mean(axis=1).var(ddof=1) / len(members) + wins.mean(axis=0).var(ddof=1) / len(others)
    margin = 1.96 * float(np.sqrt(variance))
    return {"auc": auc, "low": max(0.0, auc - margin), "high": min(1.0, auc + margin)}
