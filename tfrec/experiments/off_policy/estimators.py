"""What another policy would have earned, from the log of the policy that ran.

Every estimator is a mean of one value a logged row, so each has a standard error, an interval and diagnostics. They
are unbiased (IPS, DR) or consistent (SNIPS) when the propensities are the true chances and nothing that the new policy
shows had chance 0; clipping and switching trade bias for variance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tfrec.errors import InvalidInput

ESTIMATORS = ("ips", "snips", "dr", "switch-dr")


@dataclass(frozen=True)
class OffPolicyResult:
    """An estimate of a policy's mean reward.

    Attributes:
        estimator: Which. value: The estimate. standard_error, low, high: Normal interval at the level asked for.
        effective_sample_size: (Σw)² / Σw² of the (clipped) weights: how many rows the estimate rests on (Kish, 1965).
        rows: Logged rows. max_weight: Largest weight before clipping. clipped: Share of rows whose weight was cut
            (switched away from, for switch-dr).
        mean_weight: Before clipping; near 1 where the logged propensities are right (within `mean_weight_error`, its
            standard error).
        warnings: Sentences about what makes the estimate doubtful; empty when nothing does.
    """

    estimator: str
    value: float
    standard_error: float
    low: float
    high: float
    effective_sample_size: float
    rows: int
    max_weight: float
    clipped: float
    mean_weight: float
    mean_weight_error: float
    warnings: tuple[str, ...]


def off_policy(
    rewards: np.ndarray,
    propensities: np.ndarray,
    target: np.ndarray,
    *,
    estimator: str = "snips",
    clip: float | None = None,
    logged_model: np.ndarray | None = None,
    target_model: np.ndarray | None = None,
    switch: float = 10.0,
    level: float = 0.95,
) -> OffPolicyResult:
    """The mean reward that a target policy would have earned on the logged contexts.

    With w = target / propensity, m the reward model at the logged action and v its mean under the target policy:

    - ips: mean of w r (Horvitz and Thompson, 1952).
    - snips: Σ w r / Σ w (Swaminathan and Joachims, 2015); its error is the delta method's.
    - dr: mean of v + w (r − m) (Dudík et al., 2011): right if the propensities or the model are.
    - switch-dr: as dr where w ≤ switch, else only v (Wang et al., 2017).

    Args:
        rewards: float `[rows]`.
        propensities: float `[rows]`, chance with which the logged action was shown, in (0, 1].
        target: float `[rows]`, chance with which the target policy shows the logged action, in 0…1.
        estimator: "ips", "snips", "dr" or "switch-dr".
        clip: Weights are cut to it (Ionides, 2008); biased downwards for rewards ≥ 0. None: not cut.
        logged_model: float `[rows]`, predicted reward of the logged action; for dr and switch-dr. Fit it on other rows.
        target_model: float `[rows]`, mean predicted reward under the target policy (see `model_value`).
        switch: Weight above which switch-dr trusts the model.
        level: Of the interval.

    Raises:
        InvalidInput: propensities of 0 or above 1, chances outside 0…1, NaN, or lengths that differ; with counts.

    Example:
        >>> off_policy(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([1.0, 0.0]), estimator="ips").value
        1.0
    """
    if estimator not in ESTIMATORS:
        raise InvalidInput(f"Expected an estimator of {', '.join(ESTIMATORS)}; received {estimator!r}.")
    arrays = {"rewards": rewards, "propensities": propensities, "target": target}
    modelled = estimator in ("dr", "switch-dr")
    if modelled:
        if logged_model is None or target_model is None:
            raise InvalidInput(f"{estimator} needs logged_model and target_model. Pass both, or use snips.")
        arrays |= {"logged_model": logged_model, "target_model": target_model}
    r, p, t, *models = _checked(arrays)
    raw = t / p
    weights = raw if clip is None else np.minimum(raw, clip)
    cut = raw > clip if clip is not None else np.zeros(len(raw), bool)
    if estimator == "switch-dr":
        cut = cut | (raw > switch)
        weights = np.where(raw > switch, 0, weights)
    if modelled:
        values = models[1] + weights * (r - models[0])
    elif estimator == "ips":
        values = weights * r
    else:
        values = _self_normalised(weights, r)
    return _result(estimator, values, raw, weights, cut, level)


def slate_off_policy(
    rewards: np.ndarray,
    propensities: np.ndarray,
    target: np.ndarray,
    *,
    interaction: str = "independent",
    self_normalised: bool = False,
    clip: float | None = None,
    level: float = 0.95,
) -> OffPolicyResult:
    """The mean reward of whole lists (the sum over places) that a target policy would have earned.

    The weight of a list is a product over its places, which explodes; assumptions about who looks at what tame it:

    - independent: a place's reward depends on its own item (Li et al., 2018, item-position model): the place's weight.
    - reward-interaction: on the items down to that place, as when read from the top (McInerney et al., 2020): the
      product of weights down to the place.
    - standard: on the whole list: the product of all.

    Args:
        rewards: float `[rows, places]`.
        propensities: float `[rows, places]`, chance of the item at its place. For independent: marginal. For the
            others: given the items above, so that their product is the chance of the list.
        target: float `[rows, places]`, of the target policy, in the same sense.
        interaction: "independent", "reward-interaction" or "standard".
        self_normalised: Whether each place divides by its mean weight.
        clip: Weights (after the products) are cut to it. level: Of the interval.

    Returns:
        Diagnostics are of the last place's weights, the widest.
    """
    r, p, t = _checked({"rewards": rewards, "propensities": propensities, "target": target}, dimensions=2)
    ratio = t / p
    if interaction == "independent":
        raw = ratio
    elif interaction == "reward-interaction":
        raw = ratio.cumprod(axis=1)
    elif interaction == "standard":
        raw = np.broadcast_to(ratio.prod(axis=1, keepdims=True), ratio.shape)
    else:
        raise InvalidInput(
            f"Expected interaction to be independent, reward-interaction or standard; received {interaction!r}."
        )
    weights = raw if clip is None else np.minimum(raw, clip)
    if self_normalised:
        values = np.sum([_self_normalised(weights[:, k], r[:, k]) for k in range(r.shape[1])], axis=0)
    else:
        values = (weights * r).sum(axis=1)
    cut = (raw > clip).any(axis=1) if clip is not None else np.zeros(len(raw), bool)
    name = f"{'snips' if self_normalised else 'ips'}, {interaction}"
    return _result(name, values, raw[:, -1], weights[:, -1], cut, level)


def model_value(predicted: np.ndarray, target: np.ndarray) -> np.ndarray:
    """The mean predicted reward of each row under a target policy: `Σ target · predicted`, both `[rows, actions]`.

    Example:
        >>> model_value(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]]))
        array([0.25])
    """
    return (np.asarray(predicted, np.float64) * np.asarray(target, np.float64)).sum(axis=1)


def _self_normalised(weights: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Values whose mean is Σwr/Σw and whose standard error is the delta method's."""
    total = weights.mean()
    if not total > 0:
        raise InvalidInput("The target policy shows none of the logged actions: there is nothing to estimate from.")
    estimate = (weights * rewards).mean() / total
    linear: np.ndarray = estimate + weights * (rewards - estimate) / total
    return linear


