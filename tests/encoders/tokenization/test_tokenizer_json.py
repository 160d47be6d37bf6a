"""Tokenisers read from tokenizer.json against the ids of Hugging Face's `tokenizers`."""

import hashlib
import json

import pytest
import tensorflow as tf

from tests.encoders.tokenization.hostile_texts import SCRIPTS, hostile_texts
from tests.encoders.tokenization.tokenizer_files import (
    CURATED,
    GOLDEN,
    TOKENIZERS,
    added_token,
    bert_tokenizer,
    comparable,
    modernbert_tokenizer,
    unigram_tokenizer,
    word_pieces,
    write_tokenizer,
)
from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json
from tfrec.errors import InvalidInput
from tfrec.guard.servable_ops import refuse_unservable, used_ops


@pytest.fixture(
    scope="module", params=[pytest.param(name, marks=[pytest.mark.slow] * (name == "roberta")) for name in TOKENIZERS]
)
def tokenizer(request, tmp_path_factory):
    """The preprocessor of a tokenizer.json, and what `tokenizers` gives for it."""
    folder = write_tokenizer(tmp_path_factory.mktemp(request.param), TOKENIZERS[request.param]())
    return read_tokenizer_json(folder).preprocessor(16), {
        **json.loads(GOLDEN.read_text())[request.param],
        "name": request.param,
    }


def tokens(preprocess, texts):
    return preprocess.tokenize(tf.constant([text.encode() for text in texts])).to_list()


@pytest.mark.slow
def test_difficult_texts_have_the_ids_of_hugging_face(tokenizer):
    preprocess, golden = tokenizer
    for text, ours, theirs in zip(CURATED, tokens(preprocess, CURATED), golden["curated"], strict=True):
        assert ours == theirs or not comparable(golden["name"], text), text[:200]


def test_random_texts_of_twenty_scripts_have_the_ids_of_hugging_face(tokenizer):
    preprocess, golden = tokenizer
    differing = []
    for script in SCRIPTS:
        texts = [text for text in hostile_texts(script, golden["texts"]) if comparable(golden["name"], text)]
        assert len(texts) > 0.8 * golden["texts"]
        ids = tokens(preprocess, texts)
        if hashlib.sha256(json.dumps(ids).encode()).hexdigest()[:16] != golden["scripts"][script]:
            differing.append(script)
    assert not differing


def test_an_empty_text_is_the_frame_and_nothing_else_makes_special_tokens(tokenizer):
    preprocess, golden = tokenizer
    packed = preprocess(tf.constant(["", "[SEP] </s> [CLS]"]))["input_word_ids"].numpy()
    start, end, pad = (golden["frame"][name] for name in ("start", "end", "pad"))
    assert packed[0].tolist() == start + end + [pad] * (16 - len(start + end))
    inside = packed[1][packed[1] != pad].tolist()[len(start) : -len(end) or None]
    assert not set(inside) & {*start, *end}


def test_no_texts_have_no_tokens(tokenizer):
    assert tokenizer[0].tokenize(tf.constant([], tf.string)).to_list() == []


def test_an_unknown_piece_that_texts_have_is_still_found_in_them(tmp_path):
    content = unigram_tokenizer()
    content["model"]["unk_id"] = [piece for piece, _ in content["model"]["vocab"]].index(".")
    preprocess = read_tokenizer_json(write_tokenizer(tmp_path, content)).preprocessor(16)
    texts = ["ab. x", "a\u2c00\u2c00. b", "..", "\u2c00", ". ."]
    expected = [[1835, 18, 4, 92], [4, 69, 18, 4, 70], [4, 18], [4, 18], [4, 18, 4, 18]]  # of tokenizers 0.23.3
    assert tokens(preprocess, texts) == expected


@pytest.mark.slow
def test_tf_serving_has_all_ops(tokenizer, tmp_path):
    preprocess, _ = tokenizer
    tf.saved_model.save(preprocess, str(tmp_path / "saved"))
    refuse_unservable(used_ops(tmp_path / "saved"))
    again = tf.saved_model.load(str(tmp_path / "saved"))
    assert tokens(again, CURATED) == tokens(preprocess, CURATED)


