"""The Keras BERT against one in NumPy that follows the paper, with one text and one head at a time."""

import math

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders import BertConfig, build_bert
from tfrec.encoders.checkpoints.huggingface import load_weights, read_checkpoint
from tfrec.encoders.transformers.layers import Block, Embeddings, Pooling, activate

gelu = np.vectorize(lambda x: 0.5 * x * (1.0 + math.erf(x / math.sqrt(2.0))))


def numpy_bert(tensors, ids, types, layers=2, heads=4):
    """The output of every layer for one text without padding, float64 `[layers, length, width]`."""
    t = {name: value.astype(np.float64) for name, value in tensors.items()}

    def dense(rows, name):
        return rows @ t[f"{name}.weight"].T + t[f"{name}.bias"]

    def norm(rows, name):
        rows = (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + 1e-12)
        return rows * t[f"{name}.weight"] + t[f"{name}.bias"]

    hidden = t["embeddings.word_embeddings.weight"][ids] + t["embeddings.token_type_embeddings.weight"][types]
    hidden = norm(hidden + t["embeddings.position_embeddings.weight"][: len(ids)], "embeddings.LayerNorm")
    outputs = []
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        query, key, value = (dense(hidden, f"{at}.attention.self.{part}") for part in ("query", "key", "value"))
        size = hidden.shape[1] // heads
        mixed = []
        for part in (slice(head * size, (head + 1) * size) for head in range(heads)):
            weights = np.exp(query[:, part] @ key[:, part].T / math.sqrt(size))
            mixed.append(weights / weights.sum(-1, keepdims=True) @ value[:, part])
        attended = dense(np.concatenate(mixed, axis=-1), f"{at}.attention.output.dense")
        hidden = norm(hidden + attended, f"{at}.attention.output.LayerNorm")
        fed = dense(gelu(dense(hidden, f"{at}.intermediate.dense")), f"{at}.output.dense")
        hidden = norm(hidden + fed, f"{at}.output.LayerNorm")
        outputs.append(hidden)
    return np.stack(outputs)


@pytest.fixture(scope="module")
def checkpoint(tiny_hf_bert):
    return read_checkpoint(tiny_hf_bert)


@pytest.fixture(scope="module")
def model(checkpoint):
    model = build_bert(checkpoint.config)
    load_weights(model, checkpoint.config, checkpoint.tensors)
    return model


def call(model, ids, types=None, mask=None, **kwargs):
    ids = tf.constant(ids, tf.int32)
    return model(
        {
            "input_word_ids": ids,
            "input_mask": tf.ones_like(ids) if mask is None else tf.constant(mask, tf.int32),
            "input_type_ids": tf.zeros_like(ids) if types is None else tf.constant(types, tf.int32),
        },
        **kwargs,
    )


IDS, TYPES = [2, 9, 30, 12, 3, 44, 3], [0, 0, 0, 0, 0, 1, 1]


def test_every_layer_equals_the_paper(model, checkpoint):
    expected = numpy_bert(checkpoint.tensors, IDS, TYPES)
    outputs = call(model, [IDS], [TYPES])
    assert_allclose(tf.concat(outputs["encoder_outputs"], 0), expected, atol=2e-5)
    assert_allclose(outputs["sequence_output"][0], expected[-1], atol=2e-5)
    pooler = expected[-1][0] @ checkpoint.tensors["pooler.dense.weight"].T + checkpoint.tensors["pooler.dense.bias"]
    assert_allclose(outputs["pooled_output"][0], np.tanh(pooler), atol=2e-5)
    assert_array_equal(outputs["default"], outputs["pooled_output"])


def test_padding_changes_no_real_token(model):
    alone = call(model, [IDS])["sequence_output"][0]
    padded = call(model, [IDS + [17] * 9], mask=[[1] * 7 + [0] * 9])["sequence_output"][0, :7]
    assert_allclose(padded, alone, atol=1e-5)


def test_padding_that_is_not_masked_changes_real_tokens(model):
    alone = call(model, [IDS])["sequence_output"][0]
    assert np.abs(call(model, [IDS + [17] * 9])["sequence_output"][0, :7] - alone).max() > 0.01


HIDDEN = np.array([[[3.0, 4.0], [1.0, 2.0], [9.0, 9.0]]], np.float32)


@pytest.mark.parametrize(
    ("pooling", "normalise", "mask", "expected"),
    [
        ("mean", False, [1, 1, 0], [2.0, 3.0]),
        ("mean", False, [0, 0, 0], [0.0, 0.0]),
        ("cls", False, [1, 1, 0], [3.0, 4.0]),
        ("cls", True, [1, 1, 0], [0.6, 0.8]),
        ("mean", True, [0, 0, 0], [0.0, 0.0]),
    ],
)
def test_pooling_by_hand(pooling, normalise, mask, expected):
    pooled = Pooling(2, pooling, normalise)(tf.constant(HIDDEN), mask_ids=tf.constant([mask]))
    assert_allclose(pooled, [expected], atol=1e-6)


def test_dropout_is_active_only_in_training_and_reproducible(model):
    ids = [IDS, IDS[::-1]]
    trained, again = (call(model, ids, training=True)["pooled_output"] for _ in range(2))
    assert_array_equal(trained, again)
    assert np.abs(trained - call(model, ids, training=False)["pooled_output"]).max() > 0.01


def test_dropout_changes_with_the_weights(checkpoint):
    model = build_bert(checkpoint.config)
    embed = model.get_layer("embeddings")
    ids = tf.constant([IDS])
    embed(ids, ids * 0)
    before = embed(ids, ids * 0, training=True)[0] == 0
    embed.position.assign_add(tf.fill([128, 32], 1e-3))
    after = embed(ids, ids * 0, training=True)[0] == 0
    assert 0.02 < np.mean(before) < 0.25
    assert np.any(before != after)


@pytest.mark.parametrize("activation", ["gelu", "gelu_new", "relu"])
def test_a_model_with_any_activation_can_be_recreated_from_its_config(activation):
    config = BertConfig(vocab_size=9, width=8, layers=1, heads=2, inner_width=16, activation=activation)
    model = build_bert(config)
    custom = {"Embeddings": Embeddings, "Block": Block, "Pooling": Pooling}
    copy = type(model).from_config(model.get_config(), custom_objects=custom)
    copy.set_weights(model.get_weights())
    assert_array_equal(call(copy, [[1, 2, 3]])["pooled_output"], call(model, [[1, 2, 3]])["pooled_output"])


def test_activations_by_hand():
    values = tf.constant([-1.0, 0.5])
    found = {a: activate(values, a) for a in ("gelu", "gelu_new", "relu")}
    assert_allclose(found["gelu"], gelu(values), atol=1e-6)
    assert_allclose(found["relu"], [0.0, 0.5])
    tanh = [0.5 * x * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))) for x in (-1.0, 0.5)]
    assert_allclose(found["gelu_new"], tanh, atol=1e-6)
