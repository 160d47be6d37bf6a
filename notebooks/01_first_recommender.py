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
# # 1. A first recommender: BERT on behaviour texts
#
# Raw behaviour text → hub preprocessor → hub BERT → MLP → **sigmoid** (will this person act on this film?), then
# **softmax** (which film comes next?). All in plain Keras: `model.fit`, recommendations, a SavedModel. Each formula
# stands beside the line of code that computes it. The data are the real ratings of MovieLens-100K.
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone of the repository. On Colab
# (untested), run that in the first cell, from a clone, and restart the runtime.

# %% tags=["parameters"]
examples = 4000  # behaviour texts to train on
joint_examples = 1000  # of these, for joint training
epochs = 20
tokens = 48  # length of a text
folder = "runs/notebooks/01"

# %%
import json
import subprocess
import sys
from pathlib import Path

import tfrec  # before TensorFlow: this import selects Keras 2, which hub.KerasLayer needs  # isort: skip
import matplotlib.pyplot as plt
import numpy as np
import polars as pl
import tensorflow as tf
import tensorflow_hub as hub
import tensorflow_text  # noqa: F401  registers the preprocessor's ops

from tfrec.data import read_movielens_100k
from tfrec.downloads import movielens_100k_folder
from tfrec.keras import keras

keras.utils.set_random_seed(0)
tf.get_logger().setLevel("ERROR")
rng = np.random.default_rng(0)
Path(folder).mkdir(parents=True, exist_ok=True)

# %% [markdown]
# ## Behaviour as text
#
# A log of events becomes one text for each person. Ratings stand for three behaviours: 5 stars for “loved”, 4 for
# “liked”, fewer for “watched”. The newest event comes first, because a text that is too long for the encoder is cut at
# its end.

# %%
events, items = read_movielens_100k(movielens_100k_folder())
titles = dict(items.select("item_id", pl.format("{} ({})", "title", "year")).iter_rows())
verb = pl.when(pl.col("value") >= 5).then(pl.lit("loved")).when(pl.col("value") >= 4).then(pl.lit("liked"))
log = events.sort("timestamp", maintain_order=True).with_columns(verb.otherwise(pl.lit("watched")).alias("verb"))
people = log.group_by("user_id", maintain_order=True).agg("item_id", "verb")


def behaviour_text(verbs, films, newest=5):
    """The newest events as one text, newest first."""
    return "; ".join(f"{verb}: {titles[film]}" for verb, film in reversed(list(zip(verbs, films))[-newest:]))


catalogue = items["item_id"].to_list()
index = {film: place for place, film in enumerate(catalogue)}
behaviour_text(people["verb"][0], people["item_id"][0])

# %% [markdown]
# Each person's last film is kept for the test; the models are trained on the films before it. (“Last” refers to the
# person's own sequence, so training includes films that other people watched later.)

# %%
steps = [(row, step) for row, films in enumerate(people["item_id"]) for step in range(5, len(films) - 1)]
chosen = rng.permutation(len(steps))[:examples]
films, verbs = people["item_id"].to_list(), people["verb"].to_list()


def example(row, step):
    """The behaviour text before a step, and the film of that step."""
    return behaviour_text(verbs[row][:step], films[row][:step]), index[films[row][step]]


x_train, y_train = (np.array(column) for column in zip(*(example(*steps[place]) for place in chosen)))
x_test, y_test = (np.array(column) for column in zip(*(example(row, len(films[row]) - 1) for row in range(len(films)))))
counts = np.bincount([index[film] for row in films for film in row[:-1]], minlength=len(catalogue))
print(len(x_train), "texts to learn from,", len(x_test), "people to test on,", len(catalogue), "films")

# %% [markdown]
# ## The encoder
#
# $$ h = \text{Encoder}(x) = \text{BERT}(x; W_e) $$
#
# Here $x$ is a behaviour text and $h$ its vector. The encoder is a pair of TF-Hub models: a preprocessor (strings to
# token ids) and a BERT. `load_encoder("minilm-l6")` fetches MiniLM once and returns both handles. If you have access to
# a hub, any text preprocessor and BERT from it will do.

# %%
pair = tfrec.load_encoder("minilm-l6")
preprocessor = hub.load(pair.preprocessor_handle)
tokenize = hub.KerasLayer(preprocessor.tokenize, name="tokenize")
pack = hub.KerasLayer(preprocessor.bert_pack_inputs, arguments={"seq_length": tokens}, name="pack")
bert = hub.KerasLayer(pair.encoder_handle, trainable=True, name="bert")

