"""Whole-word masking, learnt vocabularies and the language-model head."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.encoders import BertConfig, GptConfig, build_bert, build_gpt
from tfrec.encoders.tokenization.learn_wordpieces import learn_word_pieces
from tfrec.encoders.tokenization.whole_word_masking import WholeWordMasking
from tfrec.encoders.transformers.language_model import LanguageModel
from tfrec.errors import InvalidInput

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghij", *(f"##{c}" for c in "abcdefghij")]
PIECES += [f"word{n}" for n in range(75)]


def batch(seed=0, rows=200):
    """Rows of [CLS], words of one to three pieces, and [SEP]; and the word that each token belongs to."""
    rng = np.random.default_rng(seed)
    tokens, words = [], []
    for _ in range(rows):
        row, of = [2], [-1]
        for word in range(int(rng.integers(0, 20))):
            size = int(rng.integers(1, 4))
            row += [int(rng.integers(5, 15)), *(int(piece) for piece in rng.integers(15, 25, size - 1))]
            of += [word] * size
        tokens.append([*row, 3])
        words.append([*of, -1])
    return tokens, words


def test_the_requested_share_of_whole_words_is_masked_and_never_a_special_token():
    tokens, words = batch()
    seen, positions, labels = WholeWordMasking(PIECES, 0.15)(tf.ragged.constant(tokens), tf.constant([1, 2]))
    assert seen.row_lengths().numpy().tolist() == [len(row) for row in tokens]
    for row, of, now, at, true in zip(tokens, words, seen.to_list(), positions.to_list(), labels.to_list()):
        hidden = {of[place] for place in at}
        assert -1 not in hidden
        assert len(hidden) == int(np.ceil(np.float32(0.15) * (max(of) + 1)))
        assert sorted(at) == [place for place, word in enumerate(of) if word in hidden]
        assert true == [row[place] for place in at]
        assert [row[p] for p in range(len(row)) if p not in at] == [now[p] for p in range(len(row)) if p not in at]


def test_80_percent_of_masked_pieces_are_masks_and_10_percent_random():
    tokens, _ = batch(rows=2000)
    seen, positions, labels = WholeWordMasking(PIECES, 0.5)(tf.ragged.constant(tokens), tf.constant([0, 7]))
    now = tf.gather(seen, positions, batch_dims=1).flat_values.numpy()
    true = labels.flat_values.numpy()
    assert abs((now == 4).mean() - 0.801) < 0.01  # one random piece in 100 is [MASK]
    assert abs((now == true).mean() - 0.101) < 0.01
    others = now[(now != 4) & (now != true)]
    assert len(np.unique(others)) > 90


def test_the_masked_words_depend_on_the_seed():
    tokens = tf.ragged.constant(batch()[0])
    masking = WholeWordMasking(PIECES)
    one, again, other = (masking(tokens, tf.constant(seed))[0].to_list() for seed in ([3, 4], [3, 4], [3, 5]))
    assert one == again != other


def test_rows_are_masked_independently():
    tokens = tf.ragged.constant([[2, *range(25, 45), 3]] * 100)
    places = WholeWordMasking(PIECES)(tokens, tf.constant([0, 0]))[1].to_list()
    assert len({tuple(sorted(row)) for row in places}) > 90
    assert set(sum(places, [])) == set(range(1, 21))


@pytest.mark.parametrize("tokens", [[[2, 3]], [[2, 3], [2, 5, 3]], [[2, 1, 3]]])
def test_texts_without_words_have_no_masks(tokens):
    _, positions, _ = WholeWordMasking(PIECES)(tf.ragged.constant(tokens), tf.constant([0, 0]))
    assert positions.row_lengths().numpy().tolist() == [sum(token >= 5 for token in row) for row in tokens]


def test_a_vocabulary_without_a_mask_is_refused():
    with pytest.raises(InvalidInput, match="MASK"):
        WholeWordMasking(PIECES[:4])


@pytest.mark.slow
def test_a_learnt_vocabulary_spells_its_texts_and_prefers_frequent_words():
    texts = ["red shoe and blue shoe", "red hat", "Blue HAT", "a red coat"] * 30
    pieces = learn_word_pieces(texts, 40)
    assert pieces[:5] == ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    assert {"red", "shoe", "blue", "hat"} <= set(pieces)
    assert len(pieces) == len(set(pieces)) <= 44
    assert set("redshoanblutcat") <= set(pieces)
    assert learn_word_pieces(iter(texts), 40) == pieces


@pytest.mark.parametrize(("texts", "size"), [([], 100), (["", " "], 100)])
def test_a_vocabulary_cannot_be_learnt_without_words(texts, size):
    with pytest.raises(InvalidInput):
        learn_word_pieces(texts, size)


@pytest.mark.parametrize("family", ["bert", "gpt"])
def test_logits_are_products_with_the_word_embedding(family):
    shape = {"vocab_size": 20, "width": 8, "layers": 1, "heads": 2, "inner_width": 16}
    config = BertConfig(**shape) if family == "bert" else GptConfig(**shape)
    encoder = build_bert(config) if family == "bert" else build_gpt(config)
    model = LanguageModel(encoder, config)
    ids = tf.constant([[2, 5, 6], [7, 8, 9]])
    inputs = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
    logits = model(inputs, tf.constant([[0, 1], [1, 2]])).numpy()
    hidden = encoder(inputs)["sequence_output"].numpy()[[0, 1], [1, 2]]
    if family == "bert":
        hidden = model.norm(tf.nn.gelu(model.dense(hidden))).numpy()
    assert_allclose(logits, hidden @ model.words.embeddings.numpy().T, atol=1e-5)
    assert logits.shape == (2, 20)
