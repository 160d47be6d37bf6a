"""Who is in which arm: a salted hash, so that every machine says the same without asking another.

After Tang et al. (2010): a layer's hash chooses whether a user is in an experiment's part of the layer, the
experiment's own hash chooses the arm. Experiments with disjoint parts of one layer exclude each other; different layers
are independent, since their salts are.
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
    """A number in [0, 1) that looks random and is always the same for a salt and a unit.

    It is the first 53 bits of SHA-256 of `salt`, a zero byte and `unit` in UTF-8, over 2⁵³: easy to repeat in any
    language.

    Example:
        >>> hash_share("salt", "u1") == hash_share("salt", "u1") != hash_share("salt", "u2")
        True
    """
    digest = hashlib.sha256(f"{salt}\0{unit}".encode()).digest()
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def assign(spec: ExperimentSpec, unit: str) -> str | None:
    """The arm of a user, or None for a user who is not in the experiment.

    Raising `ramp` lets more users in and moves nobody. Changing the shares of `arms` while the experiment runs moves
    users between arms: start a new experiment with a new salt instead.

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
    return next(reversed(spec.arms))  # the shares may sum to a little less than 1


def assign_users(spec: ExperimentSpec, users: Iterable[str]) -> pl.DataFrame:
    """The arms of many users: columns user_id and arm (null: not in the experiment), in the given order."""
    ids = [str(user) for user in users]
    arms = [assign(spec, user) for user in ids]
    return pl.DataFrame({schema.USER_ID: ids, ARM: arms}, schema={schema.USER_ID: pl.String, ARM: pl.String})


def check_exclusive(specs: Sequence[ExperimentSpec]) -> None:
    """Raises `InvalidInput` naming experiments that share a part of a layer, or a salt for their arms.

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
                    f"{second.name} and {first.name} have the same salt {first.arm_salt!r}: their arms would be the "
                    "same users. Give each its own."
                )
            overlap = min(first.traffic[1], second.traffic[1]) - max(first.traffic[0], second.traffic[0])
            if first.layer == second.layer and overlap > 0:
                raise InvalidInput(
                    f"{second.name} and {first.name} share {overlap:.1%} of layer {first.layer!r}. "
                    "Give them disjoint traffic, or another layer."
                )
