"""Exports of BehaviourTextModels on a tiny BERT, frozen and fine-tuned, answer like the Keras model."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfrec.serving import check, export


@pytest.fixture
def trained(rebuilt, tiny_encoder):
    """A run whose weights all moved away from where they were loaded from."""
    import tensorflow as tf

    from tfrec.encoders import load_encoder
    from tfrec.models.behaviour_text.model import build_behaviour_text_model

    def make(head, trainable, *settings):
        small = ["model.mlp_units=[8]", "model.text_tokens=16", "export.max_k=5", *settings]
        kind = ["model.kind=behaviour-text", f"model.head={head}", f"encoder.trainable={trainable}"]
        run = rebuilt(*kind, *small)
        model = build_behaviour_text_model(
            load_encoder(str(tiny_encoder)), head, run.items["text"].to_list(), run.config
        )
        rng = np.random.default_rng(3)
        for weight in model.trainable_variables:
            weight.assign_add(0.1 * tf.constant(rng.normal(size=weight.shape), weight.dtype))
        return type(run)(**{**vars(run), "kind": "behaviour-text", "model": model})

    return make


TEXTS = ["viewed: red shoe; bought: blue hat", "", "viewed: red coat " * 30]


@pytest.mark.parametrize("trainable", [pytest.param("false", marks=pytest.mark.nightly), "true"])
@pytest.mark.slow
def test_a_softmax_export_ranks_like_the_model(trained, tmp_path, trainable):
    import tensorflow as tf

    run = trained("softmax", trainable)
    folder = export(run, tmp_path / "shop")
    check(folder)
    probabilities = run.model({"behaviour_text": tf.constant(TEXTS)}).numpy()
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](behaviour_text=tf.constant(TEXTS))
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :5]
    assert_allclose(answer["scores"], np.take_along_axis(probabilities, order, 1), rtol=1e-4)
    assert answer["item_ids"].numpy().tolist() == [[f"i{i}".encode() for i in row] for row in order]


@pytest.mark.parametrize(
    "trainable, candidate",
    [
        ("false", "tower"),
        pytest.param("true", "tower", marks=pytest.mark.nightly),
        pytest.param("true", "segment", marks=pytest.mark.nightly),
    ],
    ids=lambda v: v,
)
@pytest.mark.slow
def test_a_sigmoid_export_predicts_like_the_model(trained, tmp_path, trainable, candidate):
    import tensorflow as tf

    run = trained("sigmoid", trainable, f"model.candidate={candidate}")
    folder = export(run, tmp_path / "shop")
    check(folder)
    inputs = {"behaviour_text": tf.constant(TEXTS), "candidate_text": tf.constant(["hat", "", "red shoe"])}
    answer = tf.saved_model.load(str(folder)).signatures["serving_default"](**inputs)
    assert_allclose(answer["probability"], run.model(inputs).numpy(), rtol=1e-4)
