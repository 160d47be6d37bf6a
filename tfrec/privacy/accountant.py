"""The accountant: what ε several mechanisms come to together, and the noise that keeps them below one.

The composition is that of privacy loss distributions (Koskela et al. 2020, https://arxiv.org/abs/1906.03049; Doroshenko
et al. 2022, https://arxiv.org/abs/2207.04380), by the package dp-accounting. It is an upper bound, and tight to a
thousandth; the composition theorems of textbooks give several times as much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache, reduce
from typing import Any

from tfrec.errors import InvalidInput, Unavailable
from tfrec.privacy.mechanism import Mechanism

ADD_OR_REMOVE = "add-or-remove-one"
"""Neighbouring data: one has all events of one more person."""
REPLACE = "replace-one"
"""Neighbouring data: all events of one person are those of another. Its ε is larger, up to twice that of the other."""
RELATIONS = (ADD_OR_REMOVE, REPLACE)

_FINE, _COARSE = 1e-4, 1e-3
"""Widths of the steps of privacy loss. The bound of the coarse one is slightly higher and ten times as fast."""
_LEAST_NOISE = 0.3
"""Below it a single step already has an ε of dozens, so the search for a multiplier ends here."""


def epsilon_of(mechanisms: Sequence[Mechanism], delta: float, relation: str = ADD_OR_REMOVE) -> float:
    """The ε of releasing the results of all mechanisms, at this δ.

    Args:
        mechanisms: All that was released. None at all have ε 0.
        delta: float in (0, 1). Probability by which the bound may fail; far below one over the number of people.
        relation: str. Which data are neighbours: "add-or-remove-one" person or "replace-one" by another.

    Raises:
        InvalidInput: δ is not between 0 and 1.
        Unavailable: dp-accounting is not installed.

    Example:
        >>> epsilon_of([], delta=1e-5)
        0.0
    """
    return _epsilon(tuple(mechanisms), delta, relation, _FINE)


def noise_for(epsilon: float, delta: float, mechanism: Mechanism, others: Sequence[Mechanism] = ()) -> float:
    """The smallest noise multiplier with which a mechanism and the others stay within ε, under add-or-remove-one.

    Args:
        epsilon: float. The ε of all together.
        delta: float in (0, 1). The δ of all together.
        mechanism: The mechanism sought; its multiplier is the largest that is of use.
        others: What else is released, with the noise that it has.

    Returns:
        The multiplier, to a thousandth of itself and never too small.

    Raises:
        InvalidInput: Not even the largest multiplier keeps to ε; the message has the least ε that can be kept to.
        Unavailable: dp-accounting is not installed.
    """
    from scipy.optimize import brentq

    def excess(log_multiplier: float) -> float:
        tried = replace(mechanism, multiplier=math.exp(log_multiplier))
        return min(_epsilon((tried, *others), delta, ADD_OR_REMOVE, _COARSE), 1e3) - epsilon

    most = math.log(mechanism.multiplier)
    if (over := excess(most)) > 0:
        raise InvalidInput(
            f"privacy.epsilon={epsilon:g} cannot be reached with these users: {mechanism.name} would need noise above "
            f"{mechanism.multiplier:.3g} times what one person can add, in which nothing can be learnt. The least that "
            f"can be reached is about {(epsilon + over) * 1.01:.2g}. Set that, train fewer epochs, or have more users."
        )
    low = min(0.0, most)
    while excess(low) < 0 and low > math.log(_LEAST_NOISE):
        low, most = max(low - 0.5, math.log(_LEAST_NOISE)), low
    if excess(low) <= 0:
        return math.exp(low)
    root, tolerance = brentq(excess, low, most, xtol=5e-4), 0.0
    while excess(root + tolerance) > 0:
        tolerance += 5e-4
    return math.exp(root + tolerance)


@lru_cache(maxsize=256)
def _epsilon(mechanisms: tuple[Mechanism, ...], delta: float, relation: str, interval: float) -> float:
    if relation not in RELATIONS:
        raise InvalidInput(f"Expected one of the relations {', '.join(RELATIONS)}; received {relation!r}.")
    if not 0 < delta < 1:
        raise InvalidInput(f"privacy.delta must be between 0 and 1; received {delta!r}. Set 1e-5, or less.")
    if not mechanisms:
        return 0.0
    losses = [_privacy_loss(mechanism, relation, interval) for mechanism in mechanisms]
    return float(reduce(lambda one, other: one.compose(other), losses).get_epsilon_for_delta(delta))


@lru_cache(maxsize=256)
def _privacy_loss(mechanism: Mechanism, relation: str, interval: float) -> Any:
    """The distribution of the privacy loss of a mechanism."""
    library, neighbours = _dp_accounting()
    if mechanism.noise == "laplace":
        # replacing a person takes away what one added and adds what another does
        return library.from_laplace_mechanism(
            mechanism.multiplier,
            sensitivity=2.0 if relation == REPLACE else 1.0,
            value_discretization_interval=interval,
        ).self_compose(mechanism.times)
    whole = mechanism.sampling == 1
    one = library.from_gaussian_mechanism(
        # without sampling, many releases are one of less noise
        mechanism.multiplier / (math.sqrt(mechanism.times) if whole else 1),
        sampling_prob=mechanism.sampling,
        value_discretization_interval=interval,
        neighboring_relation=getattr(neighbours, "REPLACE_ONE" if relation == REPLACE else "ADD_OR_REMOVE_ONE"),
    )
    return one if whole else one.self_compose(mechanism.times)


def _dp_accounting() -> tuple[Any, Any]:
    """The module of privacy loss distributions, and the neighbouring relations."""
    try:
        from dp_accounting.pld import privacy_loss_distribution
        from dp_accounting.privacy_accountant import NeighboringRelation
    except ImportError:
        raise Unavailable(
            "Private training needs dp-accounting. Install the extra: pip install 'tfrec-bert[privacy]'."
        ) from None
    return privacy_loss_distribution, NeighboringRelation
