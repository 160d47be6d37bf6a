"""BehaviourTextModel on a tiny BERT: what it reads, what it gives, what it keeps."""

import tfrec

import inspect  # isort: skip
import textwrap
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import RunConfig
from tfrec.data import behaviour_text
from tfrec.data.histories import Histories
from tfrec.encoders import load_encoder
from tfrec.errors import InvalidInput
from tfrec.keras import keras
from tfrec.models.behaviour_text import family
from tfrec.models.behaviour_text import model as module
from tfrec.models.behaviour_text.model import BehaviourTextModel, behaviour_texts, build_behaviour_text_model
from tfrec.models.behaviour_text.scorer import BehaviourTextScorer
from tfrec.models.behaviour_text.text_layers import CutTokens, Distinct, Restore, TrimPadding

CATALOGUE = ["red shoe", "blue hat", "", "tea", "coffee", "hat", "red shoe"]
TEXTS = ["red shoe", "", "blue hat; liked: black coat", "red shoe", "茶 ☕ مرحبا", "tea " * 500]


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return load_encoder(str(tiny_encoder))


def build(encoder, head, candidate="tower", **kwargs):
    """A model whose output depends on everything: the last kernel, zero at the start, is filled."""
    model = BehaviourTextModel(
        encoder, head, CATALOGUE, tokens=16, candidate=candidate, mlp_units=(8,), seed=1, **kwargs
    )
    kernel = model.mlp.get_layer("logits").kernel  # zero at the start of the sigmoid head
    kernel.assign(np.random.default_rng(0).normal(size=kernel.shape))
    return model


def inputs(behaviour, candidates=None):
    found = {"behaviour_text": tf.constant(behaviour)}
    return found if candidates is None else {**found, "candidate_text": tf.constant(candidates)}


@pytest.mark.slow
def test_softmax_gives_a_distribution_over_the_catalogue(encoder):
    probabilities = build(encoder, "softmax")(inputs(TEXTS)).numpy()
    assert probabilities.shape == (len(TEXTS), 7)
    assert_allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert_array_equal(probabilities[0], probabilities[3])
    assert np.abs(probabilities[0] - probabilities[2]).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("candidate", ["tower", "segment"])
def test_sigmoid_gives_a_probability_a_row_that_depends_on_both_texts(encoder, candidate):
    model = build(encoder, "sigmoid", candidate)
    found = model(inputs(["red shoe", "red shoe", "blue hat"], ["tea", "coffee", "tea"])).numpy()
    assert found.shape == (3,) and ((found > 0) & (found < 1)).all()
    assert len(np.unique(found)) == 3


@pytest.mark.slow
@pytest.mark.parametrize("head, candidate", [("softmax", "tower"), ("sigmoid", "tower"), ("sigmoid", "segment")])
def test_a_text_is_read_the_same_whatever_stands_beside_it(encoder, head, candidate):
    model = build(encoder, head, candidate)
    candidates = TEXTS[::-1] if head == "sigmoid" else None
    together = model(inputs(TEXTS, candidates)).numpy()
    alone = [model(inputs([t], None if candidates is None else [c])).numpy()[0] for t, c in zip(TEXTS, TEXTS[::-1])]
    assert_allclose(together, alone, atol=1e-5)


@pytest.mark.slow
def test_encode_is_the_encoders_vector_of_the_text(encoder):
    found = build(encoder, "softmax").encode(tf.constant(TEXTS[:4])).numpy()
    assert_allclose(found, encoder.encode(TEXTS[:4], seq_length=16), atol=1e-5)


@pytest.mark.slow
def test_what_does_not_fit_is_cut_from_the_oldest_end(encoder):
    model = build(encoder, "softmax")
    newest = " ".join(["hat", "coat"] * 7)  # fourteen words of one token; two marks make sixteen
    long = model.encode(tf.constant(["shoe bag book " * 9 + newest])).numpy()
    assert_allclose(long, model.encode(tf.constant([newest])).numpy(), atol=1e-5)


@pytest.mark.slow
def test_softmax_starts_at_popularity_texts_and_repeats(encoder):
    items = ["tea", "hat", "coffee", "tea"]
    model = BehaviourTextModel(encoder, "softmax", items, mlp_units=(), seed=3)
    model.mlp.get_layer("query").kernel.assign(np.eye(32))  # so the query is the normed vector of the text
    vectors = encoder.encode(items)
    model.start_softmax(np.array([0, 1, 2, 9]), vectors, repeats=-2.0)
    query = encoder.encode(["viewed: hat; viewed: coffee"])[0]
    query = (query - query.mean()) / np.sqrt(query.var() + 1e-3)
    centred = vectors - vectors.mean(axis=0)
    cosines = centred @ query / np.linalg.norm(centred, axis=1) / np.linalg.norm(query)
    logits = np.log([1 / 16, 2 / 16, 3 / 16, 10 / 16]) + 8 * cosines - 2 * np.array([0, 1, 1, 0])
    expected = np.exp(logits) / np.exp(logits).sum()
    assert_allclose(model(inputs(["viewed: hat; viewed: coffee"])).numpy()[0], expected, rtol=1e-4)