def test_a_long_text_does_not_slow_its_batch_down(tokenizer):
    assert len(tokens(tokenizer[0], ["a" * 1_000_000, "a"])) == 2


def change(content, part, **values):
    content[part] = {**content[part], **values}
    return content


def change_added(content, /, **values):
    content["added_tokens"][0] |= values
    return content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: change(bert_tokenizer(), "model", type="WordLevel"), ["model", "WordPiece", "WordLevel"]),
        (lambda: change(bert_tokenizer(), "normalizer", type="NFKC"), ["normalizer", "BertNormalizer", "NFKC"]),
        (lambda: {**bert_tokenizer(), "normalizer": None}, ["normalizer", "BertNormalizer", "None"]),
        (lambda: change(bert_tokenizer(), "pre_tokenizer", type="Digits"), ["pre_tokenizer", "Digits"]),
        (lambda: change(bert_tokenizer(), "post_processor", type="Other"), ["post_processor", "Other"]),
        (
            lambda: {**bert_tokenizer(), "added_tokens": [added_token(len(word_pieces()), "new", special=False)]},
            ["added_tokens", "new"],
        ),
        (lambda: change(bert_tokenizer(), "model", vocab={"[UNK]": 0, "a": 7}), ["0, 1, 2"]),
        (lambda: change(unigram_tokenizer(), "model", byte_fallback=True), ["byte_fallback"]),
        (lambda: {**unigram_tokenizer(), "normalizer": {"type": "Lowercase"}}, ["normalizer", "Lowercase"]),
        (lambda: {**unigram_tokenizer(), "pre_tokenizer": {"type": "Digits"}}, ["pre_tokenizer", "Digits"]),
        (lambda: change(unigram_tokenizer(), "model", vocab=[["<unk>", 0.0], ["a", -1.0]]), ["0, 1, 2"]),
        (lambda: change(modernbert_tokenizer(), "model", ignore_merges=True), ["model.ignore_merges"]),
        (lambda: change(modernbert_tokenizer(), "model", end_of_word_suffix="</w>"), ["end_of_word_suffix", "</w>"]),
        (lambda: change(modernbert_tokenizer(), "pre_tokenizer", use_regex=False), ["pre_tokenizer", "use_regex"]),
        (lambda: change(modernbert_tokenizer(), "pre_tokenizer", type="Split"), ["pre_tokenizer", "Split"]),
        (lambda: change(modernbert_tokenizer(), "normalizer", type="Lowercase"), ["normalizer", "Lowercase", "NFC"]),
        (lambda: change_added(modernbert_tokenizer(), lstrip=True), ["added_tokens.lstrip", "IP_ADDRESS"]),
        (lambda: change_added(modernbert_tokenizer(), content="e\u0301"), ["added_tokens.normalized", "NFC"]),
        (lambda: change_added(modernbert_tokenizer(), normalized=False), ["added_tokens.normalized", "IP_ADDRESS"]),
        (lambda: {"model": {"type": "WordPiece"}}, ["can be read", "vocab"]),
        (list, ["can be read"]),
    ],
)
def test_parts_that_the_graph_cannot_express_are_refused_by_name(content, words, tmp_path):
    with pytest.raises(InvalidInput) as error:
        read_tokenizer_json(write_tokenizer(tmp_path, content()))
    for word in ["tokenizer.json", *words]:
        assert word in str(error.value)


@pytest.mark.slow
def test_a_subset_of_the_vocabulary_keeps_its_frame(tmp_path):
    whole = read_tokenizer_json(write_tokenizer(tmp_path, bert_tokenizer()))
    kept = [number for number in range(len(whole)) if number != 4]  # without [MASK], all later ids move
    smaller = whole.subset(kept)
    assert set(whole.special_ids) <= set(kept)
    ours = smaller.preprocessor(8)(tf.constant(["ab shoe"]))["input_word_ids"].numpy()[0]
    before = whole.preprocessor(8)(tf.constant(["ab shoe"]))["input_word_ids"].numpy()[0]
    assert [kept[number] for number in ours] == before.tolist()
