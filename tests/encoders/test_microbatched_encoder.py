"""The encoder in microbatches, and its adapters, against a single pass over all texts."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders import BertConfig, GptConfig, load_encoder
from tfrec.encoders.checkpoints.save_fine_tuned import save_tuned, trainable_model
from tfrec.encoders.microbatched_encoder import MicrobatchedEncoder
from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.lora import add_lora, merge_lora
from tfrec.errors import InvalidInput
from tfrec.schema import INPUT_MASK, INPUT_WORD_IDS

TEXTS = [
    "red shoe",
    "",
    "a big green hat and a small blue coat",
    "book",
    "tea",
    "old film with music on the table",
    "cup",
]


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def tokens(encoder):
    return TokenTable(encoder, TEXTS, 16)


def dense(gradient):
    return tf.convert_to_tensor(gradient).numpy()


@pytest.mark.slow
def test_tokens_equal_those_of_the_preprocessor_without_padding(encoder, tokens):
    rows = np.array([2, 0])
    whole = encoder.inputs([TEXTS[row] for row in rows], 16)
    found = tokens.inputs(rows)
    width = int(whole[INPUT_MASK].numpy().sum(1).max())
    for name, value in found.items():
        assert_array_equal(value, whole[name].numpy()[:, :width], err_msg=name)
    assert tokens.lengths[1] == 2 and len(TokenTable(encoder, [], 16).lengths) == 0


@pytest.mark.parametrize("most", [1, 12, 30, 10_000])
def test_every_text_is_in_one_part_and_parts_respect_the_limit(tokens, most):
    rows = np.array([5, 2, 0, 0, 6, 1])
    parts = tokens.parts(rows, most)
    assert sorted(np.concatenate(parts)) == list(range(len(rows)))
    sizes = [len(part) * tokens.lengths[rows[part]].max() for part in parts]
    assert all(size <= most or len(part) == 1 for size, part in zip(sizes, parts))
    longest = [tokens.lengths[rows[part]].max() for part in parts]
    assert longest == sorted(longest) and tokens.parts(rows[:0], most) == []


@pytest.fixture(scope="module", params=[BertConfig, GptConfig])
def passes(request, tokens):
    """A small encoder with a few texts per part. No test changes its weights."""
    config = request.param(vocab_size=int(tokens.words.max()) + 1, width=8, layers=2, heads=2, inner_width=16)
    return MicrobatchedEncoder(build_backbone(config), config, tokens, part_tokens=12)


@pytest.mark.slow
@pytest.mark.parametrize("frozen", [0, 1, 2, 3])
@pytest.mark.parametrize("memory", [0, 60_000, 2**30])
def test_kept_and_recomputed_parts_give_the_gradients_of_one_pass(tokens, passes, frozen, memory):
    passes.memory = memory  # shared, so that the graphs are traced only once
    rows = np.array([4, 2, 5, 0, 1])
    upstream = tf.constant(np.random.default_rng(0).normal(size=(5, 8)), tf.float32)
    variables = passes.variables(frozen)
    with tf.GradientTape() as tape:
        expected = passes.model(tokens.inputs(rows), training=False)["pooled_output"]
    wanted = tape.gradient(expected, variables, output_gradients=upstream)
    assert_allclose(passes.forward(rows, frozen), expected, atol=1e-5)
    kept = [tape is not None for _, _, tape, _ in passes._parts]
    assert {0: not any(kept), 60_000: 0 < sum(kept) < len(kept), 2**30: all(kept)}[memory]
    for found, right, variable in zip(passes.backward(upstream, variables), wanted, variables, strict=True):
        assert_allclose(dense(found), dense(right), atol=1e-4, err_msg=variable.name)
    names = " ".join(variable.name for variable in variables)
    assert ("embeddings" in names) == (frozen == 0) and ("layer_0" in names) == (frozen < 2)


@pytest.mark.slow
def test_dropout_is_the_same_in_both_passes(tokens):
    config = BertConfig(vocab_size=int(tokens.words.max()) + 1, width=8, layers=1, heads=2, inner_width=16)
    model = build_backbone(config)
    gradients = []
    for memory in (0, 2**30):
        passes = MicrobatchedEncoder(model, config, tokens, memory, part_tokens=12, dropout=True)
        vectors = passes.forward(np.arange(5))
        gradients.append([dense(each) for each in passes.backward(tf.ones_like(vectors), passes.variables())])
    for one, other in zip(*gradients, strict=True):
        assert_allclose(one, other, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("memory", [0, 2**30])
def test_both_passes_use_the_given_table_and_the_next_call_the_own_one(tokens, memory):
    config = BertConfig(vocab_size=int(tokens.words.max()) + 1, width=8, layers=1, heads=2, inner_width=16)
    model = build_backbone(config)
    passes = MicrobatchedEncoder(model, config, tokens, memory, part_tokens=12)
    other = tokens.shortened(np.array([5, 2, 0]), 0.5, np.random.default_rng(1))
    assert other.lengths.sum() < tokens.lengths[[5, 2, 0]].sum()
    variables = passes.variables()
    with tf.GradientTape() as tape:
        expected = model(other.inputs(np.arange(3)), training=False)["pooled_output"]
    wanted = tape.gradient(expected, variables, output_gradients=tf.ones_like(expected))
    assert_allclose(passes.forward(np.arange(3), tokens=other), expected, atol=1e-5)
    for found, right in zip(passes.backward(tf.ones([3, 8]), variables), wanted, strict=True):
        assert_allclose(dense(found), dense(right), atol=1e-4)
    whole = model(tokens.inputs(np.arange(7)), training=False)["pooled_output"]
    assert_allclose(passes.encode_all(), whole, atol=1e-5)
    assert_allclose(passes.forward(np.arange(7)), whole, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_encode_all_equals_the_encoder(encoder, tokens, dtype):
    model, config = trainable_model(encoder, dtype)
    passes = MicrobatchedEncoder(model, config, tokens, part_tokens=12)
    assert_allclose(passes.encode_all(), encoder.encode(TEXTS, seq_length=16), atol=1e-5)


@pytest.mark.slow
def test_adapters_start_neutral_are_all_that_trains_and_can_be_merged(encoder, tokens):
    model, config = trainable_model(encoder)
    plain = model(tokens.inputs(np.arange(7)))["pooled_output"]
    add_lora(model, config, rank=2, seed=1)
    assert_allclose(model(tokens.inputs(np.arange(7)))["pooled_output"], plain, atol=1e-6)
    passes = MicrobatchedEncoder(model, config, tokens)
    variables = passes.variables()
    assert len(variables) == 2 * 4 * config.layers and all(v.name.split("/")[-1][:2] in ("do", "up") for v in variables)
    for variable in variables:
        variable.assign_add(tf.random.stateless_normal(variable.shape, [3, 4]) * 0.3)
    changed = model(tokens.inputs(np.arange(7)))["pooled_output"]
    assert np.abs(changed - plain).max() > 1e-2
    found = merge_lora(model, config)
    assert_allclose(found(tokens.inputs(np.arange(7)))["pooled_output"], changed, atol=1e-5)
    assert [each.shape for each in found.weights] == [each.shape for each in build_backbone(config).weights]
    assert_allclose(passes.encode_all(), changed, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("rank", [0, 32])
def test_a_rank_out_of_range_is_refused(encoder, rank):
    model, config = trainable_model(encoder)
    with pytest.raises(InvalidInput, match=f"from 1 to 31; received {rank}"):
        add_lora(model, config, rank)


@pytest.mark.slow
def test_a_fine_tuned_folder_is_an_encoder_with_its_own_hash(encoder, tmp_path):
    model, _config = trainable_model(encoder)
    save_tuned(tmp_path / "same", encoder, model, source="test", extra={"card.json": {"steps": 1}})
    same = load_encoder(tmp_path / "same")
    assert_allclose(same.encode(TEXTS), encoder.encode(TEXTS), atol=1e-6)
    embeddings = model.get_layer("embeddings").word.embeddings
    embeddings.assign_add(tf.random.stateless_normal(embeddings.shape, [0, 1]))
    save_tuned(tmp_path / "same", encoder, model, source="test", force=True)
    other = load_encoder(tmp_path / "same")
    assert len({other.hash, same.hash, encoder.hash}) == 3
    expected = model(encoder.inputs(TEXTS, 16))["pooled_output"]
    assert_allclose(other.encode(TEXTS, seq_length=16), expected, atol=1e-5)


def test_gelu_of_bfloat16_and_its_gradient_equal_float32():
    from tfrec.encoders.transformers.layers import activate

    values = tf.cast(tf.linspace(-6.0, 6.0, 97), tf.bfloat16)
    found = []
    for x in (values, tf.cast(values, tf.float32)):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = activate(x, "gelu")
        found.append((tf.cast(y, tf.float32), tf.cast(tape.gradient(y, x), tf.float32)))
    for narrow, wide in zip(*found, strict=True):
        assert_allclose(narrow, wide, rtol=1e-2, atol=5e-3)


def test_ids_beyond_the_padding_are_not_kept(tokens):
    assert tokens.inputs(np.array([1]))[INPUT_WORD_IDS].shape == (1, 2)
