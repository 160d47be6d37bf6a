"""The effect of an arm on one metric: tea-tasting's estimate, its confidence sequence and its Bayesian posterior."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from tfrec.errors import Unavailable
from tfrec.experiments.ab_test.confidence_sequences import always_valid_p, sequence_radius
from tfrec.experiments.design.assignment import ARM
from tfrec.experiments.design.spec import ExperimentSpec, MetricSpec

SCHEMA = {
    "control": pl.Float64,
    "treatment": pl.Float64,
    "difference": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "relative": pl.Float64,
    "relative_low": pl.Float64,
    "relative_high": pl.Float64,
    "standard_error": pl.Float64,
    "p": pl.Float64,
    "sequential_low": pl.Float64,
    "sequential_high": pl.Float64,
    "sequential_p": pl.Float64,
    "probability_better": pl.Float64,
    "expected_loss": pl.Float64,
    "variance_reduction": pl.Float64,
    "status": pl.String,
}
"""Columns of an estimate. All numbers are null unless status is "ok"."""


def tea_tasting() -> Any:
    """The tea-tasting library. Raises `Unavailable` if it is not installed."""
    try:
        import tea_tasting
    except ImportError:
        raise Unavailable(
            "Analysing experiments needs tea-tasting. Install it: pip install 'tfrec-bert[experiments]'"
        ) from None
    return tea_tasting


def winsorised(frame: pl.DataFrame, metric: MetricSpec) -> pl.DataFrame:
    """The frame with the metric, and its values before exposure, clipped at the spec's quantile over all users."""
    if metric.winsorise is None:
        return frame
    names = [metric.name, f"{metric.name}/before"]
    return frame.with_columns(
        pl.col(name).clip(upper_bound=pl.col(name).quantile(metric.winsorise, "higher")) for name in names
    )


def estimate(frame: pl.DataFrame, metric: MetricSpec, spec: ExperimentSpec, arm: str) -> dict[str, Any]:
    """Estimates the effect of an arm against the control on one metric.

    The estimate is a difference of means, or of ratios of totals with the delta method (Deng et al., 2018). The user is
    the unit of variance, the interval is Welch's t interval, and CUPED (Deng et al., 2013) is used if the metric varies
    before exposure. The confidence sequence and the Bayesian view use the same estimate and standard error. The
    Bayesian prior of the difference is N(0, (prior_sd · control)²); `expected_loss` is the mean loss from choosing the
    arm, in the unit of the metric.

    Args:
        frame: `UserTable.frame` with all arms, winsorised if the metric asks for it.
        metric: The metric.
        spec: The experiment.
        arm: Name of the arm; not the control.

    Returns:
        The columns of `SCHEMA`. status is "ok", "constant" (all users have the same value, so there is nothing to
        estimate), "too few" (an arm has fewer than two users) or "no denominator" (the denominator of a ratio is 0).
    """
    rows = frame.filter(pl.col(ARM).is_in([spec.control, arm]))
    numerator, denominator = rows[metric.name], rows[f"{metric.name}/per"] if metric.per else None
    sizes = dict(rows[ARM].value_counts().iter_rows())
    if min(sizes.get(spec.control, 0), sizes.get(arm, 0)) < 2:
        return _empty("too few")
    if denominator is not None and rows.group_by(ARM).agg(pl.col(denominator.name).sum() <= 0)[denominator.name].any():
        return _empty("no denominator")
    ratio = numerator / denominator if denominator is not None else numerator
    if ratio.drop_nulls().drop_nans().n_unique() <= 1 and (denominator is None or numerator.n_unique() <= 1):
        return _empty("constant")
    plain = _tea_tasting_result(rows, metric, spec, arm, covariate=False)
    adjusted = plain
    if _has_covariate(rows, metric):
        adjusted = _tea_tasting_result(rows, metric, spec, arm, covariate=True)
    return _row(adjusted, plain, metric, spec, rows.height)


def _has_covariate(rows: pl.DataFrame, metric: MetricSpec) -> bool:
    if not metric.covariate or rows[f"{metric.name}/before"].n_unique() < 2:
        return False
    if metric.per is None or f"{metric.name}/per/before" not in rows.columns:
        return True
    return bool(
        rows.group_by(ARM).agg(pl.col(f"{metric.name}/per/before").sum() > 0)[f"{metric.name}/per/before"].all()
    )


