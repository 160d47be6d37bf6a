"""Analysis against scipy, statsmodels and loops; irregular log rows are counted; error rates are as planned."""

import math
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
import statsmodels.api as sm
from numpy.testing import assert_allclose
from polars.testing import assert_frame_equal
from scipy import stats

from tfrec import InvalidInput
from tfrec.experiments import ExperimentSpec, analyse, decide
from tfrec.experiments.ab_test.estimates import bayesian, estimate

CLICKS = {"name": "clicks", "event": "click", "role": "primary"}
METRICS = [
    CLICKS,
    {"name": "ctr", "event": "click", "per": "impression"},
    {"name": "revenue", "event": "buy", "aggregate": "sum", "winsorise": 0.95},
    {"name": "buyers", "event": "buy", "aggregate": "any", "role": "guardrail", "margin": 0.5},
]


def spec(metrics=METRICS, **changes):
    return ExperimentSpec.from_dict({"name": "e", "metrics": metrics, "planned_users": 400, **changes})


def plain(metrics=METRICS, **changes):
    return spec([{**metric, "covariate": False} for metric in metrics], **changes)


def by_loop(exposures, outcomes, event, aggregate, before=False, days=14):
    """The totals of each user, by arm, in a plain loop over events."""
    first, arm = {}, {}
    for user, a, time in exposures.iter_rows():
        first[user] = min(time, first.get(user, time))
        arm[user] = a
    found = dict.fromkeys(first, 0.0)
    for row in outcomes.iter_rows(named=True):
        user = row["user_id"]
        if user not in first or row["event"] != event:
            continue
        gap = row["timestamp"] - first[user]
        if gap >= 0 if not before else -days * 86_400 <= gap < 0:
            amount = row["value"] if aggregate == "sum" else 1
            found[user] = 1.0 if aggregate == "any" else found[user] + amount
    return tuple(np.array([v for u, v in sorted(found.items()) if arm[u] == a]) for a in ("control", "treatment"))


def row(result, metric):
    return result.effects.filter(pl.col("metric") == metric).row(0, named=True)


def test_means_equal_the_welch_test(make_logs):
    exposures, outcomes = make_logs(np.random.default_rng(0), lift=0.1)
    result = analyse(plain(), exposures, outcomes)
    control, treatment = by_loop(exposures, outcomes, "click", "count")
    theirs = stats.ttest_ind(treatment, control, equal_var=False)
    found = row(result, "clicks")
    assert found["difference"] == pytest.approx(treatment.mean() - control.mean())
    assert found["p"] == pytest.approx(theirs.pvalue)
    assert_allclose([found["low"], found["high"]], theirs.confidence_interval())
    error = math.sqrt(control.var(ddof=1) / len(control) + treatment.var(ddof=1) / len(treatment))
    assert found["standard_error"] == pytest.approx(error)
    assert found["users"] == 400 and found["variance_reduction"] == 0
    buyers = by_loop(exposures, outcomes, "buy", "any")
    assert row(result, "buyers")["control"] == pytest.approx(buyers[0].mean())


def test_winsorising_clips_at_the_quantile_of_all_users(make_logs):
    exposures, outcomes = make_logs(np.random.default_rng(1))
    control, treatment = by_loop(exposures, outcomes, "buy", "sum")
    bound = np.quantile(np.concatenate([control, treatment]), 0.95, method="higher")
    found = row(analyse(plain(), exposures, outcomes), "revenue")
    assert found["control"] == pytest.approx(np.minimum(control, bound).mean())
    assert found["treatment"] == pytest.approx(np.minimum(treatment, bound).mean())


def test_ratios_have_the_variance_of_users_not_of_events(make_logs):
    exposures, outcomes = make_logs(np.random.default_rng(2))
    found = row(analyse(plain(), exposures, outcomes), "ctr")
    variances, ratios = [], []
    for clicks, shown in zip(*(by_loop(exposures, outcomes, event, "count") for event in ("click", "impression"))):
        ratio = clicks.sum() / shown.sum()
        ratios.append(ratio)
        # The linearised ratio: its variance over users is that of the delta method.
        variances.append(np.var((clicks - ratio * shown) / shown.mean(), ddof=1) / len(clicks))
    assert found["difference"] == pytest.approx(ratios[1] - ratios[0])
    assert found["standard_error"] == pytest.approx(math.sqrt(sum(variances)))


