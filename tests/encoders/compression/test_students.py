"""Students of a tiny BERT: what each part changes, and that the folder gives what the Keras model gives."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.conftest import TINY_VOCABULARY, WORDS
from tfrec.encoders import load_encoder
from tfrec.encoders.checkpoints.resume_from import load_starting_point
from tfrec.encoders.checkpoints.save_encoder import save_encoder
from tfrec.encoders.checkpoints.save_fine_tuned import trainable_model
from tfrec.encoders.compression import distil
from tfrec.encoders.compression.build_student import build_student
from tfrec.encoders.compression.fidelity import mean_cosine
from tfrec.encoders.compression.parts import parse_parts
from tfrec.encoders.compression.prune import prune_ffn, prune_heads
from tfrec.encoders.compression.smaller_vocabulary import pieces_to_keep
from tfrec.encoders.compression.student import Lesson, Student, tokenise
from tfrec.encoders.microbatched_encoder import MicrobatchedEncoder
from tfrec.encoders.tokenization.token_table import TokenTable
from tfrec.encoders.transformers.build import build_backbone
from tfrec.encoders.transformers.config import BertConfig, GptConfig, StaticConfig, config_from_dict, config_to_dict
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.errors import InvalidInput

pytestmark = pytest.mark.slow  # each student is a Keras model that is traced

TEXTS = [f"{a} {b} {c}" for a in WORDS[8:14] for b in WORDS[24:34] for c in ("for tea", "of 7 cables", "qz")]


@pytest.fixture(scope="module")
def teacher(tiny_encoder):
    return Student(*load_starting_point(str(tiny_encoder)))


@pytest.fixture(scope="module")
def lesson(tiny_encoder):
    vectors = load_encoder(tiny_encoder).encode(TEXTS)
    return Lesson(TEXTS, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), seq_length=16)


def encode(student, texts, seq_length=16):
    packed = student.preprocessor.bert_pack_inputs(
        [student.preprocessor.tokenize(tf.constant(texts))], tf.constant(seq_length)
    )
    inputs = [packed[name] for name in ("input_word_ids", "input_mask", "input_type_ids")]
    return build_inference(student.model, student.config)(*inputs).numpy()


@pytest.fixture(scope="module")
def static(teacher, lesson):
    return build_student(teacher, parse_parts("static+vocabulary+int8"), lesson)


@pytest.fixture(scope="module")
def static_folder(static, tmp_path_factory):
    folder = tmp_path_factory.mktemp("students") / "static"
    save_encoder(folder, static.config, static.vocabulary, static.model, source="a test")
    return folder


def test_a_static_student_is_close_to_its_teacher_on_texts_that_it_knows(static, lesson):
    assert mean_cosine(encode(static, TEXTS), lesson.targets) > 0.9


def test_the_folder_the_served_graph_and_the_model_give_the_same_vectors(static, static_folder):
    encoder, texts = load_encoder(static_folder), [*TEXTS[:5], "", "a new tea ###"]
    expected = encode(static, texts)
    assert_allclose(encoder.encode(texts), expected, atol=1e-6)
    served = encoder.encoder(encoder.inputs(texts, 16))
    assert_allclose(served["pooled_output"], expected, atol=1e-6)
    assert served["sequence_output"].shape == (7, 16, 32)
    hidden = served["sequence_output"][0].numpy()[encoder.inputs(texts, 16)["input_mask"][0].numpy() > 0]
    assert_allclose(hidden.sum(axis=0) / np.linalg.norm(hidden.sum(axis=0)), expected[0], atol=1e-6)


def test_small_weights_are_stored_in_small_and_cannot_be_trained(static_folder):
    encoder = load_encoder(static_folder)
    kinds = {variable.dtype for variable in encoder.encoder.resolved_object.variables}
    assert kinds == {tf.int8, tf.float32}
    with pytest.raises(InvalidInput, match="stored as int8, which cannot be trained"):
        trainable_model(encoder)
    with pytest.raises(InvalidInput, match="does not work for a static encoder"):
        load_encoder(static_folder, precision="bfloat16").encode(["a"])


def test_a_static_student_with_float32_weights_can_be_trained(teacher, lesson, tmp_path):
    student = build_student(teacher, parse_parts("static"), lesson)
    save_encoder(tmp_path / "static", student.config, student.vocabulary, student.model, source="a test")
    encoder = load_encoder(tmp_path / "static")
    parts = MicrobatchedEncoder(*trainable_model(encoder), TokenTable(encoder, TEXTS[:8], 16))
    rows, expected = np.arange(8), encoder.encode(TEXTS[:8])
    assert_allclose(parts.forward(rows), expected, atol=1e-6)
    (gradient,) = parts.backward(tf.constant(expected[::-1].copy()), parts.variables())
    moved = np.flatnonzero(np.abs(tf.convert_to_tensor(gradient)).sum(axis=1))
    assert set(moved) == set(parts.tokens.words[parts.tokens.words > 0])  # padding is token 0
    assert_allclose(parts.encode_all(), expected, atol=1e-6)


@pytest.mark.parametrize(("kind", "at_least"), [("bfloat16", 0.9999), ("int8", 0.999)])
def test_a_bert_with_small_weights_hardly_differs(teacher, lesson, kind, at_least):
    small = build_student(teacher, parse_parts(kind), lesson)
    assert mean_cosine(encode(small, TEXTS[:20]), encode(teacher, TEXTS[:20])) > at_least
    packed = {name: tf.constant([[2, 9, 3]]) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    packed["input_type_ids"] *= 0
    packed["input_mask"] = tf.ones_like(packed["input_mask"])
    graph = build_inference(small.model, small.config)(*packed.values())
    assert_allclose(small.model(packed)["pooled_output"], graph, atol=1e-5)


def test_a_trimmed_vocabulary_reads_known_texts_as_before(teacher, lesson):
    small = build_student(teacher, parse_parts("vocabulary"), replace(lesson, texts=TEXTS[:9]))
    assert_allclose(encode(small, TEXTS[:9]), encode(teacher, TEXTS[:9]), atol=1e-6)


def test_letters_special_and_common_pieces_stay(monkeypatch):
    monkeypatch.setattr("tfrec.encoders.compression.smaller_vocabulary.COMMON", 2)
    pieces = ["[PAD]", "[unused1]", "the", "of", "shoe", "##ing", "x", "##y", "[CLS]", "coat", "[MASK]"]
    kept = pieces_to_keep(pieces, np.array([9, 9]))
    assert [pieces[place] for place in kept] == ["[PAD]", "the", "of", "x", "##y", "[CLS]", "coat"]


def test_units_and_heads_that_are_redundant_leave_without_a_trace(teacher, lesson):
    """Half of the units, and of the heads, are copies of the others: the refit gives the same vectors."""
    config = teacher.config
    model = build_backbone(config)
    model.set_weights(teacher.model.get_weights())
    for index in range(config.layers):
        block = model.get_layer(f"layer_{index}")
        for dense, size in ((block.inner, 32), (block.qkv, None)):
            kernel, bias = dense.kernel.numpy(), dense.bias.numpy()
            if size:
                kernel[:, size:], bias[size:] = kernel[:, :size], bias[:size]
            else:  # query, key and value of heads 2 and 3 are those of 0 and 1
                kernel, bias = kernel.reshape(32, 3, 2, 16), bias.reshape(3, 2, 16)
                kernel[:, :, 1], bias[:, 1] = kernel[:, :, 0], bias[:, 0]
                kernel, bias = kernel.reshape(32, 96), bias.reshape(96)
            dense.kernel.assign(kernel)
            dense.bias.assign(bias)
    whole = Student(config, teacher.vocabulary, model)
    small = prune_heads(prune_ffn(whole, lesson, 0.5), lesson, 0.5)
    assert (small.config.inner_width, small.config.heads, small.config.attention_width) == (32, 2, 16)
    assert small.model.count_params() < 0.75 * model.count_params()
    assert mean_cosine(encode(small, TEXTS), encode(whole, TEXTS)) > 0.999


def test_distillation_brings_fewer_layers_back_to_the_teacher(teacher, lesson, monkeypatch):
    monkeypatch.setattr(distil, "STEPS", 1)
    before = mean_cosine(encode(distil.fewer_layers(teacher, lesson, 1), TEXTS), lesson.targets)
    monkeypatch.setattr(distil, "STEPS", 60)
    monkeypatch.setattr(distil, "RATE", 2e-3)
    after = distil.fewer_layers(teacher, lesson, 1)
    assert after.config.layers == 1
    assert mean_cosine(encode(after, TEXTS), lesson.targets) > max(0.9, before + 0.02)


def test_distillation_stops_when_the_time_is_up(teacher, lesson, capsys):
    distil.fewer_layers(teacher, replace(lesson, minutes=0.0), 1)
    assert "after 1 of 500 steps" in capsys.readouterr().err


def test_what_does_not_fit_the_encoder_is_refused(teacher, lesson):
    gpt = replace(teacher, config=GptConfig.of_size("tiny", 50))
    for part in ("layers=1", "ffn=0.5", "heads=0.5"):
        with pytest.raises(InvalidInput, match=f"{part} works for the BERT family only"):
            build_student(gpt, parse_parts(part), lesson)
    with pytest.raises(InvalidInput, match="fewer layers than the encoder's 2"):
        build_student(teacher, parse_parts("layers=2"), lesson)
    with pytest.raises(InvalidInput, match="WordPiece only"):
        build_student(replace(teacher, vocabulary=None), parse_parts("vocabulary"), lesson)


def test_tokens_are_those_that_the_encoder_reads(teacher, tiny_encoder):
    ids, lengths = tokenise(teacher.preprocessor, ["red shoe", "", "a b c d e f g h"], 6)
    assert lengths.tolist() == [4, 2, 6]
    names = [TINY_VOCABULARY[place] for place in ids]
    assert names[:6] == ["[CLS]", "red", "shoe", "[SEP]", "[CLS]", "[SEP]"]


def test_later_fields_of_a_config_do_not_change_older_hashes():
    plain = BertConfig(9, 8, 1, 2, 16)
    assert not {"head_width", "weights"} & set(plain.to_dict())
    small = replace(plain, head_width=2, weights="int8")
    assert small.to_dict()["weights"] == "int8"
    for config in (plain, small, StaticConfig(9, 8)):
        assert config_from_dict(config_to_dict(config)) == config
    assert_array_equal([small.attention_width, plain.attention_width], [4, 8])
    with pytest.raises(InvalidInput, match="Expected weights float32"):
        replace(plain, weights="int4")