def _result(
    estimator: str, values: np.ndarray, raw: np.ndarray, weights: np.ndarray, cut: np.ndarray, level: float
) -> OffPolicyResult:
    rows = len(values)
    error = float(values.std(ddof=1) / math.sqrt(rows))
    reach = NormalDist().inv_cdf(0.5 + level / 2) * error
    squares = float((weights**2).sum())
    effective = float(weights.sum()) ** 2 / squares if squares else 0.0
    mean_weight, mean_error = float(raw.mean()), float(raw.std(ddof=1) / math.sqrt(rows))
    warnings = []
    if effective < max(100.0, 0.01 * rows):
        warnings.append(f"The estimate rests on {effective:,.0f} of {rows:,} rows: the policies are too far apart.")
    if abs(mean_weight - 1) > 4 * mean_error + 1e-9:
        warnings.append(
            f"The mean weight is {mean_weight:.3f} ± {mean_error:.3f}, expected 1: the propensities are wrong, or the "
            "target shows actions that were never logged."
        )
    if cut.mean() > 0.05:
        warnings.append(f"{cut.mean():.1%} of the weights were cut: the estimate leans on the cut or the model.")
    value = float(values.mean())
    return OffPolicyResult(
        estimator, value, error, value - reach, value + reach, effective, rows, float(raw.max()), float(cut.mean()),
        mean_weight, mean_error, tuple(warnings),
    )  # fmt: skip


def _checked(arrays: dict[str, np.ndarray], dimensions: int = 1) -> list[np.ndarray]:
    found = [np.asarray(array, np.float64) for array in arrays.values()]
    for name, array in zip(arrays, found):
        if array.ndim != dimensions or array.shape != found[0].shape or len(array) < 2:
            raise InvalidInput(
                f"Expected arrays of one shape with {dimensions} dimensions and at least 2 rows; {name} has "
                f"{array.shape}, {next(iter(arrays))} {found[0].shape}."
            )
        wrong = int((~np.isfinite(array)).sum())
        if wrong:
            raise InvalidInput(f"{wrong} of {array.size} values of {name} are NaN or infinite. Drop or correct them.")
    chances = {"propensities": (found[1] <= 0) | (found[1] > 1), "target": (found[2] < 0) | (found[2] > 1)}
    for name, bad in chances.items():
        if bad.any():
            wanted = "(0, 1]" if name == "propensities" else "0…1"
            raise InvalidInput(
                f"{int(bad.sum())} of {bad.size} values of {name} are outside {wanted}. They must be the chances with "
                "which the actions were shown; an action that was shown had one above 0."
            )
    return found
