"""Assigns users to arms by a salted hash, so that all machines agree without communicating.

After Tang et al. (2010): the hash of a layer decides whether a user is in the experiment's part of the layer, and the
hash of the experiment chooses the arm. Experiments in disjoint parts of one layer exclude each other; different layers
are independent, as they have different salts.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import polars as pl

from tfrec import schema
from tfrec.errors import InvalidInput
from tfrec.experiments.design.spec import ExperimentSpec

ARM = "arm"


def hash_share(salt: str, unit: str) -> float:
    """A pseudo-random number in [0, 1) that depends only on the salt and the unit.

    It is the first 53 bits of SHA-256 of `salt`, a zero byte and `unit` in UTF-8, divided by 2⁵³: easy to reproduce in
    any language.

    Example:
        >>> hash_share("salt", "u1") == hash_share("salt", "u1") != hash_share("salt", "u2")
        True
    """
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(spec: ExperimentSpec, unit: str) -> str | None:
    """The arm of a user, or None for a user outside the experiment.

    Raising `ramp` adds users and keeps all others in their arm. Changing the shares of `arms` during the experiment
    would move users between arms: start a new experiment with a new salt instead.

    Example:
        >>> spec = ExperimentSpec.from_dict({"name": "e", "metrics": [{"name": "m", "event": "click"}], "ramp": 0.0})
        >>> assign(spec, "u1") is None
        True
    """
    low, high = spec.traffic
    place = hash_share(f"layer:{spec.layer}", unit)
    if not low <= place < low + spec.ramp * (high - low):
        return None
    share, total = hash_share(f"arm:{spec.arm_salt}", unit), 0.0
    for arm, part in spec.arms.items():
        total += part
        if share < total:
            return arm
    return next(reversed(spec.arms))  # with rounding the shares may sum to slightly less than 1


def assign_users(spec: ExperimentSpec, users: Iterable[str]) -> pl.DataFrame:
    """The arms of many users, in the given order: user_id and arm (null for a user outside the experiment)."""
    ids = [str(user) for user in users]
    arms = [assign(spec, user) for user in ids]
    return pl.DataFrame({schema.USER_ID: ids, ARM: arms}, schema={schema.USER_ID: pl.String, ARM: pl.String})


def check_exclusive(specs: Sequence[ExperimentSpec]) -> None:
    """Raises `InvalidInput` if two experiments overlap in a layer or use the same salt for their arms.

    Example:
        >>> metrics = [{"name": "m", "event": "click"}]
        >>> one = ExperimentSpec.from_dict({"name": "a", "metrics": metrics, "traffic": [0, 0.5]})
        >>> two = ExperimentSpec.from_dict({"name": "b", "metrics": metrics, "traffic": [0.5, 1]})
        >>> check_exclusive([one, two])
    """
    for place, first in enumerate(specs):
        for second in specs[:place]:
            if first.arm_salt == second.arm_salt:
                raise InvalidInput(
                    f"{second.name} and {first.name} have the same salt {first.arm_salt!r}, so their arms would hold "
                    "the same users. Give each its own salt."
                )
            overlap = min(first.traffic[1], second.traffic[1]) - max(first.traffic[0], second.traffic[0])
            if first.layer == second.layer and overlap > 0:
                raise InvalidInput(
                    f"{second.name} and {first.name} share {overlap:.1%} of layer {first.layer!r}. "
                    "Give them disjoint traffic, or another layer."
                )
