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
# # 2. E-commerce: what people buy again, what they buy next, and products that are new
#
# The Complete Journey (84.51°): real groceries of real households, with several hundred products that training never
# sees. Two behaviours are in it: purchases, and purchases with a coupon. (No data set with views and favourites can be
# fetched from the package index; to the library they are two more names in the `event` column.)
#
# It needs the extra `notebooks`: `pip install -e '.[notebooks]'` in a clone. On Colab (untested) do that first.

# %% tags=["parameters"]
households = 400
weeks = 20
epochs = 8
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

from tfrec.assets import complete_journey_folder
from tfrec.data import read_complete_journey
from tfrec.retrieval import recommend

folder = Path(folder)
logging.getLogger("tensorflow").setLevel(logging.ERROR)

# %% [markdown]
# ## The log
#
# Some households and weeks, so that it runs in minutes. Products bought fewer than five times are left out.

# %%
events, products = read_complete_journey(complete_journey_folder())
chosen = events["user_id"].unique().sort().sample(households, seed=0)
end = datetime(2017, 1, 1) + timedelta(weeks=weeks)
events = events.filter(pl.col("user_id").is_in(chosen.implode()), pl.col("timestamp") < end)
often = events["item_id"].value_counts().filter(pl.col("count") >= 5)["item_id"]
events = events.filter(pl.col("item_id").is_in(often.implode()))
products = products.filter(pl.col("item_id").is_in(often.implode()))
print(f"{events.height} lines, {events['user_id'].n_unique()} households, {products.height} products")
events.head(3)

# %% [markdown]
# ## Prepare
#
# Split by time: training ends at 80% of the events, the test is the last tenth. `held_out_items` hides one product in
# twenty from training, to measure how new products fare.

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
# The share of what a household buys in the test weeks that it had bought before, by how often it had bought it:

# %%
queries = data.queries("test")
bought, again = [], []
for row in range(len(queries)):
    before = np.bincount(queries.history.items[queries.history.row(row)], minlength=data.num_items)
    wanted = queries.target_items[queries.target_offsets[row] : queries.target_offsets[row + 1]]
    bought.append(np.bincount(np.minimum(before, 10), minlength=11))
    again.append(np.bincount(np.minimum(before[wanted], 10), minlength=11))
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
# The model learns how much having bought a product counts (`repeat_bias`); nobody tells it whether this is a shop for
# films or for milk.

# %%
run = tfrec.train(data, folder / "run", config, force=True)
metrics = tfrec.evaluate_run(run, data)
newest, other, slope = run.model.repeats.numbers.numpy()
print(
    f"bias on the newest product {newest:+.2f}, on others of the history {other:+.2f}, "
    f"for each doubling more {slope * np.log(2):+.2f}"
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
# Products without a single training event have a text, so they have a vector. Among them alone, how good is the order?
# (Training never sees them, but the histories that are asked hold them, as in a live shop: part of what the model gets
# right is that households buy again what they bought once.)

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
# What it will need again, and what it does not know yet: the same scores, with and without what it has bought.

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

# %%
figures = {
    "ndcg": metrics["ndcg@10"],
    "popularity": metrics["baselines"]["popularity"]["ndcg@10"],
    "repeats": float(repeats),
    "cold": {name: cold[name] for name in names},
    "overlap": len(set(lists[False]) & set(lists[True])),
}
print(json.dumps(figures))
