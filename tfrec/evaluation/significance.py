"""Significance of a difference: standard error, paired bootstrap, permutation test, corrections for multiple tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tfrec.errors import InvalidInput

_BLOCK = 256  # sign flips per matrix product


def paired_difference(first: np.ndarray, second: np.ndarray) -> tuple[float, float | None]:
    """Mean of `first − second` over queries, and its standard error; None for a single query, which decides nothing.

    Args:
        first: float `[queries]`, a metric of each query.
        second: float `[queries]`, of the same queries in the same order.

    Example:
        >>> difference, error = paired_difference(np.array([0.5, 1.0, 0.0]), np.array([0.5, 0.0, 0.5]))
        >>> round(difference, 3), round(error, 3)
        (0.167, 0.441)
    """
    difference = first - second
    count = len(difference)
    return float(difference.mean()), float(difference.std(ddof=1) / np.sqrt(count)) if count > 1 else None


def paired_bootstrap(
    first: np.ndarray, second: np.ndarray, *, resamples: int = 2000, seed: int = 0, level: float = 0.95
) -> np.ndarray:
    """Percentile intervals of the mean of `second − first`, resampling the users and the repeats of each side.

    The same users are drawn for both sides, which makes the bootstrap paired (Efron and Tibshirani, 1993). Repeats
    (seeds) are drawn separately for each side. With one repeat per side the interval does not cover other seeds; with
    the usual three to five it is a little too narrow, like any bootstrap of so few values.

    Args:
        first: float `[repeats, users, metrics]`.
        second: float `[repeats, users, metrics]`, of the same users in the same order; the repeats may differ.
        resamples: int. Number of resamples.
        seed: int. The same seed gives the same intervals.
        level: float in 0…1. Coverage of the intervals.

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
    """Two-sided p-values for the hypothesis that the mean difference is 0, by random sign flips (Fisher, 1935).

    p is `(1 + flips with |mean| at least as large) / (1 + flips)`, so it is never 0. If all differences are 0, p is 1.

    Args:
        differences: float `[users, metrics]`, paired differences.
        flips: int. Number of random sign flips.
        seed: int. The same seed gives the same p-values.

    Returns:
        float64 `[metrics]`.

    Example:
        >>> paired_permutation(np.array([[1.0, -1.0], [1.0, 1.0]]), flips=99).tolist()[1]
        1.0
    """
    if differences.ndim != 2 or not len(differences):
        raise InvalidInput(f"Expected differences [users, metrics] with a user, received shape {differences.shape}.")
    rng = np.random.default_rng(seed)
    # Flipping a user without any difference changes nothing.
    nonzero = np.ascontiguousarray(differences[(differences != 0).any(axis=1)], np.float64)
    observed = np.abs(differences.sum(axis=0))
    tolerance = 1e-9 * np.abs(differences).sum(axis=0)
    extreme = np.zeros(differences.shape[1])
    for start in range(0, flips, _BLOCK):
        size = min(_BLOCK, flips - start)
        signs = rng.integers(0, 2, (size, len(nonzero)), dtype=np.int8).astype(np.float64) * 2 - 1
        extreme += (np.abs(signs @ nonzero) >= observed - tolerance).sum(axis=0)
    return (1 + extreme) / (1 + flips)


def adjust(p_values: Sequence[float] | np.ndarray, method: str = "holm") -> np.ndarray:
    """Corrects p-values for multiple tests. NaN stays NaN and does not count as a test.

    Args:
        p_values: float `[n]`.
        method: "holm" (family-wise error rate, any dependence; Holm, 1979), "benjamini-hochberg" (false discovery rate,
            positive dependence; Benjamini and Hochberg, 1995) or "none".

    Returns:
        float64 `[n]`, the adjusted p-values.

    Example:
        >>> adjust([0.01, 0.04, 0.03]).tolist()
        [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, np.float64)
    real = np.flatnonzero(~np.isnan(p))
    order = real[np.argsort(p[real], kind="stable")]
    n, ordered, result = len(order), p[order], p.copy()
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