def test_cuped_equals_the_regression_on_the_days_before(make_logs):
    exposures, outcomes = make_logs(np.random.default_rng(3), users=1500, lift=0.1)
    found = row(analyse(spec([CLICKS]), exposures, outcomes), "clicks")
    after, before = (by_loop(exposures, outcomes, "click", "count", before=flag) for flag in (False, True))
    treated = np.repeat([0, 1], [len(after[0]), len(after[1])])
    design = sm.add_constant(np.column_stack([treated, np.concatenate(before)]))
    fit = sm.OLS(np.concatenate(after), design).fit(cov_type="HC2")
    assert found["difference"] == pytest.approx(fit.params[1], rel=0.02)
    assert found["standard_error"] == pytest.approx(fit.bse[1], rel=0.02)
    correlation = np.corrcoef(np.concatenate(before), np.concatenate(after))[0, 1]
    assert found["variance_reduction"] == pytest.approx(correlation**2, abs=0.03)


def test_the_bayesian_view_equals_draws_from_the_posterior():
    for effect, error, prior in ((0.5, 0.4, 0.3), (-0.2, 0.1, 1.0)):
        weight = prior**2 / (prior**2 + error**2)
        draws = np.random.default_rng(4).normal(weight * effect, math.sqrt(weight) * error, 400_000)
        better, loss = bayesian(effect, error, prior)
        assert better == pytest.approx((draws > 0).mean(), abs=0.004)
        assert loss == pytest.approx(np.maximum(0, -draws).mean(), abs=0.002)
    assert bayesian(1.0, 1.0, 0.0) == (0.5, 0.0)


