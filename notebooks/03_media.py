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
# # 3. Media: the next film, the reason, and more diverse lists
#
# `NextItemModel` on MovieLens-100K (real ratings): item texts through BERT, ids, and the order in which people watched.
# Text, id and both are compared for the same people. A list is explained by the history it comes from. Lists are made
# more diverse, and the price is measured.
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first (also on Colab, which
# is untested).

# %% tags=["parameters"]
epochs = 10
bootstrap = 1000  # resamples of the intervals
folder = "runs/notebooks/03"

# %%
import json
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tensorflow as tf

from tfrec.data import read_movielens_100k
from tfrec.data.padding import history_batch
from tfrec.downloads import movielens_100k_folder
from tfrec.evaluation import compare_systems
from tfrec.keras import keras
from tfrec.retrieval import TopKResult, diversify
from tfrec.retrieval.top_items import seen_items

folder = Path(folder)
tf.get_logger().setLevel("ERROR")

# %% [markdown]
# ## Prepare
#
# Leave-one-out: each person's last film is the test, and the one before it is for validation. This uses all 943 people,
# but it looks into the future, as the library says below. (With `split="global-time"` only 87 people have a history
# before the cut and films after it: an honest split, but too small to compare models.)

# %%
data = tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), folder / "data", split="leave-one-out", force=True)
print(data.manifest["counts"])

# %% [markdown]
# ## Train: text, id, and both
#
# - **text**: the item vector is the projected text vector. A new film has one at once.
# - **id**: the item vector is learned from who watched the film.
# - **hybrid**: the sum of both. This is the default, and it also has the neighbour memory, which is switched off for
#   the other two.

# %%
kinds = {
    "text": ["model.use_id=false", "model.neighbours=0", "model.text_neighbours=0"],
    "id": ["model.use_text=false", "model.neighbours=0", "model.text_neighbours=0"],
    "hybrid": [],
}
shared = [f"training.epochs={epochs}", f"evaluation.bootstrap={bootstrap}"]
runs = {
    name: tfrec.train(data, folder / name, tfrec.RunConfig().with_values(shared + extra), force=True)
    for name, extra in kinds.items()
}
metrics = {name: tfrec.evaluate(run, data) for name, run in runs.items()}

# %%
rows = metrics | {f"baseline: {name}": row for name, row in metrics["hybrid"]["baselines"].items()}
table = pl.DataFrame([{"model": name, **{m: row[m] for m in ("ndcg@10", "recall@10")}} for name, row in rows.items()])
table

# %% [markdown]
# The same people are in every evaluation, so differences are paired. The table gives the interval of each difference,
# and p-values corrected over the table.

# %%
frames = {name: [pl.read_parquet(run.path / "predictions.parquet")] for name, run in runs.items()}
compare_systems(frames, baseline="id", resamples=bootstrap).select(
    "system", "metric", "value", "baseline_value", "difference", "low", "high", "p_adjusted"
)

# %%
for name, run in runs.items():
    curve = pl.read_csv(run.path / "history.csv")
    plt.plot(curve["epoch"], curve["valid_ndcg@10"], marker=".", label=name)
plt.gca().set(xlabel="epoch", ylabel="validation ndcg@10", title="Learning curves (the first epochs are not validated)")
plt.legend()
plt.show()

# %% [markdown]
# ## A map of the films
#
# The vectors that the hybrid model learned, projected to a plane. Distance is about taste, not only about topic:
# compare it with the map of notebook 1, which shows BERT alone.

# %%
run = runs["hybrid"]
model = run.model
titles, genres = data.items["title"].to_numpy(), data.items["genres"].fill_null("").to_numpy()
vectors = model.item_vectors().numpy()
known = np.argsort(-data.items["train_count"].to_numpy())[:400]  # the films that many rated
centred = vectors[known] - vectors[known].mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
plt.figure(figsize=(8, 6))
plt.scatter(*plane.T, s=5, c="lightgrey")
for genre in ("Children's", "Horror", "Romance", "Sci-Fi"):
    chosen = np.array([genre in text for text in genres[known]])
    plt.scatter(*plane[chosen].T, s=12, label=genre)
for place in range(0, 24):
    plt.annotate(titles[known[place]], plane[place], fontsize=6)
plt.legend()
plt.title("The 400 best known films")
plt.show()

# %% [markdown]
# ## Why this film?
#
# Take one person. An exact answer for any model: leave one film out of the history, and see how far the score falls.

# %%
scorer, histories = run.scorer(data), data.histories()
user = 0
row = histories.row(user)
newest = 12
history = histories.items[row]
top = np.argsort(-np.where(np.isin(np.arange(data.num_items), history), -np.inf, scorer.scores(histories, [user])[0]))
top = top[:8]
print("Newest films:", "; ".join(titles[history[-newest:]]))
print("Recommended: ", "; ".join(titles[top]))

