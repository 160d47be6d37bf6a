"""The layers of NextItemModel, against loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models.next_item.transformer import CausalBlock, EventEmbedding
from tfrec.models.shared.item_table import ItemTable
from tfrec.models.shared.step_dropout import StepDropout


def test_item_table_starts_at_the_principal_components():
    texts = np.random.default_rng(3).normal(size=(40, 6)).astype(np.float32)
    table = ItemTable(num_items=40, text_dim=6, dim=6)
    table(tf.constant([0]))
    table.start_from(texts)
    centred = texts - texts.mean(axis=0)
    # a rotation keeps lengths and angles
    assert_allclose(table.vectors() @ tf.transpose(table.vectors()), centred @ centred.T, atol=1e-3)
    assert_allclose(table.of_text(texts), table.vectors(), atol=1e-5)


def test_ids_and_projection_move_at_their_own_rate():
    table = ItemTable(num_items=3, text_dim=4, dim=2, id_rate=0.5, projection_rate=0.1)
    table(tf.constant([0]))
    texts = np.arange(12, dtype=np.float32).reshape(3, 4) ** 2
    table.start_from(texts)
    before = table.vectors().numpy()
    table.ids.assign_add(tf.ones([3, 2]))
    assert_allclose(table.vectors(), before + 0.5, atol=1e-3)
    table.projection.assign_add(tf.ones([4, 2]))
    assert_allclose(table.vectors(), before + 0.5 + 0.1 * (texts - texts.mean(0)).sum(1, keepdims=True), atol=1e-2)


def test_padding_has_the_zero_vector():
    table = ItemTable(num_items=3, text_dim=0, dim=4)
    assert_array_equal(table(tf.constant([[1, -1]]))[0, 1], np.zeros(4))


def test_a_table_of_nothing_is_refused():
    with pytest.raises(ValueError, match="text vectors, ids or both"):
        ItemTable(num_items=3, text_dim=0, dim=4, use_id=False)


def test_no_position_sees_a_later_one():
    block = CausalBlock(heads=2)
    inputs = np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32)
    changed = inputs.copy()
    changed[0, 3:] += 10.0
    assert_allclose(block(changed)[0, :3], block(inputs)[0, :3], atol=1e-6)
    assert np.abs(block(changed)[0, 3] - block(inputs)[0, 3]).max() > 1e-3


def test_dropout_repeats_after_its_counter_is_put_back():
    layer, ones = StepDropout(0.5, seed=7), tf.ones([64])
    first, second = layer(ones, training=True), layer(ones, training=True)
    layer.calls.assign(0)
    assert_array_equal(layer(ones, training=True), first)
    assert np.any(first.numpy() != second.numpy())
    assert set(first.numpy()) == {0.0, 2.0}
    assert_array_equal(layer(ones, training=False), ones)


def test_unknown_event_kinds_add_nothing():
    layer = EventEmbedding(max_history=4, num_event_kinds=2)
    vectors, gaps = tf.ones([1, 3, 4]), tf.zeros([1, 3])
    layer(vectors, tf.constant([[0, 1, -1]]), gaps)
    layer.kinds.assign(np.arange(12).reshape(3, 4))
    found = layer(vectors, tf.constant([[1, -1, 9]]), gaps)
    assert_allclose(found[0, 0] - found[0, 1], [4, 5, 6, 7], atol=1e-5)
    assert_allclose(found[0, 1], found[0, 2])