@pytest.mark.slow
def test_false_positives_power_and_coverage_are_as_planned():
    """Per-user tables drawn directly: A/A and A/B with an effect that has power .8; bands of 3.5 standard errors."""
    rng = np.random.default_rng(5)
    runs, n = 300, 400
    plan = plain([CLICKS], planned_users=n)
    # Power .8 at alpha .05: an effect of 2.802 standard errors of a difference of exponential means.
    for effect, chance in ((0.0, 0.05), (2.8016 * 2 / math.sqrt(n), 0.8)):
        rejected = covered = 0
        for _ in range(runs):
            arm = np.repeat(["control", "treatment"], n // 2)
            values = rng.exponential(size=n) + effect * (arm == "treatment")
            frame = pl.DataFrame({"arm": arm, "clicks": values, "clicks/before": np.zeros(n)})
            found = estimate(frame, plan.metrics[0], plan, "treatment")
            rejected += found["p"] <= 0.05
            covered += found["low"] <= effect <= found["high"]
        assert abs(rejected / runs - chance) < 3.5 * math.sqrt(chance * (1 - chance) / runs)
        assert abs(covered / runs - 0.95) < 3.5 * math.sqrt(0.95 * 0.05 / runs)


def test_irregular_log_rows_are_counted():
    day = 86_400
    t = 1_700_000_000 // day * day
    exposures = pl.DataFrame(
        [("a", "control", t), ("a", "control", t), ("b", "treatment", t), ("c", "control", t), ("d", "treatment", t)]
        + [("both", "control", t), ("both", "treatment", t), (None, "control", t)],
        schema=["user_id", "arm", "timestamp"],
        orient="row",
    )
    outcomes = pl.DataFrame(
        [("a", "click", t + 5), ("b", "click", t + 3 * day), ("b", "click", t - day), ("c", "click", t - 40 * day)]
        + [("stranger", "click", t), ("both", "click", t), ("d", None, t), ("a", "click", t + 9 * day)],
        schema=["user_id", "event", "timestamp"],
        orient="row",
    )
    result = analyse(spec([CLICKS], outcome_days=7), exposures, outcomes)
    assert result.counts == {
        "exposures": 7,
        "invalid_exposures": 1,
        "repeated_exposures": 2,
        "users": 4,
        "users_in_both_arms": 1,
        "outcomes": 7,
        "invalid_outcomes": 1,
        "outcomes_of_others": 2,
        "outcomes_before_exposure": 2,
        "outcomes_too_late": 1,
        "users_without_outcome": 2,
    }
    first = datetime.fromtimestamp(t, UTC).date().toordinal()
    days = [datetime.fromisoformat(day).toordinal() - first for day in result.missing_days]
    assert days == [1, 2, 4, 5, 6, 7, 8]
    assert decide(result)[0].verdict == "do not decide"  # one user of five in both arms
    assert "1 of 5 users were shown more than one arm" in decide(result)[0].reasons[0]


def test_a_constant_metric_has_no_numbers(make_logs):
    exposures, outcomes = make_logs(np.random.default_rng(6))
    never = {"name": "never", "event": "refund", "role": "primary"}
    nothing = {"name": "nothing", "event": "click", "per": "refund"}
    result = analyse(spec([never, nothing]), exposures, outcomes)
    assert row(result, "never")["status"] == "constant" and row(result, "nothing")["status"] == "no denominator"
    assert row(result, "never")["p"] is None and row(result, "never")["p_adjusted"] is None
    assert decide(result)[0].reasons == ("There is no primary metric to decide by: never is constant.",)


def test_a_sample_ratio_mismatch_prevents_a_decision(make_logs):
    exposures, outcomes = make_logs(np.random.default_rng(7), users=600, lift=0.5)
    lost = exposures.filter((pl.col("arm") == "control") | (pl.int_range(pl.len()) % 3 > 0))
    result = analyse(spec(), lost, outcomes)
    sizes = [lost.filter(pl.col("arm") == arm).height for arm in ("control", "treatment")]
    expected = sum((size - sum(sizes) / 2) ** 2 / (sum(sizes) / 2) for size in sizes)
    assert result.sample_ratio["p"] == pytest.approx(math.erfc(math.sqrt(expected / 2)))
    assert not result.sample_ratio["ok"] and decide(result)[0].verdict == "do not decide"
    assert analyse(spec(), exposures, outcomes).sample_ratio["ok"]


def test_segments_show_where_the_effect_is(make_logs):
    rng = np.random.default_rng(8)
    parts = [make_logs(rng, users=800, lift=lift) for lift in (0.0, 0.5)]
    exposures, outcomes = (
        pl.concat([part[place].with_columns(pl.col("user_id") + f"-{name}") for part, name in zip(parts, "xy")])
        for place in (0, 1)
    )
    users = exposures.select("user_id", country=pl.col("user_id").str.slice(-1))
    result = analyse(spec(segments=["country"]), exposures, outcomes, users)
    found = {line["value"]: line for line in result.segments.to_dicts()}
    assert found["y"]["p_adjusted"] < 0.001 < found["x"]["p_adjusted"]
    whole = {name: (line["difference"], line["high"]) for name, line in found.items()}
    errors = {name: (high - d) / 1.96 for name, (d, high) in whole.items()}
    z = (whole["y"][0] - whole["x"][0]) / math.hypot(*errors.values())
    assert found["x"]["interaction_p"] == pytest.approx(math.erfc(abs(z) / math.sqrt(2)), rel=0.2, abs=1e-9)
    with pytest.raises(InvalidInput, match="no users were given"):
        analyse(spec(segments=["country"]), exposures, outcomes)
    with pytest.raises(InvalidInput, match="None of 1600 users"):
        analyse(spec(segments=["country"]), exposures, outcomes, users.with_columns(pl.col("user_id") + "?"))
    with pytest.raises(InvalidInput, match="'age'"):
        analyse(spec(segments=["age"]), exposures, outcomes, users)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda e, o: (e.drop("arm"), o), "exposures have no column 'arm'"),
        (lambda e, o: (e, o.rename({"event": "kind"})), "outcomes have no column 'event'"),
        (lambda e, o: (e.with_columns(arm=pl.lit("blue")), o), "400 users are in arms"),
        (lambda e, o: (e.filter(pl.col("arm") == "control"), o), "Arm 'treatment' has 0 users"),
        (lambda e, o: (e, o.with_columns(pl.col("user_id") + "x")), "None of 400 exposed users"),
        (lambda e, o: (e.with_columns(timestamp=pl.lit("soon")), o), "None of the first .* timestamps could be read"),
        (lambda e, o: ("log.xlsx", o), "log.xlsx"),
        (lambda e, o: ("none.parquet", o), "none.parquet"),
    ],
)
def test_logs_that_cannot_be_analysed_are_refused(make_logs, change, message):
    with pytest.raises(InvalidInput, match=message):
        analyse(spec(), *change(*make_logs(np.random.default_rng(9))))


