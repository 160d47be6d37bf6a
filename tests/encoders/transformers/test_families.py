"""Families of encoders against hidden states of `transformers` for the same random weights; Model2Vec against a mean.

`python benchmarks/encode_parity.py --golden` writes golden_states.json.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import save_file

from tests.encoders.checkpoints.random_checkpoints import write_family_folder
from tests.encoders.tokenization.tokenizer_files import (
    FAMILIES,
    bert_tokenizer,
    roberta_tokenizer,
    unigram_tokenizer,
    write_tokenizer,
)
from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.encoders.compression.store_small import store_small
from tfrec.encoders.compression.student import Student
from tfrec.encoders.tokenization.frame import Frame
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.encoders.transformers.lora import merge_lora
from tfrec.errors import InvalidInput

GOLDEN = Path(__file__).with_name("golden_states.json")


@pytest.fixture(
    scope="module", params=[pytest.param(kind, marks=[pytest.mark.slow] * (kind == "nomic_bert")) for kind in FAMILIES]
)
def family(request, tmp_path_factory):
    """A checkpoint, its model, and what transformers computes."""
    folder = tmp_path_factory.mktemp("families") / request.param
    checkpoint = read_checkpoint(write_family_folder(folder, request.param, FAMILIES[request.param]()))
    return checkpoint, checkpoint.model(), json.loads(GOLDEN.read_text())[request.param]


def inputs(golden):
    ids, mask = (tf.constant(golden[name], tf.int32) for name in ("ids", "mask"))
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": tf.zeros_like(ids)}


def test_hidden_states_equal_those_of_transformers(family):
    _, model, golden = family
    states = model(inputs(golden))["encoder_outputs"]
    for row, place in golden["places"]:
        for layer, state in enumerate(states):
            assert_allclose(state[row, place], golden["states"][f"{layer},{row},{place}"], atol=2e-4)


def test_the_fast_graph_equals_the_model(family):
    checkpoint, model, golden = family
    given = inputs(golden)
    fast = build_inference(model, checkpoint.config)(*given.values())
    assert_allclose(fast, model(given)["pooled_output"], atol=1e-4)


def test_merging_adapters_changes_nothing_where_there_are_none(family):
    checkpoint, model, golden = family
    given = inputs(golden)
    merged = merge_lora(model, checkpoint.config)
    assert_allclose(merged(given)["pooled_output"], model(given)["pooled_output"], atol=1e-6)


@pytest.mark.slow
def test_weights_stored_in_small_hardly_change_the_vectors(family):
    checkpoint, model, golden = family
    given = inputs(golden)
    small = store_small(Student(checkpoint.config, checkpoint.vocabulary, model), "bfloat16").model
    before, after = (tf.nn.l2_normalize(each(given)["pooled_output"], -1).numpy() for each in (model, small))
    assert ((before * after).sum(1) > 0.9999).all()


@pytest.mark.slow
def test_texts_longer_than_the_positions_are_cut(family):
    checkpoint, model, _ = family
    packed = checkpoint.vocabulary.preprocessor(checkpoint.config.max_positions)(tf.constant(["ab " * 200]))
    assert np.isfinite(model(packed)["pooled_output"]).all()


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
def test_model2vec_is_the_mean_of_its_token_vectors(tmp_path, apart):
    content = bert_tokenizer()
    pieces = list(content["model"]["vocab"])
    rng = np.random.default_rng(0)
    table = rng.normal(size=(len(pieces), 12)).astype(np.float32)
    tensors = {"embeddings": table}
    if apart:  # rows that several tokens share, and weights
        mapping, weights = rng.integers(0, 50, len(pieces)), rng.uniform(size=len(pieces))
        tensors = {"embeddings": table[:50].copy(), "mapping": mapping, "weights": weights}
        table = table[mapping] * weights[:, None]
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "model2vec", "normalize": True}))
    save_file(tensors, str(tmp_path / "model.safetensors"))
    checkpoint = read_checkpoint(write_tokenizer(tmp_path, content))
    packed = checkpoint.vocabulary.preprocessor(6)(tf.constant(["Ab \u2c00\u2c00 shoe", "", "\u2c00"]))
    ids = [pieces.index("ab"), pieces.index("shoe")]
    assert packed["input_word_ids"].numpy()[0].tolist() == [*ids, 0, 0, 0, 0]
    mean = table[ids].mean(0)
    vectors = checkpoint.model()(packed)["pooled_output"].numpy()
    assert_allclose(vectors, [mean / np.linalg.norm(mean), np.zeros(12), np.zeros(12)], atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "0_StaticEmbedding"])
def test_a_static_embedding_is_what_sentence_transformers_computes(tmp_path, place):
    content = bert_tokenizer()
    table = np.random.default_rng(0).normal(size=(len(content["model"]["vocab"]), 12)).astype(np.float32)
    (tmp_path / place).mkdir(exist_ok=True)
    save_file({"embedding.weight": table}, str(tmp_path / place / "model.safetensors"))
    write_tokenizer(tmp_path / place, content)
    modules = [{"path": place, "type": "sentence_transformers.models.StaticEmbedding"}]
    modules.append({"path": "1_Normalize", "type": "sentence_transformers.models.Normalize"})
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "q: "}}))
    checkpoint = read_checkpoint(tmp_path)
    packed = checkpoint.vocabulary.preprocessor(6)(tf.constant(["Ab shoe \u2c00", ""]))
    assert packed["input_mask"].numpy().sum(1).tolist() == [3, 0]  # the unknown word counts
    vectors = checkpoint.model()(packed)["pooled_output"].numpy()
    assert_allclose(vectors[0, :4], [-0.12383015, 0.44309634, -0.18281744, 0.26053473], atol=1e-6)  # of 6.2.0
    assert_array_equal(vectors[1], np.zeros(12))
    assert checkpoint.prompts == {"query": "q: "}


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("modernbert", {"attention_bias": True}, "attention_bias"),
        ("modernbert", {"layer_types": ["sliding_attention", "full_attention"] * 2}, "layer_types"),
        ("modernbert", {"rope_parameters": {"full_attention": {"rope_type": "yarn"}}}, "yarn"),
        ("nomic_bert", {"moe_every_n_layers": 2}, "moe_every_n_layers"),
        ("nomic_bert", {"activation_function": "geglu"}, "swiglu"),
        ("nomic_bert", {"rope_parameters": {"rope_type": "dynamic"}}, "dynamic"),
    ],
)
def test_parts_that_the_families_lack_are_refused_by_name(tmp_path, kind, values, words):
    folder = write_family_folder(tmp_path / "m", kind, FAMILIES[kind]())
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | values))
    with pytest.raises(InvalidInput, match=f"config.json.*{words}"):
        read_checkpoint(folder)


def test_a_roberta_is_read_with_and_without_a_tokenizer_json(tmp_path):
    content = roberta_tokenizer()
    folder = write_family_folder(tmp_path / "m", "xlm-roberta", content)
    about = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(about | {"model_type": "roberta"}))
    whole = read_checkpoint(folder)
    (folder / "tokenizer.json").unlink()
    ids = {**content["model"]["vocab"], **{token["content"]: token["id"] for token in content["added_tokens"]}}
    (folder / "vocab.json").write_text(json.dumps(ids))
    (folder / "merges.txt").write_text("\n".join(map(" ".join, content["model"]["merges"])))
    older = read_checkpoint(folder)
    assert whole.config == older.config and whole.vocabulary.rules.prefix_space
    assert older.vocabulary.frame == whole.vocabulary.frame == Frame((ids["<s>"],), (ids["</s>"],), ids["<pad>"])
    (folder / "config.json").write_text(json.dumps(about | {"model_type": "modernbert"}))
    with pytest.raises(InvalidInput, match=r"has no tokenizer.json.*save_pretrained"):
        read_checkpoint(folder)


def test_a_published_config_of_nomic_gives_the_shape_of_the_saved_one(tmp_path):
    folder = write_family_folder(tmp_path / "m", "nomic_bert", FAMILIES["nomic_bert"]())
    saved = read_checkpoint(folder).config
    about = json.loads((folder / "config.json").read_text())
    names = {"hidden_size": "n_embd", "num_hidden_layers": "n_layer", "num_attention_heads": "n_head"}
    names |= {"intermediate_size": "n_inner", "max_position_embeddings": "max_trained_positions"}
    published = {names.get(name, name): value for name, value in about.items()}
    published |= {"n_positions": 8192, "activation_function": "swiglu", "rotary_emb_base": 1000, "prenorm": False}
    (folder / "config.json").write_text(json.dumps(published))
    assert read_checkpoint(folder).config == saved


def test_a_table_that_does_not_fit_the_vocabulary_is_refused(tmp_path):
    folder = write_family_folder(tmp_path / "m", "xlm-roberta", unigram_tokenizer())
    content = unigram_tokenizer()
    content["model"]["vocab"] = content["model"]["vocab"][:-100]
    content["added_tokens"] = content["added_tokens"][:-1]
    (folder / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(InvalidInput, match="rows"):
        read_checkpoint(folder)
