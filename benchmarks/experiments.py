"""Does tfrec.experiments keep its error rates, and how long does a large analysis take?

Simulations measure

- false positives of A/A tests, power at the planned size and coverage of intervals: for a mean, with CUPED, for a
  ratio;
- false positives when results are looked at after every user, with confidence sequences and with fixed-horizon
  intervals;
- the same for users who return, with a look every day;
- interleaving compared with an A/B test of equally many visits;
- off-policy estimates on logs whose true value is known.

Each rate comes with the band of 3 standard errors in which that of a correct method lies. Then 10 million exposures
with 10 metrics and CUPED are analysed in a process of its own; the goals are 30 s and 4 GB of peak memory. There is no
peer: the ratio is the goal over the time taken. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

GOAL_SECONDS, GOAL_GB = 30.0, 4.0
DAY = 86_400_000_000


def band(rate: float, runs: int) -> list[float]:
    """The interval in which the rate of a correct method lies in 997 of 1000 simulations."""
    width = 3 * math.sqrt(rate * (1 - rate) / runs)
    return [max(0.0, rate - width), min(1.0, rate + width)]


def with_band(rate: float, promised: float, runs: int, at_most: bool = False) -> dict[str, Any]:
    """A measured rate with the promised rate, its band, and whether the promise is kept.

    Args:
        rate: Measured rate.
        promised: Promised rate.
        runs: Number of simulations.
        at_most: Whether a lower rate is fine too.
    """
    low, high = band(promised, runs)
    return {"rate": round(rate, 4), "promised": promised, "band": [round(low, 4), round(high, 4)], "runs": runs,
            "kept": bool(rate <= high and (at_most or rate >= low))}  # fmt: skip


def fixed_horizon(runs: int, users: int = 1000) -> dict[str, Any]:
    """False positives, power and coverage of `estimate`: for a mean, a mean with CUPED, and a ratio."""
    from tfrec.experiments import ExperimentSpec, sample_size
    from tfrec.experiments.ab_test.estimates import estimate

    rng = np.random.default_rng(1)
    rates: dict[str, Any] = {}
    arm = np.repeat(["control", "treatment"], users // 2)
    treated = arm == "treatment"
    for name, metric in {
        "mean": {"name": "m", "event": "e", "covariate": False},
        "cuped": {"name": "m", "event": "e"},
        "ratio": {"name": "m", "event": "e", "per": "shown", "covariate": False},
    }.items():
        spec = ExperimentSpec.from_dict({"name": "x", "metrics": [metric], "planned_users": users})
        # The relative effect that this many users should detect with power .8.
        sd = {"mean": math.sqrt(3), "cuped": 1.0, "ratio": None}[name]
        lift = 0.1 if sd is None else _lift(sample_size, users, 2.0, sd)
        rejected = {0.0: 0, lift: 0}
        covered = {0.0: 0, lift: 0}
        for effect in rejected:
            for _ in range(runs):
                habit = rng.gamma(2, 0.5, users) * 2
                if name == "ratio":
                    shown = 1 + rng.poisson(5 * habit)
                    values = rng.binomial(shown, np.clip(0.2 * (1 + effect * treated) * habit / 2, 0, 1))
                    truth = None
                else:
                    shown = None
                    noise = rng.normal(0, 1, users)
                    values = habit + noise + effect * 2.0 * treated
                    truth = effect * 2.0
                columns = {"arm": arm, "m": values.astype(float), "m/before": habit if name == "cuped" else 0.0}
                if shown is not None:
                    columns |= {"m/per": shown.astype(float), "m/per/before": 0.0}
                row = estimate(pl.DataFrame(columns), spec.metrics[0], spec, "treatment")
                rejected[effect] += row["p"] <= 0.05
                if truth is not None or effect == 0:
                    covered[effect] += row["low"] <= (truth or 0.0) <= row["high"]
        rates[f"{name}: false positives (A/A)"] = with_band(rejected[0.0] / runs, 0.05, runs)
        rates[f"{name}: coverage"] = with_band(covered[0.0] / runs, 0.95, runs)
        if name != "ratio":
            rates[f"{name}: power at the planned size"] = with_band(rejected[lift] / runs, 0.8, runs)
            rates[f"{name}: coverage with an effect"] = with_band(covered[lift] / runs, 0.95, runs)
    return rates


def _lift(sample_size: Any, users: int, mean: float, sd: float) -> float:
    """The relative effect that a number of users detects with power .8."""
    at_ten_percent = sample_size(mean, sd, 0.1)
    return 0.1 * math.sqrt(at_ten_percent / users)


def sequential(runs: int, users: int = 5000, burn: int = 200) -> dict[str, Any]:
    """False positives with a look after every pair of users."""
    from tfrec.experiments import sequence_radius

    rng = np.random.default_rng(2)
    ever = naive = missed = 0
    n = np.arange(1, users + 1)[burn:]
    for _ in range(runs):
        means, variances = [], []
        for _arm in range(2):
            values = rng.lognormal(0, 0.8, users)
            mean = values.cumsum() / np.arange(1, users + 1)
            means.append(mean)
            variances.append((values**2).cumsum() / np.arange(1, users + 1) - mean**2)
        difference = (means[1] - means[0])[burn:]
        error = np.sqrt((variances[0] + variances[1])[burn:] / n)
        ever += bool((np.abs(difference) > sequence_radius(error, 2 * n, users)).any())
        naive += bool((np.abs(difference) > 1.96 * error).any())
        missed += bool(np.abs(difference[-1]) > 1.96 * error[-1])
    return {
        "sequence: false positives, a look after every user": with_band(ever / runs, 0.05, runs, at_most=True),
        "usual interval: the same looks": {"rate": naive / runs, "runs": runs},
        "usual interval: one look at the end": with_band(missed / runs, 0.05, runs),
    }


def returning(runs: int, users: int = 2000, days: int = 28) -> dict[str, Any]:
    """False positives with a look every day, for users who enter over two weeks and then return daily."""
    from tfrec.experiments import sequence_radius

    rng = np.random.default_rng(3)
    ever = naive = 0
    for _ in range(runs):
        treated = rng.random(users) < 0.5
        entered = rng.integers(0, 14, users)
        habit = rng.gamma(1, 1, users)
        daily = rng.poisson(habit[:, None] * (np.arange(days) >= entered[:, None]))
        totals = daily.cumsum(axis=1)
        crossed = usual = False
        for day in range(2, days):
            here = entered <= day
            a, b = totals[here & ~treated, day], totals[here & treated, day]
            error = math.sqrt(a.var(ddof=1) / len(a) + b.var(ddof=1) / len(b))
            gap = abs(b.mean() - a.mean())
            crossed |= gap > float(sequence_radius(error, len(a) + len(b), users))
            usual |= gap > 1.96 * error
        ever, naive = ever + crossed, naive + usual
    return {
        "sequence: false positives, returning users, daily looks": with_band(ever / runs, 0.05, runs, at_most=True),
        "usual interval: returning users, daily looks": {"rate": naive / runs, "runs": runs},
    }


def interleaving(runs: int, visits: int = 400, places: int = 5) -> dict[str, Any]:
    """How often the better ranking of ten items is detected with equally many visits: A/B test and interleaving."""
    from scipy import stats

    from tfrec.experiments import interleaving_test, optimised, team_draft

    look = 0.8 ** np.arange(places)
    rates: dict[str, Any] = {}
    for way in ("A/B test", "team draft", "optimised"):
        rng = np.random.default_rng(5)
        seen = {"better": 0, "same": 0}
        for kind in seen:
            for _ in range(runs):
                appeal = rng.uniform(0.02, 0.3, 10)
                noise = (0.12, 0.06) if kind == "better" else (0.12, 0.12)
                a, b = (np.argsort(-(appeal + rng.normal(0, sd, 10))).tolist() for sd in noise)
                if kind == "same":
                    appeal = np.full(10, appeal.mean())  # so that neither ranking can be better
                if way == "A/B test":
                    clicks = [
                        rng.binomial(1, appeal[ranking[:places]] * look, (visits // 2, places)).sum(axis=1)
                        for ranking in (a, b)
                    ]
                    p = float(stats.ttest_ind(clicks[1], clicks[0]).pvalue)
                else:
                    lottery = optimised(a, b, places) if way == "optimised" else None
                    scores = []
                    for _ in range(visits):
                        shown = lottery.draw(rng) if lottery else team_draft(a, b, places, rng)
                        clicked = rng.random(places) < appeal[list(shown.items)] * look
                        scores.append(float(np.dot(shown.credits, clicked)))
                    p = interleaving_test(np.array(scores), range(visits), flips=499)["p"]
                seen[kind] += p <= 0.05
        rates[f"{way}: better ranking seen with {visits} visits"] = {"rate": seen["better"] / runs, "runs": runs}
        rates[f"{way}: false positives"] = with_band(seen["same"] / runs, 0.05, runs, at_most=True)
    return rates


def off_policy_estimates(runs: int, rows: int = 1000, actions: int = 5) -> dict[str, Any]:
    """Bias in standard errors of the mean, and coverage of 95% intervals, on logs whose true value is known."""
    from tfrec.experiments import epsilon_greedy_policy, model_value, off_policy, sample_actions, softmax_policy

    rates: dict[str, Any] = {}
    at = np.arange(rows)
    for estimator in ("ips", "snips", "dr", "switch-dr"):
        rng = np.random.default_rng(6)
        errors, covered = [], 0
        for _ in range(runs):
            truth = 1 / (1 + np.exp(-rng.normal(-1, 1, (rows, actions))))
            guess, better = (np.clip(truth + rng.normal(0, sd, truth.shape), 0, 1) for sd in (0.2, 0.1))
            logging, target = softmax_policy(guess, 0.5), epsilon_greedy_policy(better, 0.2)
            chosen, chances = sample_actions(logging, rng)
            rewards = (rng.random(rows) < truth[at, chosen]).astype(float)
            result = off_policy(
                rewards, chances, target[at, chosen], estimator=estimator, logged_model=guess[at, chosen],
                target_model=model_value(guess, target), switch=20.0,
            )  # fmt: skip
            value = float((truth * target).sum(axis=1).mean())
            errors.append(result.value - value)
            covered += result.low <= value <= result.high
        rates[f"off-policy {estimator}: coverage"] = with_band(covered / runs, 0.95, runs)
        bias = float(np.mean(errors) / (np.std(errors) / math.sqrt(runs)))
        rates[f"off-policy {estimator}: bias, standard errors"] = {
            "rate": round(bias, 2), "rmse": round(float(np.sqrt(np.mean(np.square(errors)))), 4), "runs": runs,
            "kept": bool(abs(bias) < 3.5),
        }  # fmt: skip
    return rates


def write_logs(folder: Path, exposures: int, per_user: int = 10) -> None:
    """Writes exposures (ten for each user) and twice as many outcomes before and after them, as Parquet."""
    rng = np.random.default_rng(4)
    users = exposures // per_user
    start = 1_700_000_000_000_000
    who = rng.integers(0, users, exposures)
    arm = np.where(rng.random(users) < 0.5, "control", "treatment")
    time_ = start + rng.integers(0, 14 * DAY, exposures)
    pl.DataFrame({"user_id": who, "timestamp": time_, "arm": arm[who]}).with_columns(
        pl.format("user-{}", "user_id").alias("user_id")
    ).write_parquet(folder / "exposures.parquet")
    n = 2 * exposures
    kinds = pl.Series(["view", "click", "cart", "buy", "share"])
    who = rng.integers(0, users, n)
    pl.DataFrame(
        {
            "user_id": who,
            "event": kinds[rng.choice(5, n, p=[0.6, 0.25, 0.08, 0.05, 0.02])],
            "timestamp": start + rng.integers(-14 * DAY, 28 * DAY, n),
            "value": rng.exponential(10, n),
        }
    ).with_columns(pl.format("user-{}", "user_id").alias("user_id")).write_parquet(folder / "outcomes.parquet")


METRICS = [
    {"name": "clicks", "event": "click", "role": "primary"},
    {"name": "views", "event": "view"},
    {"name": "carts", "event": "cart"},
    {"name": "buys", "event": "buy"},
    {"name": "revenue", "event": "buy", "aggregate": "sum", "winsorise": 0.999},
    {"name": "buyers", "event": "buy", "aggregate": "any"},
    {"name": "sharers", "event": "share", "aggregate": "any", "role": "guardrail", "margin": 0.05},
    {"name": "click rate", "event": "click", "per": "view"},
    {"name": "buy rate", "event": "buy", "per": "click"},
    {"name": "clicks per exposure", "event": "click", "per": "exposures"},
]


def analyse_large(folder: Path) -> None:
    """Analyses the logs and prints seconds and peak memory. Runs in a process of its own."""
    from tfrec.experiments import ExperimentSpec, analyse

    spec = ExperimentSpec.from_dict({"name": "large", "metrics": METRICS})
    started = time.perf_counter()
    result = analyse(spec, folder / "exposures.parquet", folder / "outcomes.parquet")
    seconds = time.perf_counter() - started
    gb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(json.dumps({"seconds": seconds, "gb": gb, "users": result.users, "metrics": result.effects.height}))


def main() -> None:
    """Parses the command line, measures, and prints the JSON line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exposures", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=2000, help="simulations for each rate")
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.folder:
        analyse_large(options.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_logs(Path(folder), options.exposures)
        root = str(Path(__file__).resolve().parents[1])
        finished = subprocess.run(
            [sys.executable, __file__, "--folder", folder],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": root, "POLARS_MAX_THREADS": "2"},
        )
    if finished.returncode:
        raise SystemExit(finished.stderr)
    large = json.loads(finished.stdout.splitlines()[-1])
    validation = {
        **fixed_horizon(options.runs),
        **sequential(options.runs),
        **returning(options.runs // 2),
        **interleaving(options.runs // 10),
        **off_policy_estimates(options.runs),
    }
    line = {
        "benchmark": "experiments",
        "ratios": {"goal": GOAL_SECONDS / large["seconds"]},
        "figures": {
            "exposures": options.exposures,
            **{f"analysis_{key}": value for key, value in large.items()},
            "goal_seconds": GOAL_SECONDS,
            "goal_gb": GOAL_GB,
            "validation": validation,
            "kept": all(entry.get("kept", True) for entry in validation.values()),
        },
        "machine": {"cpus": os.cpu_count(), "platform": platform.platform()},
        "versions": {"python": platform.python_version(), "polars": pl.__version__, "numpy": np.__version__},
    }
    print(json.dumps(line))


if __name__ == "__main__":
    main()