@pytest.mark.slow
def test_logs_may_be_parquet_or_duckdb_and_have_datetimes(make_logs, tmp_path):
    import duckdb

    exposures, outcomes = make_logs(np.random.default_rng(10))
    expected = analyse(spec(), exposures, outcomes).effects
    exposures.write_parquet(tmp_path / "e.parquet")
    outcomes.write_csv(tmp_path / "o.csv")
    assert_frame_equal(analyse(spec(), tmp_path / "e.parquet", tmp_path / "o.csv").effects, expected)
    times = [frame.with_columns(pl.from_epoch("timestamp", "s")) for frame in (exposures, outcomes)]
    assert_frame_equal(analyse(spec(), *times).effects, expected)
    milliseconds = [frame.with_columns(pl.col("timestamp") * 1000) for frame in (exposures, outcomes)]
    assert_frame_equal(analyse(spec(), *milliseconds).effects, expected)
    with duckdb.connect(str(tmp_path / "logs.duckdb")) as base:
        base.execute(f"create table shown as select * from '{tmp_path}/e.parquet'")
        relation = base.sql("select * from shown")
        assert_frame_equal(analyse(spec(), relation, outcomes).effects, expected)
    query = f"{tmp_path}/logs.duckdb::select * from shown"
    assert_frame_equal(analyse(spec(), query, outcomes).effects, expected)
    with pytest.raises(InvalidInput, match="the query failed"):
        analyse(spec(), f"{tmp_path}/logs.duckdb::select * from nothing", outcomes)
    with pytest.raises(InvalidInput, match="no database"):
        analyse(spec(), "none.duckdb::select 1", outcomes)


@pytest.mark.slow
def test_the_verdict_is_the_same_for_csv_packed_csv_and_parquet(make_logs, tmp_path):
    import gzip

    exposures, outcomes = make_logs(np.random.default_rng(11))
    ids = pl.when(pl.int_range(pl.len()) % 2 == 0).then("099" + pl.col("user_id")).otherwise("g" + pl.col("user_id"))
    both = dict(zip(exposures["user_id"], exposures.select(ids).to_series()))
    logs = [frame.with_columns(pl.col("user_id").replace_strict(both, default=None)) for frame in (exposures, outcomes)]
    logs = [frame.drop_nulls("user_id") for frame in logs]
    expected = analyse(spec(), *logs)
    iso = [frame.with_columns(pl.from_epoch("timestamp", "s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")) for frame in logs]

    def packed(frame, path):
        path.write_bytes(gzip.compress(frame.write_csv().encode()))

    forms = {
        "csv": (logs, lambda frame, path: frame.write_csv(path)),
        "bom.csv": (logs, lambda frame, path: frame.write_csv(path, include_bom=True)),
        "csv.gz": (logs, packed),
        "iso.csv": (iso, lambda frame, path: frame.write_csv(path)),
        "parquet": (logs, lambda frame, path: frame.write_parquet(path)),
        "tsv": (logs, lambda frame, path: frame.write_csv(path, separator="\t")),
    }
    for ending, (frames, write) in forms.items():
        paths = [tmp_path / f"{name}.{ending}" for name in ("exposures", "outcomes")]
        for frame, path in zip(frames, paths):
            write(frame, path)
        found = analyse(spec(), *paths)
        assert_frame_equal(found.effects, expected.effects)
        assert found.counts == expected.counts


