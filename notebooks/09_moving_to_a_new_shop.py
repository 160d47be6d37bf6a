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
# # 9. Moving to a new shop
#
# A shop that opens has a catalogue, and no log. What people did in other shops can still help, where a model reads
# items by what their texts say. This notebook trains one model on two shops, takes it to a third at once, and then asks
# how many people the third shop needs until a model of its own is as good.
#
# The shops are simulated. People go from one style to the next, in an order that is the same in all shops; the things
# are not. That is the best case for a transfer: who took one style wants another next, and neither the most similar
# texts nor the few counts of a new shop can say which.
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first.

# %% tags=["parameters"]
people = 300  # in each shop
epochs = 10
few = [0.1, 1.0]  # shares of the new shop's people
folder = "runs/notebooks/09"

# %%
import json
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tensorflow as tf

from tfrec.runs.moved_run import run_on

folder = Path(folder)
tf.get_logger().setLevel("ERROR")
STYLES = ["vintage leather", "scandinavian birch", "neon plastic", "rustic iron", "marble and gold", "floral linen"]
SHOPS = {
    "furniture": ["chair", "table", "shelf", "bed", "desk", "stool", "wardrobe", "bench"],
    "fashion": ["bag", "belt", "hat", "jacket", "watch case", "wallet", "scarf", "bracelet"],
    "garden": ["planter", "lantern", "bench cover", "watering can", "bird house", "parasol", "trellis", "doormat"],
}

# %% [markdown]
# Six events a person: in five of six cases a thing of the style after the last one's, never one that they have.


# %%
def shop(name, share=1.0, seed=0):
    """The log and the catalogue of a shop; a share of its people."""
    rng = np.random.default_rng([seed, list(SHOPS).index(name)])
    texts = [f"{style} {thing}, {size}" for style in STYLES for thing in SHOPS[name] for size in ("small", "large")]
    style = np.repeat(np.arange(len(STYLES)), len(texts) // len(STYLES))
    rows = []
    for person in range(int(people * share)):
        taken = [int(rng.integers(len(texts)))]
        rows.append((f"person {person}", f"{taken[0]}", "purchase", 0))
        for step in range(1, 6):
            after = style == (style[taken[-1]] + 1) % len(STYLES)
            pool = np.flatnonzero(after) if rng.random() < 5 / 6 else np.arange(len(texts))
            taken.append(int(rng.choice(np.setdiff1d(pool, taken))))
            rows.append((f"person {person}", f"{taken[-1]}", "purchase", step))
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    return log, pl.DataFrame({"item_id": [str(number) for number in range(len(texts))], "text": texts})


def prepared(name, share=1.0):
    return tfrec.prepare(*shop(name, share), folder / f"{name}-{share}" / name, split="leave-one-out", force=True)


furniture, fashion, garden = (prepared(name) for name in SHOPS)
print(garden.items.select("item_id", "text").head(3))

# %% [markdown]
# ## One model of two shops
#
# Several datasets make one model, which has no vector of any single item. Item 17 of one shop and item 17 of the other
# are two items. A second model, which has not seen one of the shops, is tried there: only what it knows better than
# texts alone counts in a third shop.

# %%
options = {"training.epochs": epochs, "model.dim": 64, "evaluation.exclude_seen": True, "evaluation.bootstrap": 100}
source = tfrec.train([furniture, fashion], folder / "source", options, force=True)
print(source.manifest["domains"], source.items["item_id"][:2].to_list())
elsewhere = source.manifest["elsewhere"]
print("tried in", elsewhere["held_out"], elsewhere["valid_ndcg@10"], "so what counts is", elsewhere["chosen"])

# %% [markdown]
# ## At once
#
# In the new shop it recommends from the first click on. Here is what somebody took, and what comes next.

# %%
lists = tfrec.recommend(source, garden, k=4, users=["person 0"])
texts = dict(zip(garden.item_ids, garden.texts))
history = garden.histories()
print("took:", [texts[garden.item_ids[item]] for item in history.items[history.row(0)]])
print("gets:", [texts[item] for item in lists["item_id"]])

# %% [markdown]
# ## How many people does the new shop need?
#
# For each share of its people there are three models: the source as it is, a fresh one of these people alone, and one
# that starts from the source. The last training is compared with a fresh one, which has to be better by a standard
# error on validation. And each training has to be worth it: a run whose network does not beat what counts and texts say
# by themselves leaves its network out, and says so. All are measured with the test events of everybody; the baselines
# know all people of the new shop.

# %%
found = {"zero_shot": [], "fresh": [], "chosen": []}
for share in few:
    data = prepared("garden", share)
    moved = run_on(source, data)  # what the new shop has counted so far is all that it adds
    fresh = tfrec.train(data, folder / f"fresh-{share}", options, force=True)
    start = {**options, "training.start_from": str(source.path)}
    chosen = tfrec.train(data, folder / f"chosen-{share}", start, force=True)
    kept = [run.manifest["score_weights"]["chosen"] for run in (fresh, chosen)]
    print(f"{share:.0%}: start {chosen.manifest['start']['chosen']}; networks of fresh and chosen:", *kept)
    for name, run in (("zero_shot", moved), ("fresh", fresh), ("chosen", chosen)):
        test = tfrec.evaluate(run, garden, out=folder / f"{name}-{share}.json")
        found[name].append(test["ndcg@10"])
baselines = {name: values["ndcg@10"] for name, values in test["baselines"].items()}
baselines

# %%
for name, values in found.items():
    plt.plot([f"{share:.0%}" for share in few], values, marker="o", label=name)
plt.axhline(baselines["text"], color="grey", linestyle=":", label="text of the last item")
plt.xlabel("people of the new shop")
plt.ylabel("NDCG@10")
plt.legend()
plt.show()

# %% [markdown]
# Real shops are less alike than these: `benchmarks/transfer.py` measures it on four domains of Amazon, with a control.
# What holds everywhere is the rule: the simpler model wins, unless validation says that the other is better by more
# than chance.

# %%
print(json.dumps({"text": baselines["text"], **found}))
