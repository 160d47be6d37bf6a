"""Reading Hugging Face folders, and the errors for invalid ones."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import load_file, save_file

from tests.encoders.tokenization.tokenizer_files import bert_tokenizer, write_tokenizer
from tfrec.encoders import import_encoder
from tfrec.encoders.checkpoints.huggingface import expected_shapes, load_weights, read_checkpoint
from tfrec.errors import InvalidInput


@pytest.fixture
def folder(tiny_hf_bert, tmp_path):
    """A copy to damage."""
    return shutil.copytree(tiny_hf_bert, tmp_path / "hf")


def change_tensors(folder, change):
    path = str(folder / "model.safetensors")
    tensors = load_file(path)
    save_file({name: np.ascontiguousarray(value) for name, value in change(tensors).items()}, path)


def change_config(folder, **values):
    read = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**read, **values}))


def refused(folder, *words):
    with pytest.raises(InvalidInput) as error:
        import_encoder(folder, folder.parent / "out")
    for word in words:
        assert word in str(error.value)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]  # nothing was written


def without(name):
    return lambda tensors: {key: value for key, value in tensors.items() if key != name}


def test_a_missing_tensor_is_named(folder):
    change_tensors(folder, without("encoder.layer.1.output.dense.bias"))
    refused(folder, "1 of 39", "encoder.layer.1.output.dense.bias")


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(folder):
    change_tensors(folder, lambda t: {**t, "embeddings.LayerNorm.bias": np.zeros(5, np.float32)})
    refused(folder, "embeddings.LayerNorm.bias is (5,), expected (32,)")


def test_only_a_few_of_many_missing_tensors_are_named(folder):
    change_tensors(folder, lambda t: {"other": np.zeros(1, np.float32)})
    refused(folder, "lacks", "embeddings.word_embeddings.weight", "more")


def test_a_pickle_is_refused_with_the_way_to_convert_it(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    refused(folder, "no model.safetensors", "never read", "safe_serialization=True")


def test_weights_in_several_files_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "model.safetensors.index.json")
    refused(folder, "several files")


@pytest.mark.parametrize("name", ["config.json", "vocab.txt"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    refused(folder, f"no {name}")


def test_a_damaged_weights_file_is_refused(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    refused(folder, "not a safetensors file")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"model_type": "deberta-v2"}, "'deberta-v2'"),
        ({"hidden_act": "swish"}, "'swish'"),
        ({"position_embedding_type": "relative_key"}, "relative_key"),
        ({"num_attention_heads": 5}, "5 attention heads"),
        ({"num_attention_heads": 0}, "at least 1"),
        ({"hidden_size": "wide"}, "wide"),
        ({"num_hidden_layers": 3}, "encoder.layer.2"),
        ({"vocab_size": 50}, "word_embeddings.weight"),
    ],
)
def test_a_config_we_cannot_run_is_refused(folder, values, words):
    change_config(folder, **values)
    refused(folder, words)


def test_a_config_that_lacks_a_size_is_refused(folder):
    (folder / "config.json").write_text('{"model_type": "bert"}')
    refused(folder, "vocab_size")


@pytest.mark.parametrize("change", [lambda words: [*words, "one"], lambda words: words[:-30]])
def test_a_vocabulary_of_another_model_is_refused(folder, change):
    words = (folder / "vocab.txt").read_text().split()
    (folder / "vocab.txt").write_text("\n".join(change(words)))
    refused(folder, f"{len(change(words))} word pieces", f"{len(words)} rows")


def test_an_embedding_padded_to_a_round_number_is_accepted(folder):
    words = len((folder / "vocab.txt").read_text().split())
    rows = -(-(words + 1) // 64) * 64
    name = "embeddings.word_embeddings.weight"
    change_tensors(folder, lambda t: {**t, name: np.pad(t[name], ((0, rows - words), (0, 0)))})
    change_config(folder, vocab_size=rows)
    assert read_checkpoint(folder).config.vocab_size == rows


def test_a_vocabulary_without_special_tokens_is_refused(folder):
    path = folder / "vocab.txt"
    path.write_text(path.read_text().replace("[SEP]", "[END]"))
    refused(folder, "[SEP]")


def test_old_names_and_the_bert_prefix_are_recognised(folder, tiny_hf_bert):
    def rename(tensors):
        old = {name.replace("LayerNorm.weight", "LayerNorm.gamma"): value for name, value in tensors.items()}
        old = {name.replace("LayerNorm.bias", "LayerNorm.beta"): value for name, value in old.items()}
        return {**{f"bert.{name}": value for name, value in old.items()}, "cls.bias": np.zeros(3, np.float32)}

    change_tensors(folder, rename)
    assert read_checkpoint(folder).sha256 == read_checkpoint(tiny_hf_bert).sha256


def test_half_precision_weights_become_float32(folder):
    change_tensors(folder, lambda t: {name: value.astype(np.float16) for name, value in t.items()})
    assert {value.dtype for value in read_checkpoint(folder).tensors.values()} == {np.dtype(np.float32)}


def sentence_transformer(folder, mode, *modules):
    (folder / "1_Pooling").mkdir()
    modes = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False, "pooling_mode_max_tokens": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"dim": 32, **modes, **dict.fromkeys(mode, True)}))
    types = ["Transformer", "Pooling", *modules]
    (folder / "modules.json").write_text(json.dumps([{"type": f"sentence_transformers.models.{t}"} for t in types]))


@pytest.mark.parametrize(
    ("mode", "modules", "asked", "expected"),
    [
        ("mean_tokens", ["Normalize"], "auto", ("mean", True)),
        ("mean_tokens", [], "auto", ("mean", False)),
        ("cls_token", ["Normalize"], "auto", ("cls", True)),
        ("mean_tokens", ["Normalize"], "cls", ("cls", True)),
    ],
)
def test_pooling_follows_sentence_transformers_files(folder, mode, modules, asked, expected):
    sentence_transformer(folder, [f"pooling_mode_{mode}"], *modules)
    config = read_checkpoint(folder, asked).config
    assert (config.pooling, config.normalise) == expected


@pytest.mark.parametrize(
    ("asked", "has_pooler", "expected"),
    [
        ("auto", True, "pooler"),
        ("auto", False, "mean"),
        ("cls", True, "pooler"),
        ("cls", False, "cls"),
        ("mean", True, "mean"),
    ],
)
def test_pooling_of_a_plain_bert(folder, asked, has_pooler, expected):
    if not has_pooler:
        change_tensors(folder, lambda t: {name: value for name, value in t.items() if "pooler" not in name})
    assert read_checkpoint(folder, asked).config.pooling == expected


@pytest.mark.parametrize("modes", [["pooling_mode_max_tokens"], ["pooling_mode_cls_token", "pooling_mode_mean_tokens"]])
def test_pooling_we_do_not_have_is_refused(folder, modes):
    sentence_transformer(folder, modes)
    refused(folder, modes[0], "--pooling")
    assert read_checkpoint(folder, "mean").config.pooling == "mean"


def test_modules_we_do_not_have_are_refused(folder):
    sentence_transformer(folder, ["pooling_mode_mean_tokens"], "LSTM")
    refused(folder, "LSTM")


def test_an_unknown_pooling_is_refused(folder):
    with pytest.raises(InvalidInput, match="max"):
        read_checkpoint(folder, "max")


@pytest.mark.parametrize(("values", "expected"), [({}, True), ({"do_lower_case": False}, False)])
def test_the_case_follows_the_tokenizers_config(folder, values, expected):
    (folder / "tokenizer_config.json").write_text(json.dumps(values))
    assert read_checkpoint(folder).vocabulary.lower_case is expected


def test_accents_may_stay_where_the_case_does_not(folder):
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": true, "strip_accents": false}')
    rules = read_checkpoint(folder).vocabulary.rules
    assert (rules.normalisation.lowercase, rules.normalisation.strip_accents) == (True, False)


def test_a_tokenizer_json_takes_the_place_of_vocab_txt(folder):
    words = (folder / "vocab.txt").read_text().split()
    content = bert_tokenizer()
    content["model"]["vocab"] = {word: number for number, word in enumerate(words)}
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] in words]
    for token in content["added_tokens"]:
        token["id"] = words.index(token["content"])
    for token in content["post_processor"]["special_tokens"].values():
        token["ids"] = [words.index(token["id"])]
    before = read_checkpoint(folder)
    (folder / "vocab.txt").unlink()
    after = read_checkpoint(write_tokenizer(folder, content))
    assert after.vocabulary.vocabulary == before.vocabulary.vocabulary
    assert after.vocabulary.frame == before.vocabulary.frame


@pytest.mark.slow
def test_the_tokens_of_earlier_versions_can_be_kept(folder):
    exact, before = (read_checkpoint(folder, tokens=tokens) for tokens in ("exact", "tf-text"))
    assert before.vocabulary.to_dict() == {"lower_case": True, "vocabulary": exact.vocabulary.vocabulary}
    assert before.sha256 != exact.sha256
    texts = tf.constant(["ＲＥＤ shoe"])
    assert exact.vocabulary.preprocessor(8).tokenize(texts).to_list() != (
        before.vocabulary.preprocessor(8).tokenize(texts).to_list()
    )
    with pytest.raises(InvalidInput, match="Expected tokens exact or tf-text; received 'other'"):
        read_checkpoint(folder, tokens="other")


def test_the_hash_depends_on_everything_that_determines_the_vectors(folder, tiny_hf_bert):
    hashes = {read_checkpoint(tiny_hf_bert).sha256, read_checkpoint(tiny_hf_bert, "mean").sha256}
    assert read_checkpoint(folder).sha256 in hashes
    change_tensors(folder, lambda t: {**t, "pooler.dense.bias": t["pooler.dense.bias"] + 1e-3})
    hashes.add(read_checkpoint(folder).sha256)
    path = folder / "vocab.txt"
    path.write_text(path.read_text().replace("shoe", "boot"))
    hashes.add(read_checkpoint(folder).sha256)
    assert len(hashes) == 4


def test_every_weight_of_the_model_comes_from_the_checkpoint(tiny_hf_bert):
    from tfrec.encoders import build_bert

    checkpoint = read_checkpoint(tiny_hf_bert)
    model = build_bert(checkpoint.config)
    for weight in model.weights:
        weight.assign(weight * 0 + 1e6)
    load_weights(model, checkpoint.config, checkpoint.tensors)
    assert max(float(abs(weight.numpy()).max()) for weight in model.weights) < 100
    assert model.count_params() == sum(np.prod(shape) for shape in expected_shapes(checkpoint.config).values())
