"""Always-valid confidence sequences: intervals that may be checked after every user.

The normal-mixture asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), which is
the mixture sequential test of Robbins (1970). Like the usual interval it relies on the normal approximation, so each
arm needs a few hundred users. From then on it is valid at all checks together, whenever the experiment is stopped.
"""

from __future__ import annotations

import math

import numpy as np

from tfrec.errors import InvalidInput


def mixture(planned: float, alpha: float) -> float:
    """The mixture variance ρ² for which the sequence is narrowest at `planned` observations (equation 9 of the paper).

    Example:
        >>> round(mixture(1000, 0.05) * 1000, 2)
        7.94
    """
    if planned <= 0 or not 0 < alpha < 1:
        raise InvalidInput(f"Expected planned above 0 and alpha in 0…1, received {planned}, {alpha}.")
    return (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / planned


def sequence_radius(
    standard_error: float | np.ndarray, observations: float | np.ndarray, planned: float, alpha: float = 0.05
) -> np.ndarray:
    """Half the width of the confidence sequence around an estimate.

    `se · √(2 (nρ²+1)/(nρ²) · ln(√(nρ²+1)/α))`. `planned` must be chosen before the data are seen; changing it later
    voids the guarantee.

    Args:
        standard_error: float `[...]`, standard error of the estimate at each check.
        observations: float `[...]`, number of users so far in both arms together.
        planned: Number of users at which the sequence is narrowest.
        alpha: Probability that the sequence ever excludes the true value, over all checks.

    Returns:
        float64 `[...]`. At the planned size and alpha 0.05 it is about 1.55 times the usual interval.

    Example:
        >>> round(float(sequence_radius(1.0, 1000, 1000)), 2)
        3.04
    """
    scaled = np.asarray(observations, np.float64) * mixture(planned, alpha)
    factor = 2 * (scaled + 1) / scaled * np.log(np.sqrt(scaled + 1) / alpha)
    return np.asarray(standard_error, np.float64) * np.sqrt(factor)


def always_valid_p(
    estimate: float | np.ndarray,
    standard_error: float | np.ndarray,
    observations: float | np.ndarray,
    planned: float,
    alpha: float = 0.05,
) -> np.ndarray:
    """The p-value of the confidence sequence: below `alpha` exactly when the sequence excludes 0.

    `min(1, √(nρ²+1) · exp(−z² nρ² / (2 (nρ²+1))))` with z = estimate / se (Johari, Pekelis and Walsh, 2015). The
    smallest value over all checks so far is valid too. With a standard error of 0 it is 1.

    Args:
        estimate: float `[...]`, the estimate at each check.
        standard_error: float `[...]`, its standard error.
        observations: float `[...]`, number of users so far in both arms together.
        planned: As in `sequence_radius`.
        alpha: As in `sequence_radius`; here it only tunes the mixture.

    Returns:
        float64 `[...]`.

    Example:
        >>> bool(always_valid_p(3.2, 1.0, 1000, 1000) < 0.05 < always_valid_p(3.0, 1.0, 1000, 1000))
        True
    """
    error = np.asarray(standard_error, np.float64)
    scaled = np.asarray(observations, np.float64) * mixture(planned, alpha)
    z2 = np.where(error > 0, np.asarray(estimate, np.float64) / np.where(error > 0, error, 1), 0) ** 2
    return np.minimum(1.0, np.sqrt(scaled + 1) * np.exp(-z2 * scaled / (2 * (scaled + 1))))
