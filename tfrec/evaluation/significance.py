"""Is a difference one? Paired bootstrap and permutation tests over users, correction for many, effect sizes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.errors import InvalidInput

_BLOCK = 256


def paired_bootstrap(
    first: np.ndarray, second: np.ndarray, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> np.ndarray:
    """Percentile intervals of the mean of `second − first`, resampling users and, within each side, its repeats.

    Users are drawn once for both sides, which is what makes it paired (Efron and Tibshirani, 1993). Repeats (seeds) are
    drawn for each side apart; with one repeat a side, the interval says nothing about other seeds, and with the usual
    three to five it is a little too narrow, as any bootstrap of so few is.

    Args:
        first, second: float `[repeats, users, metrics]`; the same users in the same order, repeats may differ.
        resamples: int. seed: int. level: float in 0…1.

    Returns:
        float64 `[metrics, 2]`: low and high.

    Example:
        >>> a = np.zeros((1, 50, 1))
        >>> paired_bootstrap(a, a + 1.0).tolist()
        [[1.0, 1.0]]
    """
    _check(first, second)
    rng = np.random.default_rng(seed)
    repeats, users, metrics = first.shape
    others = second.shape[0]
    flat = np.concatenate([first, second]).transpose(1, 0, 2).reshape(users, -1)
    means = np.empty((resamples, metrics))
    for draw in range(resamples):
        times = np.bincount(rng.integers(users, size=users), minlength=users)
        each = (times @ flat / users).reshape(repeats + others, metrics)
        mine = each[rng.integers(repeats, size=repeats)].mean(axis=0)
        means[draw] = each[repeats + rng.integers(others, size=others)].mean(axis=0) - mine
    tail = (1 - level) / 2
    return np.quantile(means, [tail, 1 - tail], axis=0).T


def paired_permutation(differences: np.ndarray, *, flips: int = 10_000, seed: int = 0) -> np.ndarray:
    """Two-sided p-values that the mean of paired differences is 0, by flipping signs at random (Fisher, 1935).

    `(1 + flips with |mean| at least as large) / (1 + flips)`, so never 0. Differences that are all 0 have p = 1.

    Args:
        differences: float `[users, metrics]`. flips: int. seed: int.

    Returns:
        float64 `[metrics]`.

    Example:
        >>> paired_permutation(np.array([[1.0, -1.0], [1.0, 1.0]]), flips=99).tolist()[1]
        1.0
    """
    if differences.ndim != 2 or not len(differences):
        raise InvalidInput(f"Expected differences [users, metrics] with a user, received shape {differences.shape}.")
    rng = np.random.default_rng(seed)
    # Users without a difference change nothing when flipped.
    moving = np.ascontiguousarray(differences[(differences != 0).any(axis=1)], np.float64)
    observed = np.abs(differences.sum(axis=0))
    tolerance = 1e-9 * np.abs(differences).sum(axis=0)
    extreme = np.zeros(differences.shape[1])
    for start in range(0, flips, _BLOCK):
        size = min(_BLOCK, flips - start)
        signs = rng.integers(0, 2, (size, len(moving)), dtype=np.int8).astype(np.float64) * 2 - 1
        extreme += (np.abs(signs @ moving) >= observed - tolerance).sum(axis=0)
    return (1 + extreme) / (1 + flips)


def adjust(p_values: Sequence[float] | np.ndarray, method: str = "holm") -> np.ndarray:
    """Corrects p-values for being many; NaN stays NaN and is not counted.

    Args:
        p_values: `[n]`.
        method: "holm" (family-wise error, any dependence; Holm, 1979), "benjamini-hochberg" (false discovery rate,
            positive dependence; 1995) or "none".

    Example:
        >>> adjust([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    given = np.asarray(p_values, np.float64)
    real = np.flatnonzero(~np.isnan(given))
    order = real[np.argsort(given[real], kind="stable")]
    n, ordered, result = len(order), given[order], given.copy()
    if method == "holm":
        result[order] = np.minimum(np.maximum.accumulate((n - np.arange(n)) * ordered), 1)
    elif method == "benjamini-hochberg":
        scaled = ordered * n / np.arange(1, n + 1)
        result[order] = np.minimum(np.minimum.accumulate(scaled[::-1])[::-1], 1)
    elif method != "none":
        raise InvalidInput(f"Expected holm, benjamini-hochberg or none, received {method!r}.")
    return result


def _check(first: np.ndarray, second: np.ndarray) -> None:
    if first.ndim != 3 or second.ndim != 3 or first.shape[1:] != second.shape[1:] or not first.shape[1]:
        raise InvalidInput(
            f"Expected two arrays [repeats, users, metrics] of the same users, received {first.shape}, {second.shape}."
        )
