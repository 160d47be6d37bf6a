"""The tokeniser beside an export for devices is one that others read."""

import json

import pytest

from tests.conftest import TINY_VOCABULARY
from tfrec.encoders.tokenization.bert_characters import BertNormalisation
from tfrec.encoders.tokenization.tokenizer_json import read_tokenizer_json
from tfrec.encoders.tokenization.word_piece_rules import WordPieceRules
from tfrec.serving.devices.tokenizer_file import tokenizer_json, write_tokenizer


@pytest.mark.parametrize("lowercase", [True, False])
def test_a_written_tokenizer_json_is_read_as_the_same_rules(tmp_path, lowercase):
    rules = WordPieceRules.bert(TINY_VOCABULARY, BertNormalisation(strip_accents=False, lowercase=lowercase))
    content = tokenizer_json(TINY_VOCABULARY, rules)
    (tmp_path / "tokenizer.json").write_text(json.dumps(content))
    again = read_tokenizer_json(tmp_path)
    assert again.vocabulary == TINY_VOCABULARY and again.lower_case == lowercase
    assert again.rules.frame == rules.frame and again.rules.normalisation == rules.normalisation
    assert set(again.rules.special) == set(rules.special)


def test_tokenizers_gives_the_ids_of_our_preprocessor(tiny_encoder, tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="tokenizers is not among our dependencies")
    from tfrec.encoders import load_encoder

    assert write_tokenizer(tiny_encoder / "preprocessor", tmp_path) == "tokenizer.json"
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    texts = ["Red  SHOE, ünd", "", "½™ [SEP] x-ray", "😀 coffee-cake"]
    ours = load_encoder(tiny_encoder).inputs(texts, 32)["input_word_ids"].numpy()
    for text, ids in zip(texts, ours):
        theirs.encode_special_tokens = True
        found = theirs.encode(text).ids
        assert found == ids[: len(found)].tolist() and not ids[len(found) :].any()


def test_an_encoder_without_tables_has_no_file(tmp_path):
    assert write_tokenizer(tmp_path / "preprocessor", tmp_path) is None
    assert not list(tmp_path.iterdir())
