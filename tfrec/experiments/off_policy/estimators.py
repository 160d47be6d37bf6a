"""Off-policy estimators: the reward that a target policy would have earned, from the log of the policy that ran.

Every estimator is a mean of one value per logged row, so it has a standard error, an interval and diagnostics. The
estimators are unbiased (IPS, DR) or consistent (SNIPS) if the propensities are correct and the logging policy could
show everything that the target policy shows. Clipping and switching trade bias for variance.
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
        estimator: Name of the estimator.
        value: The estimate.
        standard_error: Its standard error.
        low: Lower bound of the normal interval.
        high: Upper bound of the normal interval.
        effective_sample_size: (Σw)² / Σw² of the clipped weights: the number of rows that effectively contribute (Kish,
            1965).
        rows: Number of logged rows.
        max_weight: Largest weight before clipping.
        clipped: Share of rows whose weight was clipped (or, for switch-dr, replaced by the model).
        mean_weight: Mean weight before clipping; close to 1 if the logged propensities are right.
        mean_weight_error: Standard error of the mean weight.
        warnings: Sentences about problems that make the estimate doubtful; empty if there are none.
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
    """Estimates the mean reward that a target policy would have earned on the logged contexts.

    With w = target / propensity, m the reward model at the logged action and v its mean under the target policy:

    - ips: mean of w r (Horvitz and Thompson, 1952).
    - snips: Σ w r / Σ w (Swaminathan and Joachims, 2015), with the error of the delta method.
    - dr: mean of v + w (r − m) (Dudík et al., 2011): correct if either the propensities or the model are.
    - switch-dr: as dr where w ≤ switch, otherwise only v (Wang et al., 2017).

    Args:
        rewards: float `[rows]`.
        propensities: float `[rows]` in (0, 1]. Probability with which the logged action was shown.
        target: float `[rows]` in 0…1. Probability with which the target policy shows the logged action.
        estimator: "ips", "snips", "dr" or "switch-dr".
        clip: float. Upper bound of the weights (Ionides, 2008); it biases the estimate downwards for rewards ≥ 0. None
            does not clip.
        logged_model: float `[rows]`, predicted reward of the logged action, for dr and switch-dr. Fit the model on
            other rows.
        target_model: float `[rows]`, mean predicted reward under the target policy (see `model_value`).
        switch: float. Weight above which switch-dr uses only the model.
        level: float in 0…1. Coverage of the interval.

    Raises:
        InvalidInput: Propensities outside (0, 1], target probabilities outside 0…1, NaN, or different lengths.

    Example:
        >>> off_policy(np.array([1.0, 0.0]), np.array([0.5, 0.5]), np.array([1.0, 0.0]), estimator="ips").value
        1.0
    """
    if estimator not in ESTIMATORS:
        raise InvalidInput(f"Expected the estimator to be one of {', '.join(ESTIMATORS)}; received {estimator!r}.")
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
    """Estimates the mean reward of whole lists (the sum over positions) that a target policy would have earned.

    The weight of a list is a product over its positions and explodes with the length. An assumption about what the
    reward of a position depends on makes the weights smaller:

    - independent: only on the item at this position (Li et al., 2018, item-position model): the weight of the position.
    - reward-interaction: on the items from the top down to this position (McInerney et al., 2020): the product of the
      weights down to the position.
    - standard: on the whole list: the product of all weights.

    Args:
        rewards: float `[rows, positions]`.
        propensities: float `[rows, positions]`. Probability of the item at its position: marginal for "independent";
            for the others given the items above, so that the product is the probability of the list.
        target: float `[rows, positions]`. The same probabilities under the target policy.
        interaction: "independent", "reward-interaction" or "standard".
        self_normalised: Whether to divide by the mean weight of each position.
        clip: float. Upper bound of the weights, after the products. None does not clip.
        level: float in 0…1. Coverage of the interval.

    Returns:
        The estimate. Its diagnostics are those of the last position, whose weights vary most.
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
    """The mean predicted reward of each row under a target policy.

    Args:
        predicted: float `[rows, actions]`, predicted reward of each action.
        target: float `[rows, actions]`, probability of each action under the target policy.

    Returns:
        float64 `[rows]`.

    Example:
        >>> model_value(np.array([[1.0, 0.0]]), np.array([[0.25, 0.75]]))
        array([0.25])
    """
    return (np.asarray(predicted, np.float64) * np.asarray(target, np.float64)).sum(axis=1)


def _self_normalised(weights: np.ndarray, rewards: np.ndarray) -> np.ndarray:
    """Linearised values: their mean is Σwr/Σw, and their standard error is that of the delta method."""
    total = weights.mean()
    if not total > 0:
        raise InvalidInput("The target policy shows none of the logged actions, so nothing can be estimated.")
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
        warnings.append(f"Effectively {effective:,.0f} of {rows:,} rows contribute: the policies are too far apart.")
    if abs(mean_weight - 1) > 4 * mean_error + 1e-9:
        warnings.append(
            f"The mean weight is {mean_weight:.3f} ± {mean_error:.3f}, expected 1: the propensities are wrong, or the "
            "target shows actions that were never logged."
        )
    if cut.mean() > 0.05:
        warnings.append(f"{cut.mean():.1%} of the weights were clipped: the estimate depends on the clip or the model.")
    value = float(values.mean())
    return OffPolicyResult(
        estimator, value, error, value - reach, value + reach, effective, rows, float(raw.max()), float(cut.mean()),
        mean_weight, mean_error, tuple(warnings),
    )  # fmt: skip


def _checked(arrays: dict[str, np.ndarray], dimensions: int = 1) -> list[np.ndarray]:
    values = [np.asarray(array, np.float64) for array in arrays.values()]
    for name, array in zip(arrays, values):
        if array.ndim != dimensions or array.shape != values[0].shape or len(array) < 2:
            raise InvalidInput(
                f"Expected arrays of one shape with {dimensions} dimensions and at least 2 rows; {name} has "
                f"{array.shape}, {next(iter(arrays))} {values[0].shape}."
            )
        wrong = int((~np.isfinite(array)).sum())
        if wrong:
            raise InvalidInput(f"{wrong} of {array.size} values of {name} are NaN or infinite. Drop or correct them.")
    outside = {"propensities": (values[1] <= 0) | (values[1] > 1), "target": (values[2] < 0) | (values[2] > 1)}
    for name, bad in outside.items():
        if bad.any():
            valid = "(0, 1]" if name == "propensities" else "0…1"
            raise InvalidInput(
                f"{int(bad.sum())} of {bad.size} values of {name} are outside {valid}. Pass the probabilities of "
                "showing the logged actions; that of an action that was shown is above 0."
            )
    return values
