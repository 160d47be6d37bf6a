"""Sample sizes against statsmodels, and plans against the experiment that follows."""

import math

import numpy as np
import polars as pl
import pytest
from statsmodels.stats.power import TTestIndPower

from tfrec import InvalidInput
from tfrec.experiments import ExperimentSpec, analyse, plan, sample_size


@pytest.mark.parametrize(
    "mean, sd, effect, alpha, power, share", [(1, 1, 0.1, 0.05, 0.8, 0.5), (2, 5, 0.2, 0.01, 0.9, 0.2)]
)
def test_sample_sizes_equal_statsmodels(mean, sd, effect, alpha, power, share):
    ratio = share / (1 - share)
    control = TTestIndPower().solve_power(mean * effect / sd, alpha=alpha, power=power, ratio=ratio)
    found = sample_size(mean, sd, effect, alpha=alpha, power=power, share=share)
    assert found == pytest.approx(control * (1 + ratio), rel=0.002)


@pytest.mark.parametrize(
    "mean, sd, effect, share", [(0, 1, 0.1, 0.5), (1, 0, 0.1, 0.5), (1, 1, 0, 0.5), (1, 1, 0.1, 1)]
)
def test_invalid_arguments_are_refused(mean, sd, effect, share):
    with pytest.raises(InvalidInput, match="does not vary"):
        sample_size(mean, sd, effect, share=share)


METRICS = [{"name": "clicks", "event": "click", "role": "primary"}, {"name": "never", "event": "refund"}]


def spec(**changes):
    return ExperimentSpec.from_dict({"name": "e", "metrics": METRICS, "planned_users": 1000, **changes})


def test_a_plan_predicts_the_standard_error_of_the_experiment(make_logs):
    rng = np.random.default_rng(0)
    exposures, outcomes = make_logs(rng, users=3000)
    table = plan(spec(), outcomes, effect=0.05, durations=[7])
    row = table.filter(pl.col("metric") == "clicks").row(0, named=True)
    begin = outcomes["timestamp"].max() + 1 - 7 * 86_400
    late = outcomes.filter(pl.col("timestamp") >= begin)
    assert row["users"] == late["user_id"].n_unique()
    # The planned experiment: users enter at their first event of the week.
    entered = (
        late.group_by("user_id").agg(pl.col("timestamp").min()).join(exposures.select("user_id", "arm"), on="user_id")
    )
    effect = analyse(spec(), entered, outcomes).effects.row(0, named=True)
    promised = row["minimum_effect"] * row["mean"] / (1.9600 + 0.8416)
    assert promised == pytest.approx(effect["standard_error"], rel=0.05)
    assert row["users_needed"] == pytest.approx(row["users"] * (row["minimum_effect"] / 0.05) ** 2, rel=0.001)
    never = table.filter(pl.col("metric") == "never").row(0, named=True)
    assert never["minimum_effect"] is None and never["users_needed"] is None


def test_longer_durations_have_more_users_and_less_traffic_has_fewer(make_logs):
    _, outcomes = make_logs(np.random.default_rng(1), users=500)
    table = plan(spec(), outcomes, effect=0.5, durations=[2, 5, 10, 400])
    clicks = table.filter(pl.col("metric") == "clicks")
    assert clicks["days"].to_list() == [2, 5, 10] and clicks["users"].is_sorted()
    enough = clicks.filter(pl.col("users") >= pl.col("users_needed"))["days"].min()
    assert clicks["days_needed"].unique().to_list() == [enough]
    half = plan(spec(ramp=0.5), outcomes, durations=[10]).row(0, named=True)
    whole = clicks.filter(pl.col("days") == 10).row(0, named=True)
    assert half["users"] == whole["users"] // 2
    assert half["minimum_effect"] == pytest.approx(whole["minimum_effect"] * math.sqrt(2), rel=0.01)


def test_a_log_too_short_to_plan_from_is_refused(make_logs):
    _, outcomes = make_logs(np.random.default_rng(2), users=50)
    with pytest.raises(InvalidInput, match="fewer than the shortest"):
        plan(spec(), outcomes, durations=[100])
    with pytest.raises(InvalidInput, match="received none"):
        plan(spec(), outcomes.head(0))