def test_the_columns_of_each_log_are_mapped_by_the_plan(make_logs, tmp_path):
    exposures, outcomes = make_logs(np.random.default_rng(13))
    expected = analyse(spec(), exposures, outcomes)
    day = pl.from_epoch("timestamp", "s").dt.strftime("%d.%m.%Y %H:%M:%S")
    exposures.select(uid="user_id", variant="arm", shown=day).write_csv(tmp_path / "e.csv", separator=";")
    nested = outcomes.select(who=pl.struct(id="user_id"), what="event", at=pl.col("timestamp") * 1000, eur="value")
    nested.write_ndjson(tmp_path / "o.jsonl")
    mapped = spec(
        exposures={
            "columns": {"user_id": "uid", "arm": "variant", "timestamp": "shown"},
            "time_format": "%d.%m.%Y %H:%M:%S",
        },
        outcomes={"columns": {"user_id": "who.id", "event": "what", "timestamp": "at", "value": "eur"}},
    )
    found = analyse(mapped, tmp_path / "e.csv", tmp_path / "o.jsonl")
    assert_frame_equal(found.effects, expected.effects)
    assert found.counts == expected.counts
    with pytest.raises(InvalidInput, match="exposures have no column 'user_id'.*exposures: {columns: {user_id"):
        analyse(spec(), tmp_path / "e.csv", outcomes)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "parquet"])
def test_impossible_times_are_left_out_if_few_and_refused_if_many(make_logs, tmp_path, ending):
    exposures, outcomes = make_logs(np.random.default_rng(14))
    expected = analyse(spec(), exposures, outcomes)

    def analysed(wrong, **plan):
        """With as many outcomes more, in the year 2300."""
        late = outcomes.head(wrong).with_columns(timestamp=pl.lit(10_413_792_000))
        log, path = pl.concat([outcomes, late]), tmp_path / f"o.{ending}"
        log.write_parquet(path) if ending == "parquet" else log.write_csv(
            path, compression="gzip" if "gz" in ending else "uncompressed"
        )
        return analyse(spec(**plan), exposures, path)

    found = analysed(3)
    assert_frame_equal(found.effects, expected.effects)
    assert found.counts["invalid_outcomes"] == expected.counts["invalid_outcomes"] + 3
    with pytest.raises(InvalidInput, match="outcomes: 40 of .* times lie outside 1990-01-01 to .*2300-01-01"):
        analysed(40)
    assert analysed(40, latest="2301-01-01").counts["outcomes"] == expected.counts["outcomes"] + 40


@pytest.mark.parametrize("bad", [None, float("nan"), float("inf"), "n/a"])
def test_values_that_are_no_numbers_are_counted_and_the_rest_is_analysed(make_logs, bad):
    exposures, outcomes = make_logs(np.random.default_rng(12))
    outcomes = outcomes.with_columns(pl.lit(2.5).alias("value"))
    summed = spec(metrics=[{"name": "revenue", "event": outcomes["event"][0], "aggregate": "sum"}])
    expected = analyse(summed, exposures, outcomes)
    extra = outcomes.head(1)
    if isinstance(bad, str):
        outcomes, extra = outcomes.with_columns(pl.col("value").cast(pl.String)), extra.with_columns(value=pl.lit(bad))
    else:
        extra = extra.with_columns(value=pl.lit(bad, pl.Float64))
    found = analyse(summed, exposures, pl.concat([outcomes, extra]))
    assert_frame_equal(found.effects, expected.effects)
    assert found.counts["invalid_outcomes"] == expected.counts["invalid_outcomes"] + 1
