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
# # 10. Posters: when pictures help, and why they cannot hurt
#
# A catalogue often has pictures, and vectors of pictures often make recommendations *worse*: a network that was trained
# to tell breeds of dogs apart says little about who watches which film. So tfrec looks first, without training, whether
# pictures make items alike that the same people take, and leaves them out if they do not.
#
# Give the notebook your own posters: `posters` is a folder with files called `ITEM_ID.jpg` for the films of
# MovieLens-100K. Without it, posters are drawn here: a stripe in a colour for each genre. Nothing is downloaded but
# MovieLens and the image encoder.
#
# The notebook needs the extra `notebooks`: run `pip install -e '.[notebooks]'` in a clone first.

# %% tags=["parameters"]
posters = ""
epochs = 2
folder = "runs/notebooks/10"

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
from tfrec.serving import export

folder = Path(folder)
tf.get_logger().setLevel("ERROR")

# %% [markdown]
# ## A catalogue with a column of pictures
#
# The column `image` holds file names or, as here, the contents of the files. The text is the title alone, which says
# little: with genres in the text as well, pictures of genres would add nothing.

# %%
events, films = read_movielens_100k(movielens_100k_folder())
genres = [value.split() for value in films["genres"].to_list()]
kinds = sorted({name for names in genres for name in names})
colours = dict(zip(kinds, np.random.default_rng(0).integers(0, 256, (len(kinds), 3))))


def drawn(names):
    """A JPEG file with a stripe for each genre."""
    picture = np.zeros((96, 64, 3), np.uint8)
    for stripe, name in zip(np.array_split(np.arange(96), len(names) or 1), names):
        picture[stripe] = colours[name]
    return tf.io.encode_jpeg(picture).numpy()


def poster(item_id, names):
    """The user's file, else a drawn one; None where the user gives posters and has none of this film."""
    file = Path(posters) / f"{item_id}.jpg"
    return drawn(names) if not posters else file.read_bytes() if file.is_file() else None


images = [poster(item, names) for item, names in zip(films["item_id"], genres)]
catalogue = films.select("item_id", "title").with_columns(pl.Series("image", images, pl.Binary))
figure, axes = plt.subplots(1, 6, figsize=(9, 2.4))
for axis, row in zip(axes, catalogue.drop_nulls("image").head(6).iter_rows(named=True)):
    axis.imshow(tf.io.decode_jpeg(row["image"]))
    axis.set_title(row["title"][:14], fontsize=8)
    axis.axis("off")
plt.show()

# %% [markdown]
# ## Do pictures make the right films alike?
#
# `model.modality_weight=auto`, the default, answers that before training, and the console says what it found. In a
# random order the same posters must get the weight 0: then the model is exactly that of texts alone.

# %%
from tfrec.encoders import load_image_encoder
from tfrec.encoders.load import load_configured
from tfrec.models.shared.item_features import image_vectors_of, item_modalities, text_vectors_of
from tfrec.models.shared.modality_weights import choose_modality_weights

config = tfrec.RunConfig().with_values([f"training.epochs={epochs}", "encoder.image=efficientnet-lite0"])
data = tfrec.prepare(events, catalogue, folder / "data", split="leave-one-out", force=True)
texts = text_vectors_of(data.texts, load_configured(config.encoder), config)
vectors = image_vectors_of(data.items, load_image_encoder("efficientnet-lite0"), config)
shuffled = vectors[np.random.default_rng(0).permutation(len(vectors))]
weights = {
    name: choose_modality_weights(item_modalities(data, texts, given), data.training())[0]
    for name, given in {"posters": vectors, "shuffled": shuffled}.items()
}
weights

# %% [markdown]
# ## A run that reads them
#
# Training is one option more. The run has a gate for each film and modality, learned from what is known of the film.

# %%
run = tfrec.train(data, folder / "run", config, force=True)
print([(each.name, each.width, each.weight) for each in run.model.modalities])

# %% [markdown]
# ## Asking with a picture
#
# The export takes image files: new films need no id, no text and no training. What is no picture is no error.

# %%
version = export(run, folder / "saved_models" / "films", force=True)
loaded = tf.saved_model.load(str(version))
if "similar_by_image" in loaded.signatures:
    asked = 0
    answer = loaded.signatures["similar_by_image"](images=tf.constant([images[asked], b"no picture"]))
    titles = dict(zip(films["item_id"].cast(pl.String), films["title"]))
    print(films["title"][asked], genres[asked])
    print([titles[item.decode()] for item in answer["item_ids"][0, :5].numpy()], answer["count"].numpy())
    named = dict(zip(films["item_id"].cast(pl.String), genres))
    found = [named[item.decode()] for item in answer["item_ids"][0, :10].numpy()]
    shared = float(np.mean([bool(set(names) & set(genres[asked])) for names in found]))
else:
    shared = None

# %%
print(json.dumps({"weights": weights, "modalities": [each.name for each in run.model.modalities], "shared": shared}))
