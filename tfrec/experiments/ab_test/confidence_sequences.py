"""Intervals that may be looked at after every user: always-valid confidence sequences.

The normal-mixture asymptotic confidence sequence of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), which is
the mixture sequential test of Robbins (1970). Asymptotic: like the usual interval it needs enough users (a few hundred
an arm) for the normal approximation, and then holds at all looks together, at whatever moment one stops.
"""

from __future__ import annotations

import math

import numpy as np

from tfrec.errors import InvalidInput


def mixture(planned: float, alpha: float) -> float:
    """ρ², the mixture's variance that makes the sequence narrowest at `planned` observations (their equation 9).

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

    `se · √(2 (nρ²+1)/(nρ²) · ln(√(nρ²+1)/α))`. `planned` is fixed before the data are seen; changing it between looks
    undoes the guarantee.

    Args:
        standard_error: float `[...]`, of the estimate at each look.
        observations: float `[...]`, users so far, of both arms together.
        planned: Users at which the sequence is narrowest.
        alpha: Chance, over all looks, that the sequence ever leaves the truth out.

    Returns:
        float64 `[...]`. At the planned size it is about 1.55 times the usual interval at alpha 0.05.

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
    """The p-value that belongs to the sequence: below `alpha` exactly when the sequence leaves out 0.

    `min(1, √(nρ²+1) · exp(−z² nρ² / (2 (nρ²+1))))` with z = estimate / se (Johari, Pekelis and Walsh, 2015). The
    smallest value over the looks so far is valid too. With a standard error of 0 it is 1.

    Args:
        estimate, standard_error, observations: float `[...]`, at each look.
        planned, alpha: As in `sequence_radius`; alpha only tunes the mixture.

    Example:
        >>> bool(always_valid_p(3.2, 1.0, 1000, 1000) < 0.05 < always_valid_p(3.0, 1.0, 1000, 1000))
        True
    """
    error = np.asarray(standard_error, np.float64)
    scaled = np.asarray(observations, np.float64) * mixture(planned, alpha)
    z2 = np.where(error > 0, np.asarray(estimate, np.float64) / np.where(error > 0, error, 1), 0) ** 2
    return np.minimum(1.0, np.sqrt(scaled + 1) * np.exp(-z2 * scaled / (2 * (scaled + 1))))
