"""Which items a behaviour text names, and what the head makes of it, against loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.data import behaviour_text
from tfrec.models.behaviour_text.heads import CosineClasses
from tfrec.models.behaviour_text.item_mentions import ItemsInText, NamedBias
from tfrec.models.behaviour_text.transitions import Transitions

CATALOGUE = ["tea pot", "hat", "", "hat", "a: b", "blue; red", "Tea  pot"]


@pytest.mark.parametrize(
    "history", [[0], [0, 1, 4], [5, 5], [6], [2], [], [1, 0, 2, 3, 4, 5]], ids=lambda h: "-".join(map(str, h)) or "none"
)
def test_the_items_of_a_rendered_history_are_found_again(history):
    layer = ItemsInText(CATALOGUE)
    kinds = ["purchase", "waved: at"]
    text = behaviour_text([kinds[i % 2] for i in range(len(history))], [CATALOGUE[i] for i in history], 999)
    found = [name for name in layer(tf.constant([text])).numpy()[0] if name >= 0]
    plain = [
        name for i, name in enumerate(history) if CATALOGUE[name] and i % 2 == 0
    ]  # a kind with ": " hides its item
    assert found == [layer.names[item] for item in plain]


def test_items_share_a_name_when_they_share_a_text():
    assert ItemsInText(CATALOGUE).names.tolist() == [0, 1, -1, 1, 2, 3, 4]
    assert ItemsInText([]).names.tolist() == []


def test_what_the_catalogue_has_not_is_nothing():
    found = ItemsInText(CATALOGUE)(tf.constant(["viewed: tea", "viewed: hat; bought: hat ", "", "; ; "]))
    assert_array_equal(found, [[-1, -1, -1], [1, -1, -1], [-1, -1, -1], [-1, -1, -1]])


def test_no_catalogue_names_nothing():
    assert_array_equal(ItemsInText([])(tf.constant(["viewed: tea"])), [[-1]])


@pytest.mark.parametrize("named", [[0, 1, 2], [1, 1], [2, 0, 2], [-1, 1, -1], [-1, -1], [0, -1, 0]])
def test_the_bias_is_added_once_to_every_item_of_a_name(named):
    names = [0, 1, -1, 1, 2]
    layer = NamedBias(names, 3)
    scores = np.arange(5, dtype=np.float32)[None]
    layer([tf.constant(scores), tf.constant([named])])
    layer.bias.assign([-2.0, 0.5])
    real = [name for name in named if name >= 0]
    expected = scores[0].copy()
    for item, name in enumerate(names):
        if real and name == real[-1]:
            expected[item] -= 2.0
        elif name in real:
            expected[item] += 0.5
    assert_allclose(layer([tf.constant(scores), tf.constant([named])])[0], expected)


def test_the_bias_learns():
    layer = NamedBias([0, 1], 2)
    with tf.GradientTape() as tape:
        out = layer([tf.zeros([2, 2]), tf.constant([[0, 1], [1, -1]])])
        loss = tf.reduce_sum(out * [[1.0, 10.0], [100.0, 1000.0]])
    assert_allclose(tape.gradient(loss, layer.bias), [1010.0, 1.0])


def test_cosine_classes_are_scaled_cosines_and_a_bias():
    rng = np.random.default_rng(0)
    layer, vectors = CosineClasses(4, scale=3.0), rng.normal(size=(5, 6)).astype(np.float32)
    layer(vectors)
    kernel, bias = rng.normal(size=(4, 6)).astype(np.float32), rng.normal(size=4).astype(np.float32)
    layer.set_weights([kernel, bias])
    expected = [[3 * v @ k / np.linalg.norm(v) / np.linalg.norm(k) + b for k, b in zip(kernel, bias)] for v in vectors]
    assert_allclose(layer(vectors), expected, rtol=1e-4)


@pytest.mark.parametrize(
    "layer", [ItemsInText(["a", "b"]), NamedBias([0, -1], 1), CosineClasses(3, 2.0), Transitions([0], 1, 3, 0.5)]
)
def test_layers_come_back_from_their_configuration(layer):
    assert type(layer).from_config(layer.get_config()).get_config() == layer.get_config()