def _tea_tasting_result(
    rows: pl.DataFrame, metric: MetricSpec, spec: ExperimentSpec, arm: str, covariate: bool
) -> tuple[Any, float]:
    """tea-tasting's result with a t interval, and the standard error, recovered from its normal interval."""
    library = tea_tasting()
    names = {
        "numer": metric.name,
        "denom": f"{metric.name}/per" if metric.per else None,
        "numer_covariate": f"{metric.name}/before" if covariate else None,
        "denom_covariate": f"{metric.name}/per/before" if covariate else None,
    }
    if names["denom_covariate"] not in rows.columns:
        names["denom_covariate"] = None
    used = [name for name in names.values() if name]
    from tea_tasting.aggr import read_aggregates

    pairs = [(a, b) for place, a in enumerate(used) for b in used[:place]]
    aggregates = read_aggregates(
        rows.select(ARM, *used), ARM, has_count=True, mean_cols=used, var_cols=used, cov_cols=pairs
    )
    t_result, normal_result = [
        library.RatioOfMeans(**names, use_t=use_t, confidence_level=1 - spec.alpha).analyze(
            aggregates, spec.control, arm
        )
        for use_t in (True, False)
    ]
    from scipy.stats import norm

    width = normal_result.effect_size_ci_upper - normal_result.effect_size_ci_lower
    return t_result, float(width / 2 / norm.ppf(1 - spec.alpha / 2))


def _row(
    adjusted: tuple[Any, float], plain: tuple[Any, float], metric: MetricSpec, spec: ExperimentSpec, users: int
) -> dict[str, Any]:
    result, error = adjusted
    effect = float(result.effect_size)
    if not (math.isfinite(error) and error > 0):
        return _empty("constant")
    radius = float(sequence_radius(error, users, spec.planned_users, spec.alpha))
    better, loss = bayesian(
        effect if metric.better == "higher" else -effect, error, spec.prior_sd * abs(float(result.control))
    )
    return {
        "control": float(result.control),
        "treatment": float(result.treatment),
        "difference": effect,
        "low": float(result.effect_size_ci_lower),
        "high": float(result.effect_size_ci_upper),
        "relative": _finite(result.rel_effect_size),
        "relative_low": _finite(result.rel_effect_size_ci_lower),
        "relative_high": _finite(result.rel_effect_size_ci_upper),
        "standard_error": error,
        "p": float(result.pvalue),
        "sequential_low": effect - radius,
        "sequential_high": effect + radius,
        "sequential_p": float(always_valid_p(effect, error, users, spec.planned_users, spec.alpha)),
        "probability_better": better,
        "expected_loss": loss,
        "variance_reduction": max(0.0, 1 - (error / plain[1]) ** 2),
        "status": "ok",
    }


def bayesian(effect: float, standard_error: float, prior_sd: float) -> tuple[float, float]:
    """The posterior probability that the effect is above 0, and the expected loss from assuming so.

    With a normal prior around 0 the posterior is N(w · effect, w · se²), w = prior_sd² / (prior_sd² + se²), and the
    loss is E[max(0, −effect)]. With `prior_sd` 0 the result is (0.5, 0).

    Args:
        effect: float. Estimated effect; positive is better.
        standard_error: float. Standard error of the estimate.
        prior_sd: float. Standard deviation of the prior, in the unit of the effect.

    Example:
        >>> [round(value, 3) for value in bayesian(0.0, 1.0, 1.0)]
        [0.5, 0.282]
    """
    if prior_sd <= 0:
        return 0.5, 0.0
    weight = prior_sd**2 / (prior_sd**2 + standard_error**2)
    mean, sd = weight * effect, math.sqrt(weight) * standard_error
    z = mean / sd
    below = 0.5 * math.erfc(z / math.sqrt(2))
    density = math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return 1 - below, sd * density - mean * below


def _empty(status: str) -> dict[str, Any]:
    return {name: None for name in SCHEMA} | {"status": status}


def _finite(value: Any) -> float | None:
    return float(value) if np.isfinite(value) else None
