"""A run as small as it can be: twelve items, a real NextItemModel, and an encoder that uses TF Text's ops."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

import tfrec  # noqa: F401  the Keras guard, before TensorFlow
from tfrec.config import RunConfig
from tfrec.runs.run import Run

SIZES = [
    "export.history_length=6",
    "export.exclude_length=4",
    "export.candidates_length=3",
    "export.explain_length=0",
    "export.allow_length=2",
    "export.filter_attribute=genre",
    "export.max_k=20",
]


def make_encoder():
    """Sums seeded word vectors; its two parts are tracked like loaded SavedModels."""
    import tensorflow as tf
    import tensorflow_text as text

    class Preprocessor(tf.Module):
        def __init__(self):
            super().__init__()
            words = ["[UNK]", "red", "blue", "shoe", "hat", "coat"]
            keys = tf.lookup.KeyValueTensorInitializer(words, tf.range(len(words), dtype=tf.int64))
            self.table = tf.lookup.StaticVocabularyTable(keys, 1)
            self.tokenizer = text.BertTokenizer(self.table, lower_case=True)

    class Encoder(tf.Module):
        def __init__(self):
            super().__init__()
            self.words = tf.Variable(np.random.default_rng(0).normal(size=(8, 6)).astype(np.float32))

        def __call__(self, inputs):
            vectors = (
                tf.gather(self.words, inputs["input_word_ids"]) * tf.cast(inputs["input_mask"], tf.float32)[..., None]
            )
            return {"pooled_output": tf.reduce_sum(vectors, 1), "default": tf.reduce_sum(vectors, 1)}

    preprocessor, encoder = Preprocessor(), Encoder()

    def inputs(texts, seq_length):
        ids = preprocessor.tokenizer.tokenize(texts).merge_dims(1, 2)[:, :seq_length]
        padded = [None, seq_length]  # as the real one: the encoder's caller cuts what is padding in every row
        mask = tf.ones_like(ids, tf.int32).to_tensor(0, shape=padded)
        return {"input_word_ids": ids.to_tensor(0, shape=padded), "input_mask": mask}

    def encode(texts, batch_size, seq_length, kind="item"):
        return encoder(inputs(tf.constant(list(texts)), min(seq_length, 16)))["pooled_output"].numpy()

    parts = {"preprocessor": preprocessor, "encoder": encoder, "inputs": inputs, "encode": encode}
    return SimpleNamespace(**parts, dim=6, hash="abc", precision="float32", max_seq_length=16)


class FakeRun(SimpleNamespace):
    refuse_other_catalogue = Run.refuse_other_catalogue
    stored = SimpleNamespace(has=lambda name: False)  # no model card, as in runs of older versions

    @property
    def item_ids(self):
        return self.items["item_id"].to_numpy()

    @property
    def item_counts(self):
        return self.items["train_count"].to_numpy().astype(np.int64)


def make_run(*settings, **sizes):
    """Twelve items i0…i11 with rising counts; i2, i6 and i10 have no genre. `sizes` are the model's."""
    import tensorflow as tf

    from tfrec.models.next_item.model import NextItemModel

    items = pl.DataFrame(
        {
            "item_id": [f"i{i}" for i in range(12)],
            "text": [
                f"{('red', 'blue')[i % 2]} {('shoe', 'hat', 'coat')[i % 3]} {'hat ' * (i // 6)}" for i in range(12)
            ],
            "train_count": np.arange(12, dtype=np.uint32),
            "genre": [["a"], ["b", "a"], [], ["c"]] * 3,
        }
    )
    encoder = make_encoder()
    model = NextItemModel(12, 2, text_dim=6, dim=4, heads=2, layers=1, max_history=4, seed=3, **sizes)
    inputs = encoder.inputs(tf.constant(items["text"].to_list()), 16)
    model.items.start_from(encoder.encoder(inputs)["pooled_output"].numpy())
    rng = np.random.default_rng(1)
    for weight in model.variables:  # everything matters: ids, kinds, positions, the bias on repeats
        if weight.dtype == tf.float32 and not any(word in weight.name for word in ("text", "mean", "temperature")):
            weight.assign_add(rng.normal(size=weight.shape).astype(np.float32) * 0.3)
    return FakeRun(
        kind="next-item",
        config=RunConfig().with_values([*SIZES, *settings]),
        model=model,
        items=items,
        event_kinds=["view", "buy"],
        manifest={"encoder_hash": "abc"},
        path=Path("nowhere"),
        encoder=lambda: encoder,
    )


@pytest.fixture(scope="session")
def run():
    return make_run("export.explain_length=3")


@pytest.fixture(scope="session")
def exported(run, tmp_path_factory):
    """Version 1 of the run; tests must not change it."""
    from tfrec.serving import export

    return export(run, tmp_path_factory.mktemp("saved_models") / "shop")


def caller(folder):
    """Calls a signature of an export, loaded anew, with lists of short rows of strings."""
    import tensorflow as tf

    from tfrec.files import read_json

    loaded = tf.saved_model.load(str(folder))
    about = read_json(folder / "tfrec.json")

    def call(signature, **inputs):
        widths = {i["name"]: i["width"] for i in about["signatures"][signature]["inputs"]}
        tensors = {}
        for name, width in widths.items():
            rows = inputs[name]
            padded = rows if width is None else [[*row, *[""] * (width - len(row))] for row in rows]
            tensors[name] = tf.constant(padded, tf.string)
        outputs = loaded.signatures[signature](**tensors)
        return SimpleNamespace(**{name: value.numpy() for name, value in outputs.items()})

    return call


@pytest.fixture(scope="session")
def served(exported):
    """`caller` of the export."""
    return caller(exported)


@pytest.fixture(scope="session")
def call_of():
    """`caller`, for another export."""
    return caller


@pytest.fixture
def rebuilt():
    """A fresh run with other settings."""
    return make_run


@pytest.fixture(scope="session")
def new_run():
    """Makes a run with other settings: `new_run("export.max_k=8")`."""
    return make_run
