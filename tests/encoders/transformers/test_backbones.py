"""BERT, DistilBERT and GPT-2 against stored numbers that `transformers` 5.23 computed from the same weights."""

import json

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.conftest import TINY_VOCABULARY
from tests.encoders.checkpoints.random_checkpoints import (
    GPT_VOCABULARY,
    gpt_tensors,
    write_distil_folder,
    write_gpt_folder,
)
from tfrec.encoders import BertConfig, GptConfig, build_bert, build_gpt, import_encoder, load_encoder
from tfrec.encoders.checkpoints.huggingface import expected_shapes, load_weights, read_checkpoint
from tfrec.encoders.transformers.layers import Block, Embeddings, Pooling
from tfrec.errors import InvalidInput

IDS, TYPES = [2, 9, 30, 12, 3, 44, 3], [0, 0, 0, 0, 0, 1, 1]

# Hidden states of both layers: tokens 0, 3 and 6, components 0 and 17.
GOLDEN = {
    "bert": [
        [1.185277, -0.451975, 0.542327, 1.562332, 1.398877, -0.314873],
        [1.026365, -1.104342, 0.916739, -0.279651, 1.090952, -0.709019],
    ],
    "distilbert": [
        [1.049199, -0.512431, -1.37395, 0.552483, -1.856017, 0.544737],
        [-0.29146, 0.373624, -1.903522, 2.510924, -2.185975, 1.7331],
    ],
    "gpt2": [
        [-0.322636, -1.763391, -0.63474, 0.213041, -1.43403, 0.181681],
        [-0.038454, -0.618815, -0.998186, 0.689313, -0.998075, 0.971683],
    ],
}


@pytest.fixture(scope="module")
def folders(tiny_hf_bert, tmp_path_factory):
    root = tmp_path_factory.mktemp("hf")
    return {
        "bert": tiny_hf_bert,
        "distilbert": write_distil_folder(root / "distil", TINY_VOCABULARY),
        "gpt2": write_gpt_folder(root / "gpt"),
    }


def call(model, ids, mask=None, types=None, **kwargs):
    ids = tf.convert_to_tensor(ids, tf.int32)
    mask = tf.ones_like(ids) if mask is None else tf.constant(mask, tf.int32)
    types = tf.zeros_like(ids) if types is None else tf.constant(types, tf.int32)
    return model({"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}, **kwargs)


@pytest.mark.parametrize("name", GOLDEN)
def test_hidden_states_equal_those_of_transformers(folders, name):
    outputs = call(read_checkpoint(folders[name]).model(), [IDS], types=[TYPES])["encoder_outputs"]
    found = [np.asarray(output)[0][[0, 3, 6]][:, [0, 17]].ravel() for output in outputs]
    assert_allclose(found, GOLDEN[name], atol=2e-5)


@pytest.mark.parametrize("name", GOLDEN)
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_the_content_of_the_padding_does_not_change_a_bit(folders, name, policy):
    checkpoint = read_checkpoint(folders[name], "mean")
    build = build_gpt if name == "gpt2" else build_bert
    model = build(checkpoint.config, policy)
    load_weights(model, checkpoint.config, checkpoint.tensors)
    mask = [[1] * 7 + [0] * 5]
    one, other = (call(model, [IDS + junk], mask) for junk in ([0] * 5, [17, 3, 9, 44, 21]))
    assert_array_equal(one["pooled_output"], other["pooled_output"])
    assert_array_equal(one["sequence_output"][:, :7], other["sequence_output"][:, :7])
    alone = call(model, [IDS])["sequence_output"]
    assert_allclose(one["sequence_output"][:, :7], alone, atol=1e-5 if policy == "float32" else 0.1)


@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_padding_gets_no_gradient(folders, name):
    model = read_checkpoint(folders[name], "mean").model()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(call(model, [IDS + [50, 51]], [[1] * 7 + [0] * 2])["pooled_output"] ** 2)
    gradient = tape.gradient(loss, model.get_layer("embeddings").word.embeddings)
    dense = np.zeros(gradient.dense_shape)
    np.add.at(dense, gradient.indices.numpy(), gradient.values.numpy())
    assert np.abs(dense[[50, 51]]).max() == 0
    assert np.abs(dense[IDS]).max() > 0


@pytest.mark.slow
def test_gpt_attention_is_causal_and_bert_attention_is_not(folders):
    for name, sees in (("gpt2", False), ("bert", True)):
        model = read_checkpoint(folders[name]).model()
        one, other = (call(model, [[5, 6, 7, last]])["sequence_output"].numpy()[:, :3] for last in (8, 9))
        assert bool(np.abs(one - other).max() > 1e-3) is sees


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_xla_computes_the_same(folders, name):
    model = read_checkpoint(folders[name]).model()
    mask = [[1] * 7, [1] * 4 + [0] * 3]
    compiled = tf.function(lambda ids: call(model, ids, mask), jit_compile=True)
    ids = tf.constant([IDS, IDS[::-1]])
    assert_allclose(compiled(ids)["pooled_output"], call(model, ids, mask)["pooled_output"], atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", GOLDEN)
def test_mixed_bfloat16_keeps_float32_weights_and_outputs_and_stays_close(folders, name):
    checkpoint = read_checkpoint(folders[name])
    build = build_gpt if name == "gpt2" else build_bert
    model = build(checkpoint.config, "mixed_bfloat16")
    load_weights(model, checkpoint.config, checkpoint.tensors)
    outputs = call(model, [IDS])
    assert {weight.dtype for weight in model.weights} == {tf.float32}
    assert outputs["pooled_output"].dtype == outputs["sequence_output"].dtype == tf.float32
    assert model.get_layer("layer_0").compute_dtype == "bfloat16"
    exact = call(checkpoint.model(), [IDS])["sequence_output"].numpy().ravel()
    found = outputs["sequence_output"].numpy().ravel()
    assert 0.99 < exact @ found / np.linalg.norm(exact) / np.linalg.norm(found) < 0.9999999


def test_last_token_pooling_by_hand():
    hidden = tf.constant([[[3.0, 4.0], [1.0, 2.0], [9.0, 9.0]]])
    for mask, expected in (([1, 1, 0], [1.0, 2.0]), ([1, 1, 1], [9.0, 9.0]), ([0, 0, 0], [0.0, 0.0])):
        assert_array_equal(Pooling(2, "last", False)(hidden, mask_ids=tf.constant([mask])), [expected])


@pytest.mark.parametrize(
    ("size", "parameters"),
    # Turc et al. (arXiv:1908.08962), table 1, counts 4.4, 11.3, 29.1, 41.7 and 110.1 million with the pooler.
    [("tiny", 4.4), ("mini", 11.3), ("small", 29.1), ("medium", 41.7), ("base", 110.1)],
)
def test_sizes_have_the_published_number_of_weights(size, parameters):
    config = BertConfig.of_size(size, 30522, pooling="pooler")
    count = sum(int(np.prod(shape)) for shape in expected_shapes(config).values())
    assert abs(count / 1e6 - parameters) < 0.7


def test_a_gpt_can_be_recreated_from_its_config():
    model = build_gpt(GptConfig.of_size("tiny", 50))
    custom = {"Embeddings": Embeddings, "Block": Block, "Pooling": Pooling}
    copy = type(model).from_config(model.get_config(), custom_objects=custom)
    copy.set_weights(model.get_weights())
    assert_array_equal(call(copy, [[1, 2, 3]])["pooled_output"], call(model, [[1, 2, 3]])["pooled_output"])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: GptConfig.of_size("tiny", 50, pooling="cls"), "last, mean"),
        (lambda: BertConfig.of_size("huge", 50), "tiny, mini"),
        (lambda: BertConfig(50, 30, 1, 4, 8), "4 attention heads"),
        (lambda: BertConfig(50, 0, 1, 4, 8), "width is 0"),
        (lambda: BertConfig(50, 8, 1, 4, 8, activation="swish"), "swish"),
    ],
)
def test_invalid_configs_are_refused(make, words):
    with pytest.raises(InvalidInput, match=words):
        make()


