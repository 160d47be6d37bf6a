"""How the ε of a private training is spent: on gradients, on counts, on neighbours, and on the choice of weights."""

from __future__ import annotations

from dataclasses import replace

from tfrec.config import PrivacyConfig
from tfrec.errors import InvalidInput
from tfrec.privacy.accountant import epsilon_of, noise_for
from tfrec.privacy.mechanism import Mechanism

GRADIENTS, COUNTS, NEIGHBOURS = "gradients", "item counts", "co-occurrence neighbours"
SELECTION = "start or trained weights"
_MOST_NOISE = 1e4


def planned_mechanisms(
    options: PrivacyConfig,
    people: int,
    batch: int,
    steps: int,
    *,
    validated: bool = True,
    paired: bool = True,
    popular: bool = True,
) -> dict[str, Mechanism]:
    """The mechanisms of a private training, with the noise that keeps all of them together to `options.epsilon`.

    Args:
        options: What is wanted.
        people: Number of people in the training data.
        batch: Number of people in a step, on average.
        steps: Number of steps.
        validated: Whether there are validation queries to choose by.
        paired: Whether there may be noisy neighbours.
        popular: Whether noisy counts have a part in the scores.

    Returns:
        Name to mechanism, of those that are on. With `options.neighbours` of 1 there are no gradients, and neighbours
        have what the rest leaves.

    Raises:
        InvalidInput: δ is not below one over the number of people, or ε cannot be kept to.
    """
    if options.delta >= 1 / people:
        raise InvalidInput(
            f"privacy.delta={options.delta:g} allows to publish all events of one of {people} people. Set it below "
            f"1/{people}, such as {1 / (10 * people):.0e}."
        )
    if options.neighbours == 1:
        return _neighbours_alone(options, validated, paired)
    # noise above the batch size would be larger than the mean of the batch can be
    gradients = Mechanism(GRADIENTS, options.noise or float(batch), batch / people, steps)
    whole = options.epsilon or epsilon_of([gradients], options.delta)
    neighbours = options.neighbours if paired else 0.0
    shares = {COUNTS: options.counts, NEIGHBOURS: neighbours, SELECTION: options.selection if validated else 0.0}
    informed = bool(neighbours or (popular and options.counts))
    others = _with_shares(whole, options.delta, shares, selections=1 + informed)
    if options.noise is None:
        found = noise_for(whole, options.delta, gradients, list(others.values()))
        gradients = Mechanism(GRADIENTS, found, gradients.sampling, steps)
    planned = {GRADIENTS: gradients, **others}
    reached = epsilon_of(list(planned.values()), options.delta)
    if options.epsilon is not None and reached > options.epsilon * 1.001:
        raise InvalidInput(
            f"With privacy.noise={options.noise:g}, ε is {reached:.3g} and not privacy.epsilon={options.epsilon:g}. "
            "Leave privacy.noise out, and the noise is chosen."
        )
    return planned


def _with_shares(whole: float, delta: float, shares: dict[str, float], selections: int) -> dict[str, Mechanism]:
    """Mechanisms that each have a share of `whole` for themselves.

    A selection asks about the start with counts, where there is one, and another about the trained weights.
    """
    return {
        name: replace(most, multiplier=noise_for(share * whole, delta, most))
        for name, share in shares.items()
        if share and (most := Mechanism(name, _MOST_NOISE, times=selections if name == SELECTION else 1))
    }


def _neighbours_alone(options: PrivacyConfig, validated: bool, paired: bool) -> dict[str, Mechanism]:
    if options.epsilon is None or options.noise is not None:
        raise InvalidInput(
            "privacy.neighbours=1 trains nothing, so there are no gradients that privacy.noise could be for. Set "
            "privacy.epsilon alone, or privacy.neighbours below 1."
        )
    if not paired:
        raise InvalidInput(
            "privacy.neighbours=1 spends all on co-occurrence neighbours, but there are none: the catalogue is too "
            "large, or model.neighbours is 0. Set privacy.neighbours below 1."
        )
    shares = {COUNTS: options.counts, SELECTION: options.selection if validated else 0.0}
    others = _with_shares(options.epsilon, options.delta, shares, selections=1)
    most = Mechanism(NEIGHBOURS, _MOST_NOISE)
    found = noise_for(options.epsilon, options.delta, most, list(others.values()))
    return {NEIGHBOURS: replace(most, multiplier=found), **others}
