"""Encoders and the language model on top compiled by XLA: the same numbers and gradients as without."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tests.conftest import TINY_VOCABULARY
from tests.encoders.checkpoints.random_checkpoints import write_distil_folder, write_family_folder, write_gpt_folder
from tests.encoders.tokenization.tokenizer_files import modernbert_tokenizer
from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.encoders.transformers.language_model import LanguageModel

IDS = [[2, 9, 30, 12, 3, 44, 3], [2, 8, 3, 0, 0, 0, 0]]
NAMES = ("sequence_output", "pooled_output")


@pytest.fixture(scope="module", params=["bert", "distilbert", "gpt2", "modernbert"])
def checkpoint(request, tiny_hf_bert, tmp_path_factory):
    root = tmp_path_factory.mktemp("hf")
    if request.param == "bert":
        return read_checkpoint(tiny_hf_bert)
    if request.param == "modernbert":
        return read_checkpoint(write_family_folder(root / "modernbert", "modernbert", modernbert_tokenizer()))
    write = write_distil_folder if request.param == "distilbert" else write_gpt_folder
    arguments = [TINY_VOCABULARY] if request.param == "distilbert" else []
    return read_checkpoint(write(root / request.param, *arguments))


def compiled_and_not(step):
    return [[value.numpy() for value in tf.function(step, jit_compile=jit)()] for jit in (False, True)]


def assert_same(plain, compiled):
    for one, other in zip(plain, compiled, strict=True):
        assert_allclose(one, other, rtol=1e-5, atol=1e-5 * max(1, np.abs(one).max()))


@pytest.mark.slow
def test_an_encoder_and_its_gradients_are_the_same_under_xla(checkpoint):
    encoder = checkpoint.model()
    ids = tf.constant(IDS)
    inputs = {"input_word_ids": ids, "input_mask": tf.cast(ids > 0, tf.int32), "input_type_ids": tf.zeros_like(ids)}
    directions = {name: tf.random.stateless_normal(encoder(inputs)[name].shape, [1, 2]) for name in NAMES}

    def step():
        with tf.GradientTape() as tape:
            outputs = encoder(inputs, training=False)
            loss = tf.add_n([tf.reduce_sum(outputs[name] * directions[name]) for name in NAMES])
        gradients = tape.gradient(loss, encoder.trainable_variables, unconnected_gradients="zero")
        return [loss, *(outputs[name] for name in NAMES), *map(tf.convert_to_tensor, gradients)]

    assert_same(*compiled_and_not(step))


@pytest.mark.slow
@pytest.mark.parametrize(
    "checkpoint",
    ["gpt2", "modernbert", *(pytest.param(name, marks=pytest.mark.nightly) for name in ("bert", "distilbert"))],
    indirect=True,
)
def test_the_loss_of_a_language_model_is_the_same_under_xla(checkpoint):
    model = LanguageModel(checkpoint.model(), checkpoint.config)
    ids = tf.constant(IDS)
    inputs = {"input_word_ids": ids, "input_mask": tf.cast(ids > 0, tf.int32), "input_type_ids": tf.zeros_like(ids)}
    places, wanted = tf.constant([[0, 1], [0, 5], [1, 1]]), tf.constant([7, 3, 5])
    model(inputs, places)

    def step():
        with tf.GradientTape() as tape:
            logits = model(inputs, places, training=False)
            loss = tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits))
        gradients = tape.gradient(loss, model.trainable_variables, unconnected_gradients="zero")
        return [loss, *map(tf.convert_to_tensor, gradients)]

    plain, compiled = compiled_and_not(step)
    assert np.isfinite(plain[0]) and any(np.abs(gradient).max() > 0.01 for gradient in plain[1:])
    assert_same(plain, compiled)
