"""Groups of so few people that what is printed of them would be about somebody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

FEWEST = "fewest_users_shown"
"""Key of the protocol in metrics.json: `privacy.k`, where smaller groups are left out."""

Row = TypeVar("Row", bound=Mapping[str, object])


def without_small_groups(groups: Mapping[str, Row], k: int) -> dict[str, Row]:
    """The groups of at least `k` users.

    Where all that is left out together has fewer than `k` users, the smallest of the other groups is left out with it:
    what is left out is the whole less the rest, and so would be known (secondary suppression,
    Sweeney 2002, https://doi.org/10.1142/S0218488502001648).

    Args:
        groups: Name to a row with its number of "users".
        k: int. Fewest users of a group that is shown; 1 shows all.

    Example:
        >>> groups = {"A": {"users": 50}, "B": {"users": 9}, "C": {"users": 2}}
        >>> list(without_small_groups(groups, 5))
        ['A']
    """
    users = {name: int(str(row["users"])) for name, row in groups.items()}
    hidden = {name for name, count in users.items() if 0 < count < k}
    while hidden and sum(users[name] for name in hidden) < k and len(hidden) < len(users):
        hidden.add(min(users.keys() - hidden, key=lambda name: (users[name], name)))
    return {name: row for name, row in groups.items() if name not in hidden}
