"""The layers of NextItemModel, compared with loops."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import math  # isort: skip

import numpy as np
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


@pytest.mark.parametrize("seed", range(3))
def test_components_are_ordered_by_variance_and_their_largest_entry_is_positive(seed):
    texts = np.random.default_rng(seed).normal(size=(40, 7)) @ np.diag([1, 2, 3, 4, 5, 6, 7]) + 2.0
    table = ItemTable(num_items=40, text_dim=7, dim=5, use_id=False)
    table(tf.constant([0]))
    table.start_from(texts.astype(np.float32))
    centred = texts - texts.mean(axis=0)
    directions = np.linalg.svd(centred)[2][:5]  # the strongest first; each may as well point the other way
    directions = [row if max(row) > -min(row) else -row for row in directions]
    assert_allclose(table.vectors(), np.array([[text @ row for row in directions] for text in centred]), atol=1e-3)


def test_ids_and_projection_have_their_own_learning_rates():
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


def test_a_table_without_text_and_ids_is_refused():
    with pytest.raises(ValueError, match="text vectors, ids or both"):
        ItemTable(num_items=3, text_dim=0, dim=4, use_id=False)


def test_no_position_attends_to_a_later_one():
    block = CausalBlock(heads=2)
    inputs = np.random.default_rng(0).normal(size=(1, 5, 8)).astype(np.float32)
    changed = inputs.copy()
    changed[0, 3:] += 10.0
    assert_allclose(block(changed)[0, :3], block(inputs)[0, :3], atol=1e-6)
    assert np.abs(block(changed)[0, 3] - block(inputs)[0, 3]).max() > 1e-3


def attention_by_loops(hidden, qkv, output, heads):
    """softmax(Q Kᵀ / √width) V of every head over a position and those before it, the heads side by side, float64."""
    dim = hidden.shape[1]
    width = dim // heads
    query, key, value = np.split(hidden @ qkv[0] + qkv[1], 3, axis=1)
    mixed = np.zeros_like(hidden)
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        for position in range(len(hidden)):
            scores = [query[position, own] @ key[past, own] / np.sqrt(width) for past in range(position + 1)]
            shares = np.exp(scores) / np.exp(scores).sum()
            mixed[position, own] = sum(share * value[past, own] for past, share in enumerate(shares))
    return mixed @ output[0] + output[1]


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_the_causal_block_is_pre_norm_attention_and_feed_forward(heads):
    rng = np.random.default_rng(heads)
    block, inputs = CausalBlock(heads), rng.normal(size=(2, 5, 8))
    block(inputs.astype(np.float32))
    for weight in block.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.6)
    (gain_1, shift_1), (gain_2, shift_2), qkv, output, expand, contract = (
        [weight.numpy().astype(np.float64) for weight in layer.weights]
        for layer in (block.norm_1, block.norm_2, block.qkv, block.output_projection, block.expand, block.contract)
    )

    def normed(rows):
        return (rows - rows.mean(axis=1, keepdims=True)) / rows.std(axis=1, keepdims=True)

    def gelu(values):
        return values * (1 + np.vectorize(math.erf)(values / np.sqrt(2))) / 2

    for history, found in zip(inputs, block(inputs.astype(np.float32)), strict=True):
        hidden = history + attention_by_loops(normed(history) * gain_1 + shift_1, qkv, output, heads)
        inner = gelu((normed(hidden) * gain_2 + shift_2) @ expand[0] + expand[1])
        assert_allclose(found, hidden + inner @ contract[0] + contract[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("part", ["attention", "feed-forward"])
def test_dropout_in_training_applies_to_attention_and_to_residual_branches(part):
    """Both places of a part drop half and double the rest, so that what it adds is 0 or 4 times as much."""
    block, inputs = CausalBlock(heads=4, dropout=0.5, seed=1), tf.zeros([32, 1, 8])
    block(inputs)
    for weight in block.trainable_variables:
        weight.assign(tf.zeros_like(weight))
    if part == "attention":  # to the one event there is, whose value is 1
        block.qkv.bias.assign(np.repeat([0.0, 0.0, 1.0], 8))
        block.output_projection.kernel.assign(np.eye(8))
        added = 1.0
    else:  # gelu(2), each inner number to one of the sum
        block.expand.bias.assign(np.full(16, 2.0))
        block.contract.kernel.assign(np.eye(16)[:, :8])
        added = 1 + math.erf(2 / math.sqrt(2))
    assert_allclose(block(inputs), np.full((32, 1, 8), added), rtol=1e-5)
    found = block(inputs, training=True).numpy().ravel()
    dropped = np.isclose(found, 0)
    assert_allclose(found[~dropped], 4 * added, rtol=1e-5)
    assert 0.6 < dropped.mean() < 0.9


def test_dropout_repeats_after_its_counter_is_reset():
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
