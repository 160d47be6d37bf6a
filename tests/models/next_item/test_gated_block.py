"""The gated block against loops over positions and heads."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.models import NextItemModel
from tfrec.models.next_item.gated_block import GatedBlock, rotated


def silu(values):
    return values / (1 + np.exp(-values))


def normed(rows):
    return (rows - rows.mean(axis=1, keepdims=True)) / np.sqrt(rows.var(axis=1, keepdims=True) + 1e-6)


def turned(vector, position):
    """The vector as complex numbers, each turned by its angle."""
    half = len(vector) // 2
    pairs = vector[:half] + 1j * vector[half : 2 * half]
    pairs = pairs * np.exp(1j * position * 10_000.0 ** (-np.arange(half) / half))
    return np.concatenate([pairs.real, pairs.imag, vector[2 * half :]])


def by_loops(block, history, heads):
    (gain_1, shift_1), (gain_2, shift_2), enter, leave = (
        [weight.numpy().astype(np.float64) for weight in layer.weights]
        for layer in (block.norm_1, block.norm_2, block.gate_qkv, block.output_projection)
    )
    gate, query, key, value = np.split(silu((normed(history) * gain_1 + shift_1) @ enter[0] + enter[1]), 4, axis=1)
    width = history.shape[1] // heads
    mixed = np.zeros_like(history)
    for head in range(heads):
        own = slice(head * width, (head + 1) * width)
        for position in range(len(history)):
            for past in range(position + 1):
                score = turned(query[position, own], position) @ turned(key[past, own], past) / np.sqrt(width)
                mixed[position, own] += silu(score) / (position + 1) * value[past, own]
    return history + ((normed(mixed) * gain_2 + shift_2) * gate) @ leave[0] + leave[1]


def block_and_inputs(heads, width=8):
    """A block with drawn weights, and histories."""
    rng = np.random.default_rng(heads)
    block, inputs = GatedBlock(heads), rng.normal(size=(2, 5, width)).astype(np.float32)
    block(inputs)
    for weight in block.trainable_variables:
        weight.assign(rng.normal(size=weight.shape) * 0.6)
    return block, inputs


@pytest.fixture(params=[1, 2, 4])
def built(request):
    return *block_and_inputs(request.param), request.param


def test_a_block_is_gated_attention_with_rotary_positions(built):
    block, inputs, heads = built
    for history, found in zip(inputs, block(inputs), strict=True):
        assert_allclose(found, by_loops(block, history.astype(np.float64), heads), rtol=1e-3, atol=1e-3)


def test_no_position_attends_to_a_later_one_and_padding_changes_nothing(built):
    block, inputs, _ = built
    changed = np.concatenate([inputs[:, :3], inputs[:, 3:] + 10, np.ones((2, 4, 8), np.float32)], axis=1)
    assert_allclose(block(changed)[:, :3], block(inputs)[:, :3], atol=1e-5)
    assert np.abs(block(changed)[:, 3] - block(inputs)[:, 3]).max() > 1e-3


def test_products_of_turned_vectors_depend_on_their_distance():
    query, key = np.random.default_rng(0).normal(size=(2, 8)).astype(np.float32)
    queries, keys = (rotated(tf.constant(np.tile(vector, (9, 1)))).numpy() for vector in (query, key))
    products = queries @ keys.T
    for distance in range(9):
        assert_allclose(np.diag(products, -distance), products[distance, 0], atol=1e-4)
    assert np.ptp(products[:, 0]) > 0.1


def test_dropout_drops_what_the_block_adds():
    block, inputs = GatedBlock(heads=2, dropout=0.5, seed=1), tf.random.stateless_normal([4, 6, 8], [1, 2])
    added, dropped = block(inputs) - inputs, block(inputs, training=True) - inputs
    kept = dropped.numpy() != 0
    assert_allclose(dropped.numpy()[kept], 2 * added.numpy()[kept], rtol=1e-3, atol=1e-5)
    assert 0.3 < kept.mean() < 0.7


@pytest.mark.parametrize("width", [2, 6])
def test_in_heads_of_an_odd_width_the_last_entry_is_not_turned(width):
    block, inputs = block_and_inputs(2, width)
    assert_allclose(block(inputs)[0], by_loops(block, inputs[0].astype(np.float64), 2), rtol=1e-3, atol=1e-3)


def test_the_width_must_be_divisible_by_the_heads():
    with pytest.raises(ValueError, match="divisible by heads=4"):
        GatedBlock(heads=4)(tf.zeros([1, 2, 10]))


def test_variants_of_a_history_are_answered_from_events_in_any_order():
    """Each variant ends with another event; the second half of the events is another history's."""
    block, inputs = block_and_inputs(2)
    events = np.concatenate([inputs, inputs[::-1]], axis=1)
    order = np.random.default_rng(5).permutation(10)
    newest = np.argsort(order)[:5]
    visible = (order < 5) & (order <= np.arange(5)[:, None])
    found = block.at_newest(events[:, order], tf.constant(order % 5), np.stack([newest] * 2), np.stack([visible] * 2))
    assert_allclose(found, block(inputs), atol=1e-4)


@pytest.mark.slow
def test_xla_compiles_the_block_and_bfloat16_is_near(built):
    block, inputs, heads = built
    assert_allclose(tf.function(block, jit_compile=True)(tf.constant(inputs)), block(inputs), rtol=1e-3, atol=1e-4)
    small = GatedBlock(heads, dtype="mixed_bfloat16")
    small(tf.constant(inputs, tf.bfloat16))
    small.set_weights([weight * 0.2 for weight in block.get_weights()])
    block.set_weights(small.get_weights())
    assert_allclose(tf.cast(small(tf.constant(inputs, tf.bfloat16)), tf.float32), block(inputs), atol=0.1)


@pytest.mark.slow
def test_a_model_of_gated_blocks_is_made_again_from_its_configuration():
    model = NextItemModel(num_items=9, num_event_kinds=1, dim=8, heads=2, layers=2, block="gated")
    again = NextItemModel.from_config(model.get_config())
    again.set_weights(model.get_weights())
    inputs = {"history_items": tf.constant([[3, 1, -1]]), "history_events": tf.constant([[0, 0, -1]])}
    inputs["history_gaps"] = tf.zeros([1, 3])
    assert_array_equal(again.scores(inputs), model.scores(inputs))
    plain = NextItemModel(num_items=9, num_event_kinds=1, dim=8, heads=2, layers=2)
    assert model.count_params() != plain.count_params()
