# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 6. Serve a model, then find out whether it is better
#
# The first half uses MovieLens (real data): export, check, serve, send requests. The second half is about learning
# online, in a shop that is **simulated**: what another policy would have earned according to yesterday's log, how long
# a test must run, the A/B test, and the decision.
#
# The notebook needs the extras `notebooks`, `serve` and `experiments`: run
# `pip install -e '.[notebooks,serve,experiments]'` in a clone first (also on Colab, which is untested).

# %% tags=["parameters"]
epochs = 8
calls = 200  # requests to time
people = 3000
days = 14
folder = "runs/notebooks/06"

# %%
import json
import time
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tensorflow as tf

from tfrec.data import read_movielens_100k
from tfrec.downloads import movielens_100k_folder
from tfrec.experiments import (
    ExperimentSpec,
    Simulator,
    analyse,
    decide,
    epsilon_greedy_policy,
    list_propensities,
    plan,
    slate_off_policy,
    softmax_policy,
)  # fmt: skip
from tfrec.serving import Client, LocalServer

folder = Path(folder)
tf.get_logger().setLevel("ERROR")

# %% [markdown]
# ## Export
#
# A version folder for TensorFlow Serving: raw ids and texts in, lists out, warm-up requests inside, server
# configuration beside it. `check` loads it the way the server does (with TensorFlow's C API, without tfrec, if there is
# a C compiler) and compares its answers with those at export.

# %%
data = tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), folder / "data", split="leave-one-out", force=True)
config = tfrec.RunConfig().with_values([f"training.epochs={epochs}", "export.filter_attribute=genres"])
run = tfrec.train(data, folder / "run", config, force=True)
version = tfrec.export(run, folder / "saved_models" / "movielens", version=1, force=True)
report = tfrec.check(version)
print(report)
print(sorted(path.name for path in version.parent.rglob("*") if path.is_file()))

# %% [markdown]
# ## Serve
#
# `tfrec serve` (here `LocalServer`) answers the REST and gRPC routes of TensorFlow Serving on this machine. In
# production, use TensorFlow Serving itself:
#
# ```
# docker run -p 8501:8501 -v $PWD/saved_models/movielens:/models/movielens \
#     -e MODEL_NAME=movielens tensorflow/serving:2.20.0
# ```

# %%
server = LocalServer(version.parent)
server.__enter__()
client = Client(server.rest, "movielens")
titles = dict(zip(data.item_ids, data.items["title"]))
by_title = {title: item for item, title in titles.items()}
watched = [by_title[title] for title in ("Star Wars", "Alien", "Terminator, The", "Blade Runner")]
answer = client.recommend([(item, "rating") for item in watched], k=5)
pl.DataFrame([{"film": titles[item], "score": round(score, 2)} for item, score in answer])

# %% [markdown]
# A person without a history gets popular films, and the answer says so (`fallback`). For a film that is in no
# catalogue, a text is enough to recommend from.

# %%
shapes = client.signatures()
length = shapes["recommend"]["history_item_ids"][1]
empty = client.predict(
    {
        "history_item_ids": [[""] * length],
        "history_events": [[""] * length],
        "exclude_item_ids": [[""] * shapes["recommend"]["exclude_item_ids"][1]],
    },
    signature="recommend",
)
print("no history: fallback", bool(empty["fallback"][0]), [titles[item] for item in empty["item_ids"][0][:3]])
inputs = {name: [[""] * shape[1]] for name, shape in shapes["recommend_from_text"].items() if len(shape) == 2}
inputs["history_texts"][0][0] = "A robot policeman hunts androids in a dark city of the future, science fiction"
fresh = client.predict(inputs, signature="recommend_from_text")
print("from a text alone:", [titles[item] for item in fresh["item_ids"][0][:5]])

# %%
grpc = Client(server.grpc, "movielens")
milliseconds = {}
for name, caller in (("REST", client), ("gRPC", grpc)):
    taken = []
    for _ in range(calls):
        started = time.perf_counter()
        caller.recommend([(item, "rating") for item in watched], k=10)
        taken.append(1000 * (time.perf_counter() - started))
    milliseconds[name] = float(np.median(taken))
    plt.hist(taken, bins=40, range=(0, np.quantile(taken, 0.98)), alpha=0.6, label=name)
plt.gca().set(xlabel="ms", title="One request at a time, server and client on this machine")
plt.legend()
plt.show()
print({name: f"{value:.1f} ms" for name, value in milliseconds.items()})
for caller in (client, grpc):
    caller.close()
server.__exit__(None, None, None)

# %% [markdown]
# ## A shop to experiment on (simulated)
#
# Today's policy A knows what is popular. The new policy B knows a good deal about each person. Both show every item
# with a known probability, the propensity, which is logged with each impression.

