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
# # 2. E-commerce: repeat purchases, new products and several behaviours
#
# The Complete Journey (84.51°): real groceries of real households, with several hundred products that training never
# sees. It has two behaviours, purchases and purchases with a coupon. No public data set with views and favourites is
# available from the package index, so the last part, about the way from a view to a purchase, uses a simulated shop.
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first (also on Colab, which
# is untested).

# %% tags=["parameters"]
households = 400
weeks = 20
epochs = 8
ranker_epochs = 3
shoppers = 250
bootstrap = 500
folder = "runs/notebooks/02"

# %%
import json
import logging
from datetime import datetime, timedelta
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from tfrec.data import read_complete_journey
from tfrec.data.datasets.simulated_retail_funnel import retail_behaviours
from tfrec.downloads import complete_journey_folder
from tfrec.evaluation import compare_systems, evaluate_ranking
from tfrec.models import ClickRankerPredictor
from tfrec.retrieval import recommend
from tfrec.runs.two_stage import two_stage_scorer

folder = Path(folder)
logging.getLogger("tensorflow").setLevel(logging.ERROR)

# %% [markdown]
# ## The log
#
# A sample of households and weeks, so that the notebook runs in minutes. Products bought fewer than five times are left
# out.

# %%
events, products = read_complete_journey(complete_journey_folder())
events = events.drop("context_basket")  # the number of a basket says nothing about the next one
chosen = events["user_id"].unique().sort().sample(households, seed=0)
end = datetime(2017, 1, 1) + timedelta(weeks=weeks)
events = events.filter(pl.col("user_id").is_in(chosen.implode()), pl.col("timestamp") < end)
frequent = events["item_id"].value_counts().filter(pl.col("count") >= 5)["item_id"]
events = events.filter(pl.col("item_id").is_in(frequent.implode()))
products = products.filter(pl.col("item_id").is_in(frequent.implode()))
print(f"{events.height} lines, {events['user_id'].n_unique()} households, {products.height} products")
events.head(3)

# %% [markdown]
# ## Prepare
#
# The split is by time: training ends at 80% of the events, and the test is the last tenth. `held_out_items` keeps one
# product in twenty out of training, to measure how well new products are recommended.

# %%
config = tfrec.RunConfig().with_values(
    ["data.held_out_items=0.05", f"training.epochs={epochs}", f"evaluation.bootstrap={bootstrap}"]
)
data = tfrec.prepare(events, products, folder / "data", split="global-time", config=config, force=True)
print(data.manifest["counts"])
print(data.texts[0])

# %% [markdown]
# ## People buy again
#
# The probability that a household buys a product in the test weeks, by how often it has bought the product before:

# %%
queries = data.queries("test")
bought, again = [], []
for row in range(len(queries)):
    before = np.bincount(queries.history.items[queries.history.row(row)], minlength=data.num_items)
    targets = queries.target_items[queries.target_offsets[row] : queries.target_offsets[row + 1]]
    bought.append(np.bincount(np.minimum(before, 10), minlength=11))
    again.append(np.bincount(np.minimum(before[targets], 10), minlength=11))
chance = np.sum(again, axis=0) / np.maximum(np.sum(bought, axis=0), 1)
repeats = 1 - np.sum(again, axis=0)[0] / np.sum(again)
plt.figure(figsize=(6, 3))
plt.bar(range(11), chance)
plt.gca().set(xlabel="times bought before (10: or more)", ylabel="chance to be bought in the test", xticks=range(11))
plt.show()
print(f"{repeats:.0%} of the products bought in the test weeks had been bought before by the same household")

# %% [markdown]
# ## Train and compare
#
# The model learns how much a previous purchase counts (`repeat_bias`), and how that differs for purchases with a
# coupon. It has to find out by itself whether this is a shop for films or for milk.

# %%
run = tfrec.train(data, folder / "run", config, force=True)
metrics = tfrec.evaluate(run, data)
newest, other, slope, *of_kind = run.model.repeats.coefficients.numpy()
print(
    f"bias on the newest product {newest:+.2f}, on others of the history {other:+.2f}, "
    f"for each doubling more {slope * np.log(2):+.2f}; where it was last taken by "
    + ", ".join(f"{kind} {more:+.2f}" for kind, more in zip(data.event_kinds, of_kind, strict=True))
)
pl.DataFrame(
    [{"model": "next-item", **{m: metrics[m] for m in ("ndcg@10", "recall@10")}}]
    + [{"model": name, **{m: row[m] for m in ("ndcg@10", "recall@10")}} for name, row in metrics["baselines"].items()]
)

# %%
curve = pl.read_csv(run.path / "history.csv")
figure, axes = plt.subplots(1, 2, figsize=(9, 3))
axes[0].plot(curve["epoch"], curve["loss"], marker=".")
axes[0].set(xlabel="epoch", title="training loss")
axes[1].plot(curve["epoch"], curve["valid_ndcg@10"], marker=".")
axes[1].set(xlabel="epoch", title="validation ndcg@10")
plt.show()

# %% [markdown]
# ## New products
#
# Products without a training event still have a text, and so a vector. How well are they ordered among themselves? (The
# histories of the test contain new products, as in a live shop, so part of what the model gets right is that households
# buy a new product again.)

# %%
cold = metrics["slices"]["cold_items"]
names = {"among_cold": "the model", "text_among_cold": "text of the last item", "random_among_cold": "chance"}
plt.figure(figsize=(6, 2))
plt.barh(list(names.values()), [cold[name] for name in names])
plt.title(f"ndcg@10 among {cold['items']} products that training never saw, {cold['users']} households")
plt.show()

# %% [markdown]
# ## Two lists for one household
#
# What it will need again, and what it does not know yet: the same scores, with and without the products it has bought.

# %%
texts = dict(zip(data.item_ids, data.texts))
household = str(queries.user_ids[0])
scorer = run.scorer(data)
lists = {}
for seen in (False, True):
    found = recommend(scorer, data, item_ids=data.item_ids, k=8, users=[household], exclude_seen=seen)
    lists[seen] = found["item_id"].to_list()
print("AGAIN OR NEW", *[texts[item] for item in lists[False]], sep="\n  ")
print("NEW TO IT", *[texts[item] for item in lists[True]], sep="\n  ")

# %% [markdown]
# ## One head for each behaviour
#
# `ClickRanker` is a second stage: it looks at a few candidates and predicts the probability of each behaviour. Here
# these are a purchase and the rare purchase with a coupon. It is trained on purchases, with products that the household
# never bought as negatives. AUC and log loss are measured against the same kind of easy negatives, so compare them with
# those of popularity, which is calibrated in the same way.

# %%
settings = ["model.kind=click-ranker", f"training.epochs={ranker_epochs}", "ranker.dim=32", "model.max_history=30"]
ranker = tfrec.train(data, folder / "ranker", config.with_values(settings), force=True)
ranker_metrics = tfrec.evaluate(ranker, data)


def heads_beside_popularity(metrics):
    popular = metrics["baselines"]["popularity"]["behaviours"]
    return pl.DataFrame(
        [
            {"head": name, "positives": head["positives"]}
            | {metric: head[metric] for metric in ("auc", "log_loss")}
            | {f"{metric} of popularity": popular[name][metric] for metric in ("auc", "log_loss")}
            for name, head in metrics["behaviours"].items()
        ]
    )


heads_beside_popularity(ranker_metrics)

# %% [markdown]
# Each head is calibrated on validation. Predicted and observed probabilities on the test, for bins of 30 examples or
# more:


# %%
def draw_calibration(axes, metrics):
    axes.axline((0, 0), slope=1, color="grey", linestyle="--")
    for name, head in metrics["behaviours"].items():
        rows = [row for row in head["calibration"] if row["count"] >= 30]
        axes.plot([r["probability"] for r in rows], [r["positive_rate"] for r in rows], marker="o", label=name)
    axes.set(xlabel="said", ylabel="happened", xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title="calibration on the test")
    axes.legend()


draw_calibration(plt.figure(figsize=(4, 3.5)).gca(), ranker_metrics)
plt.show()

# %% [markdown]
# ## Does it make the lists better?
#
# The first stage hands over its hundred best items. They are ordered by the sum of the ranker's probabilities and, with
# a weight, the first stage's own score. The weight is chosen on validation, and the test shows whether it was worth it.
# Differences are paired by household.

# %%
two_stages = two_stage_scorer(run, ranker, data, exclude_seen=False)


def measured(scorer, split):
    return evaluate_ranking(scorer, data.queries(split), num_items=data.num_items, ks=(10,), bootstrap=0)


found = {}
for weight in (0.0, 0.5, 1.0, 2.0, 4.0):
    two_stages.first_stage = weight
    found[weight] = measured(two_stages, "valid").metrics["ndcg@10"]
one_stage = measured(scorer, "valid").metrics["ndcg@10"]
two_stages.first_stage = max(found, key=found.get)
plt.figure(figsize=(6, 3))
plt.plot(list(found), list(found.values()), marker="o", label="two stages")
plt.axhline(one_stage, color="grey", linestyle="--", label="the first stage alone")
plt.gca().set(xlabel="weight of the first stage's score", title="validation ndcg@10")
plt.legend()
plt.show()
lists_of = {"one stage": measured(scorer, "test"), "two stages": measured(two_stages, "test")}
table = compare_systems({name: [result.predictions] for name, result in lists_of.items()}, resamples=bootstrap or 100)
gain, low, high = table.filter(metric="ndcg@10").select("difference", "low", "high").row(0)
wins = "two stages win" if low > 0 else "one stage wins" if high < 0 else "neither wins: the interval holds 0"
print(f"validation: the first stage alone {one_stage:.3f}, the ranker's order alone {found[0.0]:.3f}")
print(f"test, weight {two_stages.first_stage:g}: {gain:+.4f} ({low:+.4f} to {high:+.4f}): {wins}")
table.select("metric", "baseline_value", "value", "difference", "low", "high")

# %% [markdown]
# One question that only the ranker can answer: for which of a household's top products is it likely to use a coupon?

# %%
candidates = recommend(scorer, data, item_ids=data.item_ids, k=50, users=[household], exclude_seen=False)["item_id"]
places = {item: place for place, item in enumerate(data.item_ids)}
asked = np.array([[places[item] for item in candidates]])
chances = ClickRankerPredictor(ranker.model).probabilities(queries.history, [0], asked)[0]
answer = {"product": [texts[item] or item for item in candidates]} | dict(zip(ranker.model.behaviours, chances.T))
pl.DataFrame(answer).sort("coupon_purchase", descending=True).head(5)

# %% [markdown]
# ## Views, favourites, purchases: a simulated shop
#
# Nobody in this shop is real. Every item shown is an impression; some are viewed, some of those favourited, some
# bought, and people who shop by phone buy less of what they view. Whoever buys has viewed, so the heads are chained
# (ESMM): a purchase is never more likely than a view. Since the log has impressions, the ranker is trained and
# evaluated on them, and no negatives have to be sampled.

# %%
log, goods = retail_behaviours(users=shoppers, products=150, impressions=True)
shop = tfrec.prepare(log, goods, folder / "shop", split="global-time", force=True)
print(log["event"].value_counts(sort=True).rows())
funnel = tfrec.train(shop, folder / "funnel", config.with_values(settings), force=True)
shown = tfrec.evaluate(funnel, shop)
heads_beside_popularity(shown)

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5))
draw_calibration(axes[0], shown)
asking = shop.queries("test").history
rows = np.arange(len(asking))
newest = asking.items[asking.offsets[1:] - 1][:, None]
predictor, by_device = ClickRankerPredictor(funnel.model), {}
for device in ("phone", "desktop", "tablet"):
    context = {"context_device": np.full(len(rows), device, object)}
    by_device[device] = predictor.probabilities(asking, rows, newest, context=context)[:, 0].mean(axis=0)
width = 0.25
for place, (device, chance_of) in enumerate(by_device.items()):
    axes[1].bar(np.arange(len(chance_of)) + place * width, chance_of, width, label=device)
axes[1].set_xticks(np.arange(len(predictor.behaviours)) + width, predictor.behaviours)
axes[1].set(title="the same people and items, by device")
axes[1].legend()
plt.show()

# %%
figures = {
    "ndcg": metrics["ndcg@10"],
    "popularity": metrics["baselines"]["popularity"]["ndcg@10"],
    "repeats": float(repeats),
    "cold": {name: cold[name] for name in names},
    "overlap": len(set(lists[False]) & set(lists[True])),
    "heads": {name: [found["auc"], found["ece"]] for name, found in ranker_metrics["behaviours"].items()},
    "two_stages": [gain, low, high],
    "funnel": {name: found["auc"] for name, found in shown["behaviours"].items()},
    "by_device": {device: chance_of.tolist() for device, chance_of in by_device.items()},
}
print(json.dumps(figures))
