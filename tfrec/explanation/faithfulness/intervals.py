"""Means and ratios over users, with intervals of a bootstrap over users."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tfrec.evaluation.small_groups import without_small_groups

RESAMPLES: Final = 1000


def means_by_group(
    values: Mapping[str, np.ndarray], labels: np.ndarray, seed: int, fewest: int
) -> dict[str, dict[str, Any]]:
    """The mean of each of the values in each group of users.

    Args:
        values: Name to float `[users]`.
        labels: The group of each user, `[users]`.
        seed: int. Of the bootstrap.
        fewest: int. Fewest users of a group that is shown (`privacy.k`).
    """
    slices: dict[str, dict[str, Any]] = {}
    for group in sorted(set(labels)):
        inside = labels == group
        drawn = resampled(int(inside.sum()), seed)
        means = {name: mean_interval(of_name[inside], drawn) for name, of_name in values.items()}
        slices[str(group)] = {"users": int(inside.sum()), **means}
    return without_small_groups(slices, fewest)


def resampled(users: int, seed: int) -> np.ndarray:
    """Users drawn with replacement, int `[resamples, users]`."""
    return np.random.default_rng(seed).integers(0, users, [RESAMPLES, users])


def mean_interval(values: np.ndarray, resamples: np.ndarray) -> dict[str, float | None]:
    """Mean and 95% interval over users; NaN values are ignored, and null stands for no value at all."""
    known = np.isfinite(values)
    if not known.any():
        return {"mean": None, "low": None, "high": None}
    sums, counts = np.where(known, values, 0.0)[resamples].sum(axis=1), known[resamples].sum(axis=1)
    low, high = np.quantile(sums[counts > 0] / counts[counts > 0], [0.025, 0.975])
    return {"mean": float(values[known].mean()), "low": float(low), "high": float(high)}


def ratio_interval(first: np.ndarray, second: np.ndarray, resamples: np.ndarray) -> dict[str, float | None]:
    """Ratio of the means with its 95% interval; null where the second is not above 0."""
    means = first[resamples].mean(axis=1), second[resamples].mean(axis=1)
    if second.mean() <= 0:
        return {"mean": None, "low": None, "high": None}
    low, high = np.quantile(means[0] / np.where(means[1] > 0, means[1], np.nan), [0.025, 0.975])
    return {"mean": float(first.mean() / second.mean()), "low": _known(low), "high": _known(high)}


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
