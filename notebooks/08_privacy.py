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
# # 8. Privacy: what ε buys, and what it costs
#
# A recommender is made of what people did. How much does it tell about one of them? This notebook shows what ε means,
# what noise does to the statistics that a recommender lives on, a private training with its ledger, and how somebody is
# forgotten, on MovieLens (real data).
#
# The notebook needs the extras `notebooks` and `privacy`: run `pip install -e '.[notebooks,privacy]'` in a clone first.

# %% tags=["parameters"]
epochs = 4
epsilons = [1, 3, 8]
folder = "runs/notebooks/08"

# %%
import json
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tensorflow as tf

from tfrec.data import read_movielens_100k
from tfrec.data.erase import erase_users
from tfrec.downloads import movielens_100k_folder
from tfrec.privacy import Mechanism, epsilon_of, noise_for
from tfrec.privacy.noise_source import NoiseSource
from tfrec.privacy.noisy_neighbours import noisy_neighbours

folder = Path(folder)
tf.get_logger().setLevel("ERROR")
delta = 1e-5

# %% [markdown]
# ## What ε means
#
# Somebody suspects that a person is in the log, and looks at the trained model. A model with ε lets a suspicion of p
# become at most p·e^ε / (1 − p + p·e^ε). At ε = 1 a toss of a coin becomes 73%; at ε = 8 the bound by itself says
# little.

# %%
before = np.linspace(0.01, 0.99, 99)
for epsilon in epsilons:
    odds = before / (1 - before) * np.exp(epsilon)
    plt.plot(before, odds / (1 + odds), label=f"ε = {epsilon}")
plt.plot(before, before, "k:", label="nothing is learnt")
plt.xlabel("suspicion before")
plt.ylabel("suspicion after, at most")
plt.legend()
plt.show()

# %% [markdown]
# ## Noise, and what it comes to
#
# Noise on a sum over people hides each of them. Several noisy sums add up, and how far depends on how they are made:
# where each person takes part with a small probability, independently of all others, a thousand sums cost little.

# %%
sums = Mechanism("gradients", multiplier=1.0, sampling=0.01, times=1000)
print(f"a thousand sums over one person in a hundred: ε = {epsilon_of([sums], delta):.2f}")
print(f"one sum over everybody, of as much noise:     ε = {epsilon_of([Mechanism('one', 1.0)], delta):.2f}")

# %% [markdown]
# ## Co-occurrence with noise
#
# Which films follow each other is most of what a recommender knows. Each person adds a vector of norm 1 over all pairs
# of films, noise is added to each pair, and pairs that noise alone could be are left out. How many of the 20 strongest
# pairs without noise are still among the neighbours?

# %%
data = tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), folder / "data", split="leave-one-out", force=True)
training, everything = data.training(), np.ones(len(data.training().items), bool)


def pairs_at(noise):
    """The pairs of neighbours, the strongest first."""
    near, sums = noisy_neighbours(training, data.num_items, 16, noise, NoiseSource(bytes(32)), everything)
    order = np.argsort(-sums, axis=None)
    pairs = [tuple(sorted((int(i // 16), int(near.flat[i])))) for i in order if near.flat[i] >= 0]
    return list(dict.fromkeys(pairs))


strongest = pairs_at(1e-3)[:20]
found, pairs = {}, {}
for epsilon in epsilons:
    there = set(pairs_at(noise_for(epsilon, delta, Mechanism("pairs", 1e4))))
    found[epsilon], pairs[epsilon] = len(there & set(strongest)), len(there)
    print(f"ε = {epsilon}: {found[epsilon]} of the 20 strongest pairs, {pairs[epsilon]} in all")

# %%
plt.bar([f"ε = {epsilon}" for epsilon in epsilons], [found[epsilon] for epsilon in epsilons])
plt.ylabel("of the 20 strongest pairs")
plt.show()

# %% [markdown]
# ## A private training
#
# With 943 people little can be learnt privately. The run compares the trained weights with their start, which knows
# texts, noisy neighbours and noisy popularity, by a comparison that has noise of its own, and keeps them if they are
# surely better. The ledger lists all that read the log.

# %%
options = {
    "privacy.epsilon": 8,
    "privacy.delta": delta,
    "training.epochs": epochs,
    "training.batch_size": 100,
    "model.dim": 32,
    "model.max_history": 10,
    "model.text_neighbours": 8,
}
run = tfrec.train(data, folder / "run", options, force=True)
ledger = run.ledger
for mechanism in ledger.mechanisms:
    print(f"{mechanism.name}: noise of {mechanism.multiplier:.2f}, {mechanism.times} times")
print({relation: round(value, 2) for relation, value in ledger.epsilons().items()}, "kept:", ledger.details["kept"])
print((run.path / "model_card.md").read_text().split("\n## Privacy")[0])

# %% [markdown]
# ## Forgetting somebody
#
# `tfrec forget` does this for a whole folder, trains the runs again and signs a receipt. For the data alone: what is
# left is what would have been prepared without the person, down to the fingerprint.

# %%
person = str(data.histories().user_ids[0])
erased = erase_users(data, [person], folder / "without", force=True)
events, items = read_movielens_100k(movielens_100k_folder())
others = events.filter(pl.col("user_id") != person)
wanted = tfrec.prepare(others, items, folder / "wanted", split="leave-one-out", force=True)
same = erased.dataset.manifest["fingerprint"] == wanted.manifest["fingerprint"]
print(f"{erased.events} events of {erased.users} person are gone; the rest is as if they had never been there: {same}")

# %%
print(
    json.dumps(
        {
            "epsilon": ledger.epsilons()["add-or-remove-one"],
            "strongest_pairs": found,
            "kept": ledger.details["kept"],
            "same": same,
        }
    )
)