@pytest.mark.parametrize("name", ["distilbert", "gpt2"])
@pytest.mark.slow
def test_an_imported_folder_encodes_texts_the_same_in_any_batch(folders, name, tmp_path):
    encoder = load_encoder(import_encoder(folders[name], tmp_path / name))
    texts = ["red shoe", "", "the old book of the red sea", "a" * 5000, "日本 😀"]
    together = encoder.encode(texts, seq_length=16)
    assert_allclose(together, [encoder.encode([text], seq_length=16)[0] for text in texts], atol=1e-5)
    assert np.isfinite(together).all() and len(np.unique(together.round(4), axis=0)) == 5
    about = json.loads((tmp_path / name / "tfrec_encoder.json").read_text())
    assert about["backbone"]["family"] == {"distilbert": "bert", "gpt2": "gpt"}[name]
    assert about["pooling"] == {"distilbert": "mean", "gpt2": "last"}[name]


@pytest.mark.slow
def test_a_gpt_trains_through_its_saved_model(folders, tmp_path):
    encoder = load_encoder(import_encoder(folders["gpt2"], tmp_path / "gpt"), trainable=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder.encoder(encoder.inputs(["red shoe"], 8), training=True)["pooled_output"] ** 2)
    gradients = tape.gradient(loss, encoder.encoder.trainable_variables)
    assert len(gradients) == 2 + 2 * 12 + 2 and all(gradient is not None for gradient in gradients)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx"),
        ({"scale_attn_weights": False}, "scale_attn_weights"),
        ({"n_layer": 1}, "no place for: h.1."),
        ({"n_layer": 3}, "lacks 12 of"),
        ({"vocab_size": 90}, "wte.weight"),
        ({"activation_function": "swish"}, "swish"),
    ],
)
def test_a_gpt_folder_we_cannot_run_is_refused(tmp_path, config, words):
    with pytest.raises(InvalidInput, match=words):
        read_checkpoint(write_gpt_folder(tmp_path / "gpt", config=config))


def test_a_gpt_folder_with_a_head_and_saved_masks_is_accepted(tmp_path):
    tensors = {f"transformer.{name}": value for name, value in gpt_tensors().items()}
    more = {"lm_head.weight": gpt_tensors()["wte.weight"], "transformer.h.0.attn.bias": np.ones((1, 1, 64, 64))}
    checkpoint = read_checkpoint(write_gpt_folder(tmp_path / "gpt", {**tensors, **more}))
    assert set(checkpoint.tensors) == set(gpt_tensors())


def test_a_gpt_vocabulary_of_another_model_is_refused(tmp_path):
    folder = write_gpt_folder(tmp_path / "gpt", gpt_tensors(40), {"vocab_size": 40})
    with pytest.raises(InvalidInput, match=f"{len(GPT_VOCABULARY)} word pieces"):
        read_checkpoint(folder)
