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
# # 5. Pre-train an encoder, or adapt one: what it buys
#
# A vocabulary learned from texts; a small BERT that learns hidden words and a small GPT that learns the next token,
# both from nothing; MiniLM, which has read much of the web, taught our catalogue's words. Then the
# question: does the recommender get better?
#
# It needs the extra `notebooks`: `pip install -e '.[notebooks]'` in a clone. On Colab (untested) do that first.

# %% tags=["parameters"]
steps = 150  # from nothing
adapt_steps = 20  # of MiniLM, which is 40 times as large
epochs = 4  # of the recommender
compared = ["bert, from nothing", "gpt, from nothing", "MiniLM", "MiniLM, adapted"]
folder = "runs/notebooks/05"

# %%
import json
import logging
from pathlib import Path

import tfrec  # before TensorFlow: it chooses Keras 2  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl

from tfrec.data import read_movielens_100k
from tfrec.downloads import movielens_100k_folder
from tfrec.encoders.tokenization.learn_wordpieces import learn_word_pieces
from tfrec.files import read_json
from tfrec.pretraining import pretrain_encoder
from tfrec.pretraining.corpus import Corpus

folder = Path(folder)
logging.getLogger("tensorflow").setLevel(logging.ERROR)
data = tfrec.prepare(*read_movielens_100k(movielens_100k_folder()), folder / "data", split="leave-one-out", force=True)

# %% [markdown]
# ## A vocabulary
#
# Word pieces: the letters, and then again and again the pair of pieces that stands together most. Frequent words become
# one piece, rare ones several. (`pretrain_encoder` does this itself.)

# %%
pieces = learn_word_pieces(Corpus(data).texts(), 1500, True)
print(len(pieces), "pieces, the longest:", sorted(pieces, key=len)[-8:])

# %% [markdown]
# ## Masked and causal
#
# - **bert**: the model says which words are hidden: $\max \sum_{i \in \text{hidden}} \log p(x_i | \text{rest})$
# - **gpt**: each token from those before it: $\max \sum_i \log p(x_i | x_1 … x_{i-1})$
#
# The texts: the catalogue and the training histories as behaviour texts. A share of them is held out to measure.

# %%
knobs = ["size=tiny", "vocab_size=1500", f"steps={steps}", "seq_length=64", "batch_size=16", "learning_rate=0.001"]


def pretrained(name, values, source=None):
    """The card of an encoder folder that is trained here."""
    config = tfrec.RunConfig().with_values([f"pretraining.{value}" for value in values])
    out = pretrain_encoder(folder / name, config, dataset=data, source=source, force=True)
    return read_json(out / "pretraining.json")


cards = {
    "bert, from nothing": pretrained("bert", ["family=bert", *knobs]),
    "gpt, from nothing": pretrained("gpt", ["family=gpt", *knobs]),
    "MiniLM, adapted": pretrained(
        "adapted",
        [f"steps={adapt_steps}", "seq_length=32", "batch_size=16", "learning_rate=0.00005", "mask_rate=0.15"],
        source="minilm-l6",
    ),
}
pl.DataFrame(
    [
        {
            "encoder": name,
            "task": {"bert": "hidden words", "gpt": "next token"}[card["family"]],
            "perplexity before": round(card["before"]["perplexity"], 1),
            "after": round(card["after"]["perplexity"], 1),
            "held-out texts": card["held_out_texts"],
        }
        for name, card in cards.items()
    ]
)

# %% [markdown]
# Perplexities compare only before with after: the tasks and the vocabularies differ. MiniLM was published without a
# layer that names hidden words: a new one is learnt first, with the encoder as it is, and "before" is after that.

# %%
for name, card in cards.items():
    rows = card["losses"]
    width = max(1, len(rows) // 30)
    loss = np.convolve([row["loss"] for row in rows], np.ones(width) / width, "valid")
    plt.plot([row["step"] for row in rows][: len(loss)], loss, label=name)
plt.gca().set(xlabel="step", ylabel="loss", title="Pre-training")
plt.legend()
plt.show()

# %% [markdown]
# ## What it buys
#
# The recommender with text alone (no ids, no memory), so that everything it knows about films comes from the encoder.


# %%
def ndcg(name, encoder):
    """Test NDCG@10 of a text-only recommender."""
    values = ["model.use_id=false", "model.neighbours=0", "model.text_neighbours=0", f"training.epochs={epochs}"]
    values += ["model.dim=128", f"encoder.name={encoder}", "evaluation.bootstrap=0"]
    run = tfrec.train(data, folder / f"run-{name}", tfrec.RunConfig().with_values(values), force=True)
    return tfrec.evaluate_run(run, data)


encoders = {
    "bert, from nothing": folder / "bert",
    "gpt, from nothing": folder / "gpt",
    "MiniLM": "minilm-l6",
    "MiniLM, adapted": folder / "adapted",
}
measured = {name: ndcg(f"{number}", encoders[name]) for number, name in enumerate(compared)}
values = {name: metrics["ndcg@10"] for name, metrics in measured.items()}
values["popularity"] = measured[compared[0]]["baselines"]["popularity"]["ndcg@10"]
plt.figure(figsize=(7, 2.5))
plt.barh(list(values), list(values.values()))
plt.title("Test ndcg@10, 943 people; one seed")
plt.show()
pl.DataFrame({"encoder": list(values), "ndcg@10": list(values.values())})

# %% [markdown]
# One seed, 943 people: the standard error of one figure is about .008, so differences of .01 mean nothing. In the
# stored run MiniLM is ahead of encoders from nothing, and a few steps of adaptation bought nothing. The command
# line does the same: `tfrec encoder pretrain --data DATA --out DIR [--from minilm-l6]`, then `--encoder DIR`.

# %%
figures = {
    "ndcg": values,
    "perplexity": {name: [card["before"]["perplexity"], card["after"]["perplexity"]] for name, card in cards.items()},
    "pieces": len(pieces),
}
print(json.dumps(figures))
