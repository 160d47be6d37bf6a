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
# # 5. Pre-train or adapt an encoder: does it help?
#
# This notebook learns a vocabulary, trains a small BERT as a masked and a small GPT as a causal language model from
# scratch, and adapts MiniLM, which was pre-trained on much of the web, to the words of our catalogue. Then the question
# is: does the recommender get better?
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first (also on Colab, which
# is untested).

# %% tags=["parameters"]
steps = 150  # from scratch
adapt_steps = 20  # for MiniLM, which is 40 times as large
epochs = 4  # for the recommender
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
# Word pieces: begin with the letters, then join the most frequent pair of adjacent pieces, again and again. Frequent
# words become one piece, rare words several. (`pretrain_encoder` does this itself.)

# %%
pieces = learn_word_pieces(Corpus(data).texts(), 1500, True)
print(len(pieces), "pieces, the longest:", sorted(pieces, key=len)[-8:])

# %% [markdown]
# ## Masked and causal language models
#
# - **bert** predicts words that are masked: $\max \sum_{i \in \text{masked}} \log p(x_i | \text{rest})$
# - **gpt** predicts each token from those before it: $\max \sum_i \log p(x_i | x_1 … x_{i-1})$
#
# The texts are the catalogue and the training histories, written as behaviour texts. A share is held out to measure the
# result.

# %%
options = ["size=tiny", "vocab_size=1500", f"steps={steps}", "seq_length=64", "batch_size=16", "learning_rate=0.001"]


def pretrained(name, values, source=None):
    """Pre-trains an encoder and returns its card."""
    config = tfrec.RunConfig().with_values([f"pretraining.{value}" for value in values])
    out = pretrain_encoder(folder / name, config, data=data, source=source, force=True)
    return read_json(out / "pretraining.json")


cards = {
    "bert, from nothing": pretrained("bert", ["family=bert", *options]),
    "gpt, from nothing": pretrained("gpt", ["family=gpt", *options]),
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
# Compare perplexities only before and after, as tasks and vocabularies differ. MiniLM was published without a head for
# masked words. A new head is trained first, with the encoder frozen, and “before” is measured after that.

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
# ## Does it help?
#
# The recommender uses text alone (no ids, no neighbour memory), so that all it knows about films comes from the
# encoder.


# %%
def ndcg(name, encoder):
    """Test NDCG@10 of a text-only recommender."""
    values = ["model.use_id=false", "model.neighbours=0", "model.text_neighbours=0", f"training.epochs={epochs}"]
    values += ["model.dim=128", f"encoder.name={encoder}", "evaluation.bootstrap=0"]
    run = tfrec.train(data, folder / f"run-{name}", tfrec.RunConfig().with_values(values), force=True)
    return tfrec.evaluate(run, data)


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
# This is one seed and 943 people: the standard error of a figure is about .008, so a difference of .01 means nothing.
# In the stored run MiniLM is better than the encoders trained from scratch, and a few steps of adaptation brought
# nothing. On the command line: `tfrec encoder pretrain --data DATA --out DIR [--from minilm-l6]`, then `tfrec train`
# with `--encoder DIR`.

# %%
figures = {
    "ndcg": values,
    "perplexity": {name: [card["before"]["perplexity"], card["after"]["perplexity"]] for name, card in cards.items()},
    "pieces": len(pieces),
}
print(json.dumps(figures))
