"""Byte-level BPE against ids from the GPT2Tokenizer of `transformers` 5.23, and against a plain loop."""

import json
from itertools import pairwise

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_array_equal
from safetensors.numpy import save_file

from tests.encoders.checkpoints.random_checkpoints import GPT_MERGES, GPT_VOCABULARY, gpt_tensors, write_gpt_folder
from tests.encoders.tokenization.tokenizer_files import gpt_tokenizer, modernbert_tokenizer, write_tokenizer
from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.encoders.tokenization.byte_pairs import BytePairPreprocessor
from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json
from tfrec.encoders.tokenization.vocabulary import read_byte_pairs, vocabulary_from_dict
from tfrec.errors import InvalidInput

END = len(GPT_VOCABULARY) - 1


@pytest.fixture(scope="module")
def preprocess():
    return BytePairPreprocessor(GPT_VOCABULARY, GPT_MERGES, seq_length=8)


GOLDEN = {
    "the red shoe": [83, 257, 261, 220, 268],
    "": [],
    "  two   spaces\n\nlines \t x ": [220, 256, 86, 78, 264, 220, 82, 79, 64, 66, 68, 82, 198, 198, 75, 72, 77, 68, 82,
                                     220, 197, 220, 87, 220],
    "it's 12ers'shoe 123": [72, 83, 270, 220, 269, 272, 82, 270, 71, 78, 68, 220, 269, 18],
    "über  grün ünd": [271, 65, 272, 220, 220, 70, 81, 271, 77, 220, 271, 77, 67],
    "aaaaaaa aaa": [262, 262, 263, 220, 263],
    "a\u00a0b\u3000\u3000c": [64, 126, 254, 65, 159, 222, 222, 159, 222, 222, 66],
    "日本 語 😀!!": [162, 245, 98, 162, 250, 105, 220, 164, 103, 252, 220, 172, 253, 246, 222, 0, 0],
    "x\x1c y": [87, 216, 220, 88],
    "don't WE'LL they've": [67, 78, 77, 6, 83, 220, 54, 36, 6, 43, 43, 258, 88, 6, 85, 68],
    "trailing   ": [83, 81, 64, 72, 75, 72, 77, 70, 264, 220],
}  # fmt: skip


@pytest.mark.slow
def test_tokens_equal_those_of_transformers(preprocess):
    assert preprocess.tokenize(tf.constant(list(GOLDEN))).to_list() == list(GOLDEN.values())


def loop(word):
    symbols = [_character(byte) for byte in word.encode()]
    while True:
        pairs = [pair for pair in pairwise(symbols) if pair in GPT_MERGES]
        if not pairs:
            return [GPT_VOCABULARY.index(symbol) for symbol in symbols]
        best, merged, i = min(pairs, key=GPT_MERGES.index), [], 0
        while i < len(symbols):
            two = tuple(symbols[i : i + 2]) == best
            merged.append("".join(symbols[i : i + 2]) if two else symbols[i])
            i += 2 if two else 1
        symbols = merged


def _character(byte):
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return chr(byte) if byte in printable else chr(256 + others.index(byte))


@pytest.mark.slow
def test_words_are_merged_as_in_a_loop(preprocess):
    rng = np.random.default_rng(0)
    words = ["".join(rng.choice(list("aaathersdoec"), size=rng.integers(1, 30))) for _ in range(300)]
    assert preprocess.tokenize(tf.constant(words)).to_list() == [loop(word) for word in words]


@pytest.mark.slow
def test_packing_ends_with_end_of_text_and_hides_the_rest(preprocess):
    packed = preprocess(tf.constant(["aaa", "", "x" * 20]))
    assert packed["input_word_ids"].numpy().tolist() == [[263] + [END] * 7, [END] * 8, [87] * 7 + [END]]
    assert packed["input_mask"].numpy().sum(1).tolist() == [2, 1, 8]
    two = preprocess.bert_pack_inputs([tf.ragged.constant([[1, 2, 3, 4]]), tf.ragged.constant([[5]])], 5)
    assert two["input_word_ids"].numpy().tolist() == [[1, 2, END, 5, END]]
    assert two["input_type_ids"].numpy().tolist() == [[0, 0, 0, 1, 1]]


@pytest.mark.slow
def test_invalid_utf8_and_very_long_words_have_tokens(preprocess):
    texts = [b"a\xff\xffb", b"a\x00\xffb", "a\ufffd\ufffdb".encode()]
    broken, cut, whole = preprocess.tokenize(tf.constant(texts)).to_list()
    assert broken == whole and cut == [whole[0], GPT_VOCABULARY.index("Ā"), *whole[4:]]
    long = preprocess.tokenize(tf.constant(["x" * 100_000, "x " * 3])).to_list()
    assert long[0] == [87] * 1024 and long[1] == [87, 220, 87, 220, 87, 220]


def test_no_texts_have_no_tokens(preprocess):
    assert preprocess.tokenize(tf.constant([], tf.string)).to_list() == []


def test_a_tokenizer_json_equals_the_two_files(tmp_path):
    content = gpt_tokenizer()
    folder = write_gpt_folder(tmp_path / "gpt", config={"vocab_size": len(content["model"]["vocab"]) + 1})
    ids = {**content["model"]["vocab"], "<|endoftext|>": content["added_tokens"][0]["id"]}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(map(" ".join, content["model"]["merges"])))
    expected = read_byte_pairs(folder)
    for name in ("vocab.json", "merges.txt"):
        (folder / name).unlink()
    with pytest.raises(InvalidInput, match="no tokenizer.json"):
        read_byte_pairs(folder)
    (folder / "model.safetensors").unlink()
    save_file(gpt_tensors(len(ids)), str(folder / "model.safetensors"))
    assert read_checkpoint(write_tokenizer(folder, content)).vocabulary == expected


def test_rules_survive_json(tmp_path):
    vocabulary = read_tokenizer_json(write_tokenizer(tmp_path, modernbert_tokenizer()))
    again = vocabulary_from_dict(json.loads(json.dumps(vocabulary.to_dict())))
    assert again == vocabulary and again.rules.added["  "] == vocabulary.rules.added["  "]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("vocab.json", '{"a": 0, "b": 2}', "0, 1, 2"),
        ("vocab.json", "[1]", "0, 1, 2"),
        ("merges.txt", "a b c\n", "pairs of two"),
    ],
)
def test_damaged_vocabularies_are_refused(tmp_path, name, text, words):
    folder = write_gpt_folder(tmp_path / "gpt")
    (folder / name).write_text(text)
    with pytest.raises(InvalidInput, match=words):
        read_byte_pairs(folder)


def test_a_vocabulary_that_lacks_a_token_is_refused():
    with pytest.raises(InvalidInput, match="lacks 1, such as 'zz'"):
        BytePairPreprocessor(GPT_VOCABULARY, [("z", "z")], seq_length=8)


@pytest.mark.slow
def test_the_preprocessor_can_be_saved(preprocess, tmp_path):
    tf.saved_model.save(preprocess, str(tmp_path / "saved"))
    texts = tf.constant(list(GOLDEN))
    again = tf.saved_model.load(str(tmp_path / "saved"))
    for name, value in preprocess(texts).items():
        assert_array_equal(again(texts)[name], value)
