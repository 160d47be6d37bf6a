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
# # 7. Explanations, true and misleading
#
# "Because you watched …" is easy to say and easy to get wrong. Whether a reason is true can be tested: take away what
# it names, ask the model again, and see whether the recommendation falls. This notebook shows a reason that sounds
# right and is wrong, and measures how often that happens, on MovieLens (real data).
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first.

# %% tags=["parameters"]
epochs = 5
users = 150
folder = "runs/notebooks/07"

# %%
import json
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tensorflow as tf

from tfrec.data import read_movielens_100k
from tfrec.downloads import movielens_100k_folder
from tfrec.explanation import explain_words, measure_faithfulness

folder = Path(folder)
tf.get_logger().setLevel("ERROR")

# %%
data = tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), folder / "data", split="leave-one-out", force=True)
run = tfrec.train(data, folder / "run", tfrec.RunConfig().with_values([f"training.epochs={epochs}"]), force=True)

# %% [markdown]
# ## A list with reasons
#
# Each reason is an event without which the model, asked again, gives the film a lower score.

# %%
people = [str(user) for user in data.histories().user_ids[:20]]
why = tfrec.explain(run, data, k=5, users=people)
for text in why["sentence_en"][:5]:
    print(text)
print(why["sentence_zh"][0])

# %% [markdown]
# The score is a sum of parts, and the parts are exact.

# %%
parts = why["parts"].struct.unnest()
print(parts.head(3))
left_over = float((parts.sum_horizontal() - why["score"]).abs().max())
print(f"largest difference of the sum and the score: {left_over:.1e}")

# %% [markdown]
# ## A misleading reason
#
# What most shops say is "because it is similar to what you saw". Here is the film of the history that is most similar
# to the recommended one, by the cosine of the model's own vectors, beside the film that decides. To see which of the
# two is true, each is deleted from the history.

# %%
titles = dict(zip(data.item_ids, data.items["title"]))
vectors = run.model.item_vectors().numpy()
histories, place = data.histories(), {str(item): number for number, item in enumerate(data.item_ids)}
row_of = {str(user): row for row, user in enumerate(histories.user_ids)}


def score_without(user, item, gone):
    """The score of an item for a user, without the newest event on another item."""
    row = row_of[user]
    events = np.arange(histories.offsets[row], histories.offsets[row + 1])
    if gone is not None:
        events = np.delete(events, np.flatnonzero(histories.items[events] == place[gone])[-1])
    inputs = {"history_items": histories.items[None, events], "history_events": histories.events[None, events]}
    inputs = {name: values.astype(np.int32) for name, values in inputs.items()}
    inputs["history_gaps"] = np.zeros([1, len(events)], np.float32)
    return float(run.model.scores(inputs)[0, place[item]])


rows = []
for row in why.filter(pl.col("rank") == 1).iter_rows(named=True):
    raising = [event["item_id"] for event in row["events"] if event["effect"] > 0]
    newest = [str(data.item_ids[item]) for item in histories.items[histories.row(row_of[row["user_id"]])]][-50:]
    if not raising:
        continue
    similar = max(newest, key=lambda item: vectors[place[item]] @ vectors[place[row["item_id"]]])
    full = score_without(row["user_id"], row["item_id"], None)
    falls = [full - score_without(row["user_id"], row["item_id"], gone) for gone in (similar, raising[0])]
    rows.append((row["user_id"], row["item_id"], similar, falls[0], raising[0], falls[1]))
columns = ["user", "recommended", "most similar", "its fall", "decides", "that fall"]
beside = pl.DataFrame(rows, schema=columns, orient="row")
worst = beside.with_columns((pl.col("that fall") - pl.col("its fall")).alias("gap")).sort("gap", descending=True)
for name in ("recommended", "most similar", "decides"):
    worst = worst.with_columns(pl.col(name).replace_strict(titles))
print(worst.head(3).drop("gap"))
misleading = float((beside["its fall"] <= 0).mean())
print(f"{misleading:.0%} of the most similar films do nothing for the recommendation, or speak against it.")

# %% [markdown]
# ## How true, over many users
#
# `tfrec explain --faithfulness` does this for every common way to explain: it deletes the events that each method
# names first, and the ones that it names alone are put into an empty history.

# %%
found = measure_faithfulness(run, data, users=users, out=folder / "faithfulness.json")
figure, axes = plt.subplots(figsize=(7, 4))
for method, values in found["methods"].items():
    falls = [0.0, *(values[f"fall@{size}"]["mean"] for size in (1, 3, 5))]
    axes.plot([0, 1, 3, 5], falls, marker="o", label=method)
axes.set(xlabel="events deleted", ylabel="fall of the score", title="What is lost without the events named first")
axes.legend()
plt.show()

# %% [markdown]
# Attention and gradients look into the network, but in this model much of a score is counted, not computed; and the
# most similar film is often one of many that could stand in for each other. Deleting is the only one of these methods
# that asks the question that the sentence answers.
#
# An explanation must also depend on the model. With shuffled weights, the order of the events has nothing to do with
# that of the trained model:

# %%
print(f"agreement with a shuffled model: {found['randomised']['mean']:.2f} (Spearman)")
print(f"lists that a set of up to five events changes: {found['counterfactuals']['found']['mean']:.0%}")

# %% [markdown]
# ## Which words
#
# What do the words of a new film's text add to its score, after this history? The values add up, whatever their order.

# %%
newest = [str(data.item_ids[item]) for item in histories.items[histories.row(row_of[people[0]])]][-10:]
said = explain_words(run, "Alien Resurrection, Action, Horror, Sci-Fi", history=newest, by="field")
for unit, effect in zip(said.units, said.effects):
    print(f"{effect:+.3f}  {unit}")
print(f"sum {said.effects.sum():+.3f}, full less empty {said.full - said.empty:+.3f}")

# %%
figures = {
    "left_over": left_over,
    "misleading": misleading,
    "over_random": found["ratios"]["random"]["mean"],
    "over_best_other": found["ratios"]["best_other"]["mean"],
    "completeness_error": said.completeness_error,
}
print(json.dumps(figures))
