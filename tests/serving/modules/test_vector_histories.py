"""Histories of vectors that the caller has encoded: the same lists as for the items that have these vectors."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.serving.conftest import make_run
from tfrec.serving.modules.item_index import Catalogue
from tfrec.serving.modules.next_item import NextItemServing

HISTORY = ["i3", "i8", "i1"]
KINDS = ["view", "buy", "view"]


@pytest.fixture(scope="module")
def run():
    """Items are read by their text alone; repeats and text neighbours count too."""
    return make_run("export.history_length=5", use_id=False, text_neighbours=2)


@pytest.fixture(scope="module")
def module(run):
    run.model.memory.alike.assign(np.stack([(np.arange(12) + 1) % 12, (np.arange(12) + 5) % 12], axis=1))
    run.model.memory.kernel.assign(np.full((12, 2), 0.7))
    catalogue = Catalogue(run.item_ids, run.items["text"].to_list(), run.item_counts)
    options = {"event_kinds": run.event_kinds, "config": run.config.export, "encoder": run.encoder()}
    with pytest.MonkeyPatch.context() as patch:  # eight signatures would be traced, of which three are called here
        patch.setattr(NextItemServing, "_signatures", lambda self: {})
        return NextItemServing(run.model, catalogue, **options, exclude_seen=True)


def padded(values, width, fill):
    return [*values, *[fill] * (width - len(values))]


def ask(module, run, vectors, ids=(), kinds=(), mask=None):
    """The answer to one history of vectors."""
    width = 4  # `max_history` of the model, less than `history_length`
    rows = np.zeros((1, width, 6), np.float32)
    rows[0, : len(vectors)] = vectors
    return module.recommend_from_vectors(
        history_vectors=tf.constant(rows),
        history_mask=tf.constant([padded([1] * len(vectors) if mask is None else mask, width, 0)]),
        history_item_ids=tf.constant([padded(ids, width, "")]),
        history_events=tf.constant([padded(kinds, width, "")]),
    )


def text_vectors(run, ids=HISTORY):
    return run.model.items.text.numpy()[[int(item[1:]) for item in ids]]


def test_vectors_of_items_give_the_list_of_these_items(module, run):
    expected = module.recommend(
        history_item_ids=tf.constant([padded(HISTORY, 5, "")]),
        history_events=tf.constant([padded(KINDS, 5, "")]),
        exclude_item_ids=tf.constant([[""] * 4]),
    )
    answer = ask(module, run, text_vectors(run), HISTORY, KINDS)
    assert_array_equal(answer["item_ids"], expected["item_ids"])
    assert_allclose(answer["scores"], expected["scores"], rtol=1e-5, atol=1e-5)
    assert answer["count"].numpy() == 9 and not answer["fallback"].numpy()


def test_vectors_of_unknown_items_are_read_as_texts_are(module, run):
    texts = ["red umbrella", "blue hat coat"]
    encoder = run.encoder()
    vectors = encoder.encoder(encoder.inputs(tf.constant(texts), 16))["pooled_output"].numpy()
    expected = module.recommend_from_text(history_texts=tf.constant([padded(texts, 5, "")]))
    answer = ask(module, run, vectors)
    assert_array_equal(answer["item_ids"], expected["item_ids"])
    assert_allclose(answer["scores"], expected["scores"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", [np.nan, np.inf, -3e38])
def test_padding_anywhere_and_vectors_of_no_usable_numbers_are_no_events(module, run, number):
    vectors = text_vectors(run)
    clean = ask(module, run, vectors[[0, 2]], ["i3", "i1"], ["view", "view"])
    masked = ask(module, run, vectors, HISTORY, KINDS, mask=[1, 0, 1])
    broken = vectors.copy()
    broken[1, 4] = number
    for answer in (masked, ask(module, run, broken, HISTORY, KINDS)):
        assert_array_equal(answer["item_ids"], clean["item_ids"])
        assert_allclose(answer["scores"], clean["scores"], atol=1e-5)


def test_a_history_without_a_vector_gets_popular_items(module, run):
    answer = ask(module, run, text_vectors(run, ["i3"]), ["i3"], ["view"], mask=[0])
    assert answer["fallback"].numpy() and answer["item_ids"].numpy()[0, :2].tolist() == [b"i11", b"i10"]
