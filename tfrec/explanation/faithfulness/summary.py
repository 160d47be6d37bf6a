"""What the measures of many users come to: means, ratios and slices, with intervals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from tfrec.explanation.faithfulness.intervals import mean_interval, means_by_group, ratio_interval, resampled

RANDOM: Final = "random"
SERVED: Final = "served"
"""What exports answer; no other way to explain."""


def methods_summary(
    of_methods: Mapping[str, Mapping[str, np.ndarray]],
    ours: str,
    groups: Mapping[str, np.ndarray],
    *,
    seed: int,
    fewest: int,
) -> dict[str, Any]:
    """The means of all measures of all methods, and how our falls compare with those of the others.

    Args:
        of_methods: Name of a method to its measures, float `[users]` by name.
        ours: The method that the others are compared with.
        groups: Name of a grouping to the group of each user, `[users]`.
        seed: int. Of the bootstrap.
        fewest: int. Fewest users of a group that is shown (`privacy.k`).
    """
    falls = {name: measures["fall@3"] for name, measures in of_methods.items()}
    users = len(falls[ours])
    resamples = resampled(users, seed)
    cheap = [name for name in falls if name not in (ours, SERVED)]
    best = max((name for name in cheap if name != RANDOM), key=lambda name: falls[name].mean())
    return {
        "users": users,
        "ours": ours,
        "methods": {
            name: {measure: mean_interval(values, resamples) for measure, values in measures.items()}
            for name, measures in of_methods.items()
        },
        "best_other": best,
        "ratios": {
            name: ratio_interval(falls[ours], falls[other], resamples)
            for name, other in ((RANDOM, RANDOM), ("best_other", best), *((name, name) for name in cheap))
        },
        "slices": {name: means_by_group(falls, labels, seed, fewest) for name, labels in groups.items()},
    }
