"""Intervals of shares, and of the difference of two."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np


def share_interval(hits: np.ndarray, of: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Wilson's interval of a share (1927, https://doi.org/10.1080/01621459.1927.10502953); 0 to 1 of nobody.

    Args:
        hits: int, any shape.
        of: int, the same shape.
        level: float in 0…1. Coverage.

    Example:
        >>> low, high = share_interval(np.array(8), np.array(10))
        >>> round(float(low), 3), round(float(high), 3)
        (0.49, 0.943)
    """
    z = NormalDist().inv_cdf(0.5 + level / 2)
    number = np.maximum(of, 1)
    share = hits / number
    middle = share + z**2 / (2 * number)
    reach = z * np.sqrt(share * (1 - share) / number + z**2 / (4 * number**2))
    low, high = ((middle + sign * reach) / (1 + z**2 / number) for sign in (-1, 1))
    return np.where(of > 0, low, 0.0), np.where(of > 0, high, 1.0)


def lift_interval(
    hits: np.ndarray, of: np.ndarray, all_hits: np.ndarray, everyone: int, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """The interval of what the share in a part of the people is above the share in all of them.

    It is Newcombe's of the part less the others (1998, method 10,
    https://doi.org/10.1002/(SICI)1097-0258(19980430)17:8<873::AID-SIM779>3.0.CO;2-I), times the share of the others: so
    much of a difference to them is one to all. It is 0 to 0 where the part is everyone or nobody.

    Args:
        hits: int, any shape. Hits in the part.
        of: int, the same shape. People in the part.
        all_hits: int, the same shape. Hits in all.
        everyone: int. Number of all people.
        level: float in 0…1. Coverage.
    """
    others, other_hits = everyone - of, all_hits - hits
    share, other_share = hits / np.maximum(of, 1), other_hits / np.maximum(others, 1)
    (low, high), (other_low, other_high) = (
        share_interval(hits, of, level),
        share_interval(other_hits, others, level),
    )
    below = np.sqrt((share - low) ** 2 + (other_high - other_share) ** 2)
    above = np.sqrt((high - share) ** 2 + (other_share - other_low) ** 2)
    weight = np.where(of > 0, others / max(everyone, 1), 0.0)
    return weight * (share - other_share - below), weight * (share - other_share + above)