@pytest.mark.slow
def test_sigmoid_starts_at_the_share_of_positives(encoder):
    model = BehaviourTextModel(encoder, "sigmoid")
    model.start_sigmoid(negatives=4)
    assert_allclose(model(inputs(["tea"], ["hat"])).numpy(), [0.2], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("trainable", [False, True])
def test_fit_changes_the_encoder_only_where_it_is_trainable(encoder, trainable):
    model = build(encoder, "softmax", trainable_encoder=trainable)
    before = [v.numpy() for v in model.bert.variables]
    model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    model.fit(inputs(["red shoe", "tea", "blue hat"]), np.array([0, 1, 2]), verbose=0)
    moved = any(not np.array_equal(old, new.numpy()) for old, new in zip(before, model.bert.variables))
    assert moved == trainable
    assert bool(model.bert.trainable_variables) == trainable


@pytest.mark.slow
def test_joint_training_learns_what_the_text_says(encoder):
    model = BehaviourTextModel(
        encoder, "softmax", ["a", "b", "c"], tokens=16, mlp_units=(16,), dropout=0.0, trainable_encoder=True
    )
    texts, labels = inputs(["tea coffee", "shoe hat", "book film"] * 4), np.array([0, 1, 2] * 4)
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy")
    model.fit(texts, labels, epochs=40, verbose=0)
    assert_array_equal(model(texts).numpy().argmax(axis=1), labels)


@pytest.mark.slow
@pytest.mark.parametrize("head", ["softmax", "sigmoid"])
def test_saved_weights_come_back_in_a_model_built_anew(encoder, head, tmp_path):
    config = RunConfig().with_values(["model.mlp_units=[8]", "model.text_tokens=16"])
    model = build_behaviour_text_model(encoder, head, CATALOGUE, config)
    rng = np.random.default_rng(2)
    for weight in model.variables:
        if weight.dtype == tf.float32:
            weight.assign_add(0.1 * rng.normal(size=weight.shape).astype(np.float32))
    model.save_weights(str(tmp_path / "model.weights.h5"))
    again = build_behaviour_text_model(encoder, head, CATALOGUE, config)
    again.load_weights(str(tmp_path / "model.weights.h5"))
    texts = inputs(TEXTS, TEXTS[::-1] if head == "sigmoid" else None)
    assert_allclose(again(texts).numpy(), model(texts).numpy(), atol=1e-6)
    assert_allclose(again.encode(texts["behaviour_text"]), model.encode(texts["behaviour_text"]), atol=1e-6)


@pytest.mark.slow
def test_mixed_bfloat16_gives_float32_probabilities(encoder):
    model = build(encoder, "softmax", dtype_policy="mixed_bfloat16")
    found = model(inputs(TEXTS))
    assert found.dtype == tf.float32
    assert_allclose(found.numpy(), build(encoder, "softmax")(inputs(TEXTS)).numpy(), atol=0.03)


@pytest.mark.slow
def test_items_that_the_text_names_are_told_apart_however_far_back(encoder):
    model = build(encoder, "softmax")
    model.mlp.get_layer("named_bias").bias.assign([-3.0, -1.0])
    text = "; ".join(["viewed: blue hat", *["liked: shirt"] * 30, "bought: red shoe"])  # sixteen tokens are read
    found = model(inputs([text])).numpy()[0]
    model.mlp.get_layer("named_bias").bias.assign([0.0, 0.0])
    without = model(inputs([text])).numpy()[0]
    ratios = found / without
    assert_allclose(np.log(ratios / ratios[2]), [-3, -1, 0, 0, 0, 0, -3], atol=1e-4)


@pytest.mark.slow
def test_the_graph_in_the_docstring_runs_as_it_stands(encoder, monkeypatch):
    lines = inspect.getdoc(module).split("to copy:")[1].split("The class below")[0]
    monkeypatch.setattr(tfrec, "load_encoder", lambda name: encoder, raising=False)
    names = {"item_texts": ["tea", "hat", "soap"], "num_items": 3, "histories": histories()}
    names |= {"behaviour_texts": tf.constant(["viewed: tea", ""]), "next_items": np.array([2, 0])}
    exec(textwrap.dedent(lines), names)
    probabilities = names["model"](names["behaviour_texts"]).numpy()
    assert_allclose(probabilities.sum(axis=1), [1, 1], atol=1e-5)
    assert len([line for line in lines.splitlines() if line.strip()]) <= 20


@pytest.mark.parametrize("stored, neighbours", [(None, 0), ({"neighbours": 5}, 5)], ids=["earlier version", "now"])
def test_a_run_is_rebuilt_with_the_followers_it_was_trained_with(monkeypatch, stored, neighbours):
    asked = []
    monkeypatch.setattr(family, "build_behaviour_text_model", lambda *arguments: asked.append(arguments[-1]))
    items = pl.DataFrame({"text": CATALOGUE})
    run = SimpleNamespace(items=items, manifest={"model": stored}, config=RunConfig(), encoder=lambda: None)
    family.BehaviourTextFamily().build_model(run)
    assert asked == [neighbours]
    assert family.BehaviourTextFamily().model_config(SimpleNamespace(neighbours=5)) == {"neighbours": 5}


def test_a_wrong_head_is_named(encoder):
    with pytest.raises(InvalidInput, match="relu"):
        BehaviourTextModel(encoder, "relu")


def histories():
    """Two people: three events, one event."""
    return Histories(
        user_ids=np.array(["a", "b"], object),
        offsets=np.array([0, 3, 4]),
        items=np.array([0, 1, 2, 1], np.int32),
        events=np.array([0, 1, 0, 1], np.int16),
        timestamps=np.arange(4),
        values=np.full(4, np.nan, np.float32),
        is_target=np.ones(4, bool),
    )


def test_ranges_of_histories_are_rendered_as_behaviour_texts():
    items, kinds = ["Tea pot", "Hat", "Green tea"], ["view", "purchase"]
    found = behaviour_texts(histories(), np.array([1, 3, 2]), np.array([3, 4, 2]), items, kinds, 20)
    assert found == ["bought: Hat; viewed: Green tea", "bought: Hat", ""]


@pytest.mark.slow
def test_the_scorer_gives_the_models_probabilities_of_the_newest_events(encoder):
    model = build(encoder, "softmax", max_history=2)
    items, kinds = ["tea", "hat", "coffee", "", "a", "b", "c"], ["view", "purchase"]
    scorer = BehaviourTextScorer(model, items, kinds, batch_size=1)
    found = scorer.scores(histories(), np.array([1, 0]))
    texts = [behaviour_text(["purchase"], ["hat"]), behaviour_text(["purchase", "view"], ["hat", "coffee"])]
    assert_allclose(found, model(inputs(texts)).numpy(), atol=1e-5)


def test_the_scorer_refuses_the_sigmoid_head(encoder):
    with pytest.raises(InvalidInput, match="sigmoid"):
        BehaviourTextScorer(build(encoder, "sigmoid"), [], [])


def test_distinct_and_restore_undo_each_other():
    texts = tf.constant(np.random.default_rng(0).choice(["a", "b", "c"], 20))
    distinct, places = Distinct()(texts)
    assert sorted(distinct.numpy().tolist()) == [b"a", b"b", b"c"]
    assert_array_equal(Restore()([distinct, places]).numpy(), texts.numpy())


@pytest.mark.parametrize("keep, expected", [("newest", [[3, 4], [5], []]), ("first", [[1, 2], [5], []])])
def test_cut_tokens_keeps_one_end(keep, expected):
    nested = tf.ragged.constant([[[1], [2, 3], [4]], [[5]], []], ragged_rank=2, dtype=tf.int32)
    assert CutTokens(2, keep)(nested).to_list() == expected
    assert CutTokens(2, keep)(nested.merge_dims(1, 2)).to_list() == expected
    assert CutTokens.from_config(CutTokens(2, keep).get_config()).keep == keep


def test_padding_is_trimmed_to_the_longest_text():
    mask = tf.constant([[1, 1, 0, 0], [1, 1, 1, 0]])
    found = TrimPadding()({"input_mask": mask, "input_word_ids": tf.constant([[5, 6, 0, 0], [5, 6, 7, 0]])})
    assert_array_equal(found["input_word_ids"], [[5, 6, 0], [5, 6, 7]])
    assert_array_equal(found["input_mask"], [[1, 1, 0], [1, 1, 1]])


@pytest.mark.slow
def test_behaviour_texts_have_the_prompt_of_queries_and_keep_it(encoder, tiny_encoder):
    prompted = load_encoder(str(tiny_encoder), query_prompt="red: ", item_prompt="blue: ")
    plain, with_prompts = build(encoder, "sigmoid"), build(prompted, "sigmoid")
    long = "tea shoe " * 30
    newest = "red: " + " ".join(long.split()[-12:])  # 14 tokens without [CLS] and [SEP], of which the prompt has 2
    for text, seen in {"hat": "red: hat", "": "red: ", long: newest}.items():
        assert_allclose(with_prompts.encode(tf.constant([text])), plain.encode(tf.constant([seen])), atol=1e-6)
    items = [model.item_encoder(tf.constant([text])) for model, text in [(with_prompts, "hat"), (plain, "blue: hat")]]
    assert_allclose(*items, atol=1e-6)


def test_a_prompt_that_fills_the_tokens_is_refused(tiny_encoder):
    prompted = load_encoder(str(tiny_encoder), query_prompt="red shoe and blue shoe " * 3)
    with pytest.raises(InvalidInput, match=r"query_prompt.*15 tokens fill model.text_tokens=16"):
        build(prompted, "softmax")