x = keras.Input((), dtype=tf.string, name="behaviour_text")
h = bert(pack([tokenize(x)]))["pooled_output"]  # h = Encoder(x) = BERT(x; W_e)
encoder = keras.Model(x, h, name="encoder")
encoder.preprocessor = preprocessor  # keeps a reference to the vocabulary, for the SavedModel
W_e = encoder.trainable_variables
h_train, h_test = encoder.predict(x_train, batch_size=64, verbose=0), encoder.predict(x_test, batch_size=64, verbose=0)
film_texts = np.array([f"{titles[film]} {genres}" for film, genres in items.select("item_id", "genres").iter_rows()])
h_films = encoder.predict(film_texts, batch_size=64, verbose=0)
h_train.shape, sum(w.numpy().size for w in W_e)

# %% [markdown]
# The films in the plane of the first two principal components of $h$. BERT has never seen a rating, and yet similar
# films lie close together.

# %%
centred = h_films - h_films.mean(axis=0)
plane = centred @ np.linalg.svd(centred, full_matrices=False)[2][:2].T
genres = items["genres"].fill_null("").to_numpy()
plt.figure(figsize=(7, 5))
plt.scatter(*plane.T, s=4, c="lightgrey")
for genre in ("Children's", "Horror", "Documentary", "Western"):
    rows = np.array([genre in text for text in genres])
    plt.scatter(*plane[rows].T, s=10, label=genre)
plt.legend()
plt.title("Films by what BERT reads")
plt.show()

# %% [markdown]
# ## Sigmoid: will this person act on this film?
#
# The first head returns a number between 0 and 1 for a person and a candidate. The same encoder reads the text of the
# candidate, and the MLP sees both vectors and their product. The negatives are drawn in proportion to their popularity,
# so popularity alone has an AUC of about .5 and cannot help. A tenth of the texts decides when training stops; the test
# people are used for nothing but the test.


# %%
def pairs(h_people, taken, drawn=4):
    """Vectors of people and candidates, and whether the person watched the candidate."""
    others = rng.choice(len(catalogue), drawn * len(taken), p=counts / counts.sum())
    person, candidate = np.concatenate([h_people] * (1 + drawn)), h_films[np.concatenate([taken, others])]
    return {"person": person, "candidate": candidate}, np.repeat([1.0, 0.0], [len(taken), len(others)])


person, candidate = keras.Input((h.shape[-1],), name="person"), keras.Input((h.shape[-1],), name="candidate")
joined = keras.layers.Concatenate()([person, candidate, 20 * person * candidate])  # 20: the products are small
hidden = keras.layers.Dense(256, "relu")(keras.layers.Dropout(0.5)(joined))
p = keras.layers.Dense(1, "sigmoid", name="probability")(hidden)
click = keras.Model({"person": person, "candidate": candidate}, p, name="sigmoid_head")
click.compile("adam", "binary_crossentropy", metrics=[keras.metrics.AUC(name="auc")])
cut = len(y_train) * 9 // 10


def early():
    """Stops when validation gets worse, and restores the best weights."""
    return keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True)


valid = pairs(h_train[cut:], y_train[cut:])
sigmoid_log = click.fit(
    *pairs(h_train[:cut], y_train[:cut]), validation_data=valid, epochs=epochs, callbacks=[early()], verbose=0
)
auc = click.evaluate(*pairs(h_test, y_test), verbose=0, return_dict=True)["auc"]
print(f"AUC on people's last films: {auc:.3f}")

# %% [markdown]
# ## Softmax: which film comes next?
#
# $$ p(y|x) = \text{Decoder}(h) = \text{softmax}(\text{MLP}(h; W_d)) $$
#
# The last layer has a row for each film. It starts from what is known before training: the film's vector as weights and
# its popularity as bias.

# %%
h_in = keras.Input((h.shape[-1],), name="h")
hidden = keras.layers.Dropout(0.5)(keras.layers.Dense(256, "relu")(h_in))
hidden = keras.layers.Dense(h.shape[-1], name="taste")(hidden) + h_in  # as wide as h
logits = keras.layers.Dense(len(catalogue), name="films")(hidden)
p = keras.layers.Softmax(name="p")(logits)  # p(y|x) = softmax(MLP(h; W_d))
decoder = keras.Model(h_in, p, name="decoder")
popularity = np.log(counts + 1.0) - np.log((counts + 1.0).sum())
decoder.get_layer("films").set_weights([3 * (centred / np.linalg.norm(centred, axis=1, keepdims=True)).T, popularity])
W_d = decoder.trainable_variables

# %% [markdown]
# ### First $W_d$ alone
#
# With $W_e$ frozen, $h$ never changes. It was computed once above, so an epoch takes about a second.