# %%
batch = history_batch(histories, np.array([user]), model.memory_history)
length = batch["history_items"].shape[1]
full = model.scores(batch).numpy()[0]
fall = np.empty((len(top), newest))
for place in range(newest):
    kept = np.delete(np.arange(length), length - newest + place)
    without = {name: values[:, kept] for name, values in batch.items()}
    fall[:, place] = (full - model.scores(without).numpy()[0])[top]
widest = np.abs(fall).max()
plt.figure(figsize=(8, 4))
plt.imshow(fall, cmap="RdBu", vmin=-widest, vmax=widest, aspect="auto")
plt.xticks(range(newest), [title[:22] for title in titles[history[-newest:]]], rotation=60, ha="right", fontsize=7)
plt.yticks(range(len(top)), [title[:28] for title in titles[top]], fontsize=8)
plt.colorbar(label="fall of the score")
plt.title("Which film of the history (→ newer) speaks for which recommendation")
plt.show()

# %% [markdown]
# For comparison, the attention of the newest position to the films before it, a row for each head. Attention is not the
# whole reason, because the neighbour memory does not pass through it; the fall of the score is.

# %%
block = model.body.get_layer("block_0")
before_block = keras.Model(model.body.inputs, block.input)
kept = model._kept({name: tf.constant(values) for name, values in batch.items()})
read = [model.items(kept["history_items"]), kept["history_events"], kept["history_gaps"]]
hidden = block.qkv(block.norm_1(before_block(read)))[0]
queries, keys, _ = np.split(hidden.numpy().reshape(len(hidden), 3, block.heads, -1), 3, axis=1)
logits = np.einsum("hd,thd->ht", queries[-1, 0], keys[:, 0]) / np.sqrt(keys.shape[-1])
attention = tf.nn.softmax(logits, axis=1).numpy()
plt.figure(figsize=(8, 2))
plt.imshow(attention[:, -newest:], cmap="Blues", aspect="auto")
plt.xticks(range(newest), [title[:22] for title in titles[history[-newest:]]], rotation=60, ha="right", fontsize=7)
plt.yticks(range(block.heads), [f"head {h}" for h in range(block.heads)], fontsize=8)
plt.title("Attention of the newest position")
plt.show()

# %% [markdown]
# And in words, from the neighbour memory: the films of the history that stand near the recommended one in other
# people's histories.

# %%
near, counts = model.memory.near.numpy(), model.memory.counts.numpy()
for film in top[:5]:
    weight = {h: counts[h][near[h] == film].sum() * model.memory.decay.numpy() ** age
              for age, h in enumerate(history[::-1])}  # fmt: skip
    best = [h for h in sorted(weight, key=weight.get, reverse=True)[:3] if weight[h] > 0]
    print(f"{titles[film]}: because of", ", ".join(titles[best]) if best else "(what its text says)")

# %% [markdown]
# ## More diverse lists
#
# Maximal marginal relevance picks films one by one, each with a high score and unlike those picked before. Strength 0
# keeps the order by score. What diversity brings (genres in a list, distance within it) and what it costs (NDCG) are
# measured for all people.

# %%
queries = data.queries("test")
rows = np.arange(len(queries))
scores = scorer.scores(queries.history, rows)
seen = seen_items(queries.history, rows)
for place, films in enumerate(seen):
    scores[place, films[films >= 0]] = -np.inf
pool = tf.math.top_k(scores, 50)
found = TopKResult(pool.values, pool.indices, tf.fill([len(rows)], 50))
targets = queries.target_items[queries.target_offsets[:-1]]
curve = []
for strength in (0.0, 0.1, 0.2, 0.3, 0.5, 0.7):
    lists = diversify(found, tf.gather(vectors, pool.indices), 10, strength).indices.numpy()
    hit = lists == targets[:, None]
    alike = np.einsum("bkd,bld->bkl", vectors[lists], vectors[lists])
    labels = [len({genre for film in films for genre in genres[film].split()}) for films in lists]
    curve.append({
        "strength": strength,
        "ndcg@10": float((hit / np.log2(np.arange(10) + 2)).sum(axis=1).mean()),
        "distance": float(1 - (alike.sum(axis=(1, 2)) - 10).mean() / 90),
        "genres": float(np.mean(labels)),
    })  # fmt: skip
curve = pl.DataFrame(curve)
curve

# %%
plt.plot(curve["distance"], curve["ndcg@10"], marker="o")
for point in curve.iter_rows(named=True):
    plt.annotate(f"  {point['strength']}", (point["distance"], point["ndcg@10"]))
plt.gca().set(xlabel="mean distance within a list", ylabel="ndcg@10", title="Strength of diversity: what it costs")
plt.show()

# %% [markdown]
# To serve diverse lists, run `tfrec export --set export.diversity=0.2`. The export does the same inside TF Serving.

# %%
figures = {
    **{name: found["ndcg@10"] for name, found in metrics.items()},
    "popularity": metrics["hybrid"]["baselines"]["popularity"]["ndcg@10"],
    "distance": curve["distance"].to_list(),
    "fall": float(np.abs(fall).max()),
    "attention": float(attention.sum(axis=1).mean()),
}
print(json.dumps(figures))
