"""Writes experiment.html beside itself: the decision page of a simulated A/B test, popularity against taste.

The run page beside it is `tfrec evaluate --run runs/quickstart --data runs/quickstart-data --report
docs/examples/run.html` after `tfrec quickstart`.
"""

from pathlib import Path

import numpy as np
import polars as pl

from tfrec.experiments import (
    ExperimentSpec,
    Simulator,
    analyse,
    epsilon_greedy_policy,
    experiment_report,
    softmax_policy,
)

USERS = 6000
METRICS = [
    {"name": "clicks a user", "event": "click", "role": "primary"},
    {"name": "click-through", "event": "click", "per": "impression", "role": "primary"},
    {"name": "clicking users", "event": "click", "aggregate": "any"},
    {"name": "impressions a user", "event": "impression", "role": "guardrail", "margin": 0.05},
]

shop = Simulator(USERS, 40, places=3, visits_a_day=0.35, seed=1)
plan = {"name": "taste-ranker", "simulated": True, "planned_users": 5000, "segments": ["country"], "metrics": METRICS}
spec = ExperimentSpec.from_dict(plan)
popular = np.tile(shop.appeal().mean(axis=0), (USERS, 1))
noise = np.random.default_rng(2).normal(0, 0.08, popular.shape)
arms = {
    "control": softmax_policy(popular, 0.2),
    "treatment": epsilon_greedy_policy(0.75 * popular + 0.25 * shop.appeal() + noise, 0.5),
}
logs = shop.run(spec, arms, days=14, seed=3)
countries = np.random.default_rng(4).choice(["NL", "FR", "DE"], USERS)
users = pl.DataFrame({"user_id": shop.user_ids, "country": countries})
page = experiment_report(analyse(spec, logs.exposures, logs.outcomes, users))
Path(__file__).with_name("experiment.html").write_text(page, encoding="utf-8")
