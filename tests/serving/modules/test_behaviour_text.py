"""The signatures of a BehaviourTextModel export, with a model that is a real Keras graph over strings."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfrec.files import read_json
from tfrec.serving import check, export

CATALOGUE = 12


def make_model(head):
    """Hashes text into a vector; a dense layer on top. Stands for encoder, MLP and head."""
    import tensorflow as tf

    from tfrec.keras import keras

    def vector(text):
        return tf.one_hot(tf.strings.to_hash_bucket_fast(text, 7), 7)

    behaviour = keras.Input((), dtype="string", name="behaviour_text")
    inputs = {"behaviour_text": behaviour}
    read = keras.layers.Lambda(vector)(behaviour)
    if head == "sigmoid":
        candidate = inputs["candidate_text"] = keras.Input((), dtype="string", name="candidate_text")
        read = keras.layers.Concatenate()([read, keras.layers.Lambda(vector)(candidate)])
        output = keras.layers.Dense(1, "sigmoid")(read)
    else:
        output = keras.layers.Dense(CATALOGUE, "softmax")(read)

    class Model(keras.Model):
        def encode(self, behaviour_text):
            return vector(behaviour_text)

    keras.utils.set_random_seed(0)
    return Model(inputs, output)


def test_softmax_lists_nothing_that_is_gone():
    import tensorflow as tf

    from tfrec.serving.modules.behaviour_text import BehaviourTextServing

    model, allow = make_model("softmax"), np.arange(CATALOGUE) % 3 > 0
    module = BehaviourTextServing(model, "softmax", [f"i{i}" for i in range(CATALOGUE)], 10, allow=allow)
    answer = module.functions["serving_default"](behaviour_text=tf.constant(["view: red hat"]))
    probabilities = model({"behaviour_text": tf.constant(["view: red hat"])}).numpy()[0]
    order = [i for i in np.argsort(-probabilities, kind="stable") if i % 3]
    assert answer["count"].numpy() == 8  # of twelve, four are gone
    assert [name.decode() for name in answer["item_ids"].numpy()[0]] == [f"i{i}" for i in order]
    assert_allclose(answer["scores"].numpy()[0], probabilities[order], rtol=1e-6)


@pytest.fixture
def behaviour_run(rebuilt, monkeypatch):
    def make(head):
        run = rebuilt("model.kind=behaviour-text", f"model.head={head}", "export.max_k=5")
        return type(run)(**{**vars(run), "kind": "behaviour-text", "model": make_model(head)})

    return make


@pytest.mark.slow
def test_softmax_serves_the_most_probable_items(behaviour_run, tmp_path):
    import tensorflow as tf

    run = behaviour_run("softmax")
    folder = export(run, tmp_path / "shop")
    check(folder)
    signatures = tf.saved_model.load(str(folder)).signatures
    texts = tf.constant(["view: red hat", ""])
    answer = signatures["serving_default"](behaviour_text=texts)
    probabilities = run.model({"behaviour_text": texts}).numpy()
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    assert answer["item_ids"].numpy().tolist() == [[f"i{i}".encode() for i in row] for row in order]
    assert_allclose(answer["scores"], np.take_along_axis(probabilities, order, 1), rtol=1e-5)
    assert answer["count"].numpy().tolist() == [5, 5]
    assert signatures["encode"](behaviour_text=texts)["embeddings"].shape == (2, 7)


@pytest.mark.slow
def test_sigmoid_serves_a_probability_for_each_row(behaviour_run, tmp_path):
    import tensorflow as tf

    run = behaviour_run("sigmoid")
    folder = export(run, tmp_path / "shop")
    assert check(folder).signatures == ["encode", "serving_default"]
    inputs = {"behaviour_text": tf.constant(["view: red hat", ""]), "candidate_text": tf.constant(["hat", "shoe"])}
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](**inputs)
    assert answer["probability"].shape == (2,)
    assert_allclose(answer["probability"], run.model(inputs).numpy()[:, 0], rtol=1e-5)
    about = read_json(folder / "tfrec.json")
    assert (about["kind"], about["head"]) == ("behaviour-text", "sigmoid")