# %%
def ndcg_at_10(p, taken, seen):
    """Mean of 1/log2(1 + rank) of the film watched, 0 beyond rank 10; films already seen are left out."""
    p = np.where(seen, -1.0, p)
    rank = (p >= p[np.arange(len(taken)), taken][:, None]).sum(axis=1)
    return float(np.where(rank <= 10, 1 / np.log2(1 + rank), 0).mean())


seen = np.zeros((len(films), len(catalogue)), bool)
for row, watched in enumerate(films):
    seen[row, [index[film] for film in watched[:-1]]] = True
seen[np.arange(len(films)), y_test] = False  # for the very few who rated a film twice
popular = ndcg_at_10(np.tile(counts, (len(films), 1)), y_test, seen)

decoder.compile(keras.optimizers.Adam(3e-4), "sparse_categorical_crossentropy")
frozen_log = decoder.fit(
    h_train[:cut], y_train[:cut], validation_data=(h_train[cut:], y_train[cut:]), epochs=epochs, callbacks=[early()],
    verbose=0,
)  # fmt: skip
frozen = ndcg_at_10(decoder.predict(h_test, verbose=0), y_test, seen)
print(f"NDCG@10: popular films {popular:.4f}, softmax(MLP(h)) {frozen:.4f}")

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.5))
for axis, log_, title in zip(axes, (sigmoid_log, frozen_log), ("sigmoid head", "softmax head")):
    axis.plot(log_.history["loss"], label="training")
    axis.plot(log_.history["val_loss"], label="validation")
    axis.set(title=title, xlabel="epoch", ylabel="loss")
    axis.legend()
plt.show()

# %% [markdown]
# ### Then $W_e$ and $W_d$ jointly
#
# $$ \min_{W_e, W_d} \sum_{i=1}^N \ell(y_i, p(y_i|x_i)) $$
#
# The whole model takes raw strings. `fit` changes all weights; the learning rate is small, so that the encoder does not
# lose what it has learned in pre-training.

# %%
model = keras.Model(x, decoder(encoder.output), name="recommender")
loss = keras.losses.SparseCategoricalCrossentropy()  # ℓ(y, p(y|x)) = −log p(y|x)
model.compile(keras.optimizers.Adam(2e-5), loss)
assert len(model.trainable_variables) == len(W_e) + len(W_d)
before = W_e[-1].numpy().copy()
joint_log = model.fit(x_train[:joint_examples], y_train[:joint_examples], batch_size=32, epochs=1, verbose=2)
p_test = model.predict(x_test, batch_size=64, verbose=0)
joint = ndcg_at_10(p_test, y_test, seen)
print(f"NDCG@10: frozen {frozen:.4f}, joint {joint:.4f}; W_e moved: {bool(np.abs(W_e[-1].numpy() - before).max() > 0)}")

# %% [markdown]
# ## Recommendations
#
# $$ \text{Recommendations}(x_i) = \text{softmax}(\text{MLP}(h; W_d)) $$
#
# The ten films with the highest $p$ among those that the person has not seen.

# %%
for row in range(3):
    best = np.argsort(-np.where(seen[row], -1, p_test[row]))[:10]
    print(x_test[row], "\n  took:", titles[catalogue[y_test[row]]])
    print("  recommended:", "; ".join(f"{titles[catalogue[i]]} {p_test[row, i]:.1%}" for i in best), "\n")

# %% [markdown]
# ## SavedModel
#
# Raw text in, probabilities out. Any program can load the SavedModel without our code; it only needs `tensorflow_text`
# for the ops.

# %%
path = f"{folder}/saved_model"
tf.saved_model.save(
    model,
    path,
    signatures=tf.function(
        lambda behaviour_text: {"p": model(behaviour_text, training=False)},
        input_signature=[tf.TensorSpec([None], tf.string, name="behaviour_text")],
    ),
)
code = f"""
import tensorflow as tf, tensorflow_text
served = tf.saved_model.load({path!r}).signatures["serving_default"]
print(served(behaviour_text=tf.constant([{str(x_test[0])!r}]))["p"].numpy()[0].argmax())
"""
answer = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
print("A clean process answers:", titles[catalogue[answer]], "- the same:", answer == int(p_test[0].argmax()))

# %% [markdown]
# ## Conclusion
#
# The titles of five films say something about the sixth, and a model of texts needs no film ids: new films work at
# once. It is not a strong recommender yet, because who watched what together says more than titles do. `tfrec` adds
# this. The model of this notebook, with cached vectors and a proper evaluation, is
# `tfrec train --model behaviour-text`. `NextItemModel` combines texts, ids and sequences: see [notebook
# 3](03_media.ipynb).

# %%
figures = {"auc": auc, "popular": popular, "frozen": frozen, "joint": joint, "same": answer == int(p_test[0].argmax())}
print(json.dumps(figures))