# %%
shop = Simulator(people, 30, places=3, visits_a_day=0.3, seed=0)
popular = np.tile(shop.appeal().mean(axis=0), (people, 1))
a = softmax_policy(popular, 0.2)
b = epsilon_greedy_policy(shop.appeal() + np.random.default_rng(1).normal(0, 0.25, a.shape), 0.6)
metrics = [
    {"name": "clicks", "event": "click", "role": "primary"},
    {"name": "ctr", "event": "click", "per": "impression", "role": "primary"},
    {"name": "impressions", "event": "impression", "role": "guardrail", "margin": 0.1},
]
spec = ExperimentSpec.from_dict(
    {"name": "personal", "simulated": True, "planned_users": int(people * 0.8), "metrics": metrics, "covariate_days": 7}
)
only_a = spec.model_copy(update={"arms": {"control": 1 - 1e-9, "treatment": 1e-9}})
before = shop.run(only_a, {"control": a, "treatment": a}, days, seed=2)

# %% [markdown]
# ## Off-policy evaluation: what would B have earned?
#
# The answer comes from the log of A alone, before anyone has seen B: each logged list is weighted by how much more
# likely B would have shown it. `slate_off_policy` says how many rows the answer rests on, and warns if the policies are
# too different.

# %%
log = before.impressions
rows = log["user_id"].str.slice(5).cast(pl.Int64).to_numpy().reshape(-1, 3)[:, 0]
lists = log["item_id"].str.slice(5).cast(pl.Int64).to_numpy().reshape(-1, 3)
clicks, logged = (log[name].cast(pl.Float64).to_numpy().reshape(-1, 3) for name in ("click", "propensity"))
promised = slate_off_policy(
    clicks, logged, list_propensities(b[rows], lists), interaction="reward-interaction", self_normalised=True
)
today = float(clicks.sum(axis=1).mean())
print(f"A earned {today:.3f} clicks a visit. B: {promised.value:.3f} [{promised.low:.3f}, {promised.high:.3f}],")
print(f"from {promised.effective_sample_size:,.0f} of {promised.rows:,} rows. Warnings: {promised.warnings or 'none'}")
print(f"The truth, which only a simulation knows: {shop.clicks_a_visit(b, draws=50):.3f} (on a first visit)")

# %% [markdown]
# ## Plan: how long must the test run?

# %%
plan(spec, before.outcomes, effect=0.05, durations=(3, 5, 7))

# %% [markdown]
# ## Run the A/B test and look every day
#
# Looking at an ordinary p-value every day finds effects that do not exist. The always-valid interval may be looked at
# as often as you like: on the first day on which it excludes 0, you may stop.

# %%
# People remember what they were shown, as in life: the shop keeps its state.
start = before.outcomes["timestamp"].max()
logs = shop.run(spec, {"control": a, "treatment": b}, days, seed=3)
shift = (start // 86_400 + 1) * 86_400 - logs.outcomes["timestamp"].min() // 86_400 * 86_400
exposures, outcomes = (frame.with_columns(pl.col("timestamp") + shift) for frame in (logs.exposures, logs.outcomes))
outcomes = pl.concat([before.outcomes, outcomes])  # the days before feed CUPED
first = exposures["timestamp"].min() // 86_400
daily = []
for day in range(2, days + 1):
    end = (first + day) * 86_400
    so_far = analyse(spec, exposures.filter(pl.col("timestamp") < end), outcomes.filter(pl.col("timestamp") < end))
    daily.append({"day": day, **so_far.effects.filter(pl.col("metric") == "ctr").row(0, named=True)})
daily = pl.DataFrame(daily, infer_schema_length=None)
plt.fill_between(daily["day"], daily["sequential_low"], daily["sequential_high"], alpha=0.3, label="always valid")
plt.fill_between(daily["day"], daily["low"], daily["high"], alpha=0.4, label="95%, valid at the end only")
plt.plot(daily["day"], daily["difference"], label="difference of the click rate")
plt.axhline(0, c="grey", lw=1)
plt.gca().set(xlabel="day", title="Treatment against control (simulated)")
plt.legend()
plt.show()

# %%
result = analyse(spec, exposures, outcomes)
decision = decide(result)[0]
print("Sample ratio:", result.sample_ratio)
print(decision.verdict.upper(), *decision.reasons, sep="\n- ")
result.effects.select("metric", "control", "treatment", "relative", "low", "high", "p_adjusted", "variance_reduction")

# %% [markdown]
# For your own logs, `tfrec experiment plan`, `assign`, `analyse` and `report` do the same with files.

# %%
ctr = result.effects.filter(pl.col("metric") == "ctr").row(0, named=True)
figures = {
    "examples": report.examples, "answered": len(answer), "fallback": bool(empty["fallback"][0]),
    "today": today, "promised": [promised.low, promised.value, promised.high],
    "ctr": [ctr["low"], ctr["difference"], ctr["high"]], "sample_ratio_ok": result.sample_ratio["ok"],
    "verdict": decision.verdict, "milliseconds": milliseconds,
}  # fmt: skip
print(json.dumps(figures))
