"""The files of sentence-transformers beside a checkpoint: pooling, dense modules, normalisation, prompts, cutting."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from safetensors.numpy import save_file

from tfrec.config.encoder import EncoderConfig
from tfrec.encoders import import_encoder, load_encoder
from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.encoders.load import load_configured
from tfrec.errors import InvalidInput

OLD = "sentence_transformers.models.{}"
NEW = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
DENSE = np.random.default_rng(5).normal(size=(16, 32)).astype(np.float32)
BIAS = np.linspace(-1, 1, 16, dtype=np.float32)


@pytest.fixture
def folder(tiny_hf_bert, tmp_path):
    return shutil.copytree(tiny_hf_bert, tmp_path / "hf")


def write_modules(folder, *kinds, new=True):
    names = [(kind, "" if kind == "Transformer" else f"{place}_{kind}") for place, kind in enumerate(kinds)]
    modules = [{"idx": n, "path": path, "type": NEW.get(kind, kind) if new else OLD.format(kind)}
               for n, (kind, path) in enumerate(names)]  # fmt: skip
    (folder / "modules.json").write_text(json.dumps(modules))


def write_json(folder, name, **values):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(values))


def write_dense(folder, path="2_Dense", activation="torch.nn.modules.activation.Tanh", **tensors):
    about = {"in_features": 32, "out_features": 16, "bias": True, "activation_function": activation}
    write_json(folder, f"{path}/config.json", **about)
    save_file({"linear.weight": DENSE, "linear.bias": BIAS, **tensors}, str(folder / path / "model.safetensors"))


@pytest.mark.parametrize("new", [True, False])
@pytest.mark.parametrize(
    ("values", "pooling"),
    [
        ({"pooling_mode": "mean", "embedding_dimension": 32, "include_prompt": True}, "mean"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
        ({"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}, "mean"),
    ],
)
def test_pooling_files_of_all_versions_are_read(folder, new, values, pooling):
    write_modules(folder, "Transformer", "Pooling", "Normalize", new=new)
    write_json(folder, "1_Pooling/config.json", **values)
    config = read_checkpoint(folder).config
    assert (config.pooling, config.normalise) == (pooling, True)


def test_a_dense_module_follows_the_pooling(folder):
    write_modules(folder, "Transformer", "Pooling", "Dense", "Normalize")
    write_json(folder, "1_Pooling/config.json", pooling_mode="mean")
    ids = tf.constant([[2, 7, 8, 3]])
    inputs = {"input_word_ids": ids, "input_mask": tf.ones_like(ids), "input_type_ids": tf.zeros_like(ids)}
    write_dense(folder)
    checkpoint = read_checkpoint(folder)
    outputs = checkpoint.model()(inputs)
    pooled = np.tanh(outputs["sequence_output"].numpy().mean(1) @ DENSE.T + BIAS)
    expected = pooled / np.linalg.norm(pooled)
    assert checkpoint.config.dim == 16
    assert_allclose(outputs["pooled_output"], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda f: write_modules(f, "Transformer", "Pooling", "LSTM"), ["LSTM", "not supported"]),
        (lambda f: write_modules(f, "Transformer", "Pooling", "Normalize", "Dense"), ["Dense after Normalize"]),
        (lambda f: write_json(f, "1_Pooling/config.json", pooling_mode="max"), ["max", "--pooling"]),
        (lambda f: write_json(f, "1_Pooling/config.json", include_prompt=False), ["include_prompt"]),
        (lambda f: write_dense(f, activation="torch.nn.SiLU"), ["activation_function", "SiLU"]),
        (lambda f: write_dense(f, **{"linear.weight": DENSE[:3]}), ["(3, 32)", "(16, 32)"]),
        (lambda f: (f / "2_Dense" / "model.safetensors").unlink(), ["no model.safetensors"]),
    ],
)  # fmt: skip
def test_what_cannot_be_expressed_is_refused_by_name(folder, damage, words):
    write_modules(folder, "Transformer", "Pooling", "Dense")
    write_json(folder, "1_Pooling/config.json", pooling_mode="mean")
    write_dense(folder)
    damage(folder)
    with pytest.raises(InvalidInput) as error:
        read_checkpoint(folder)
    for word in words:
        assert word in str(error.value)


@pytest.fixture(scope="module")
def prompted(tiny_hf_bert, tmp_path_factory):
    """An encoder folder with prompts and a dense module."""
    folder = shutil.copytree(tiny_hf_bert, tmp_path_factory.mktemp("st") / "hf")
    write_modules(folder, "Transformer", "Pooling", "Dense", "Normalize")
    write_json(folder, "1_Pooling/config.json", pooling_mode="mean")
    prompts = {"query": "red: ", "passage": "blue: "}
    write_json(folder, "config_sentence_transformers.json", prompts=prompts, default_prompt_name=None)
    write_dense(folder)
    return import_encoder(folder, folder.parent / "encoder")


TEXTS = ["red shoe", ""]


@pytest.mark.slow
def test_prompts_come_from_the_folder_and_are_written_before_texts(prompted):
    encoder, plain = load_encoder(prompted), load_encoder(prompted, item_prompt="", query_prompt="")
    assert encoder.prompts == {"query": "red: ", "item": "blue: "} and plain.prompts == {}
    assert encoder.hash != plain.hash
    assert_allclose(encoder.encode(TEXTS), plain.encode([f"blue: {text}" for text in TEXTS]), atol=1e-6)
    queries = encoder.encode(TEXTS, kind="query")
    assert_allclose(queries, plain.encode([f"red: {text}" for text in TEXTS]), atol=1e-6)
    inputs = encoder.inputs(tf.constant(TEXTS), 12)["input_word_ids"]
    assert_array_equal(inputs, plain.inputs(tf.constant([f"blue: {text}" for text in TEXTS]), 12)["input_word_ids"])


@pytest.mark.slow
def test_a_prompt_that_fills_the_length_is_refused(prompted):
    encoder = load_encoder(prompted, item_prompt="red shoe and blue shoe ")
    with pytest.raises(InvalidInput, match=r"item_prompt.*5 tokens fill encoder.seq_length=7"):
        encoder.encode(TEXTS, seq_length=7)
    with pytest.raises(InvalidInput, match="item_prompt"):
        encoder.inputs(tf.constant(TEXTS), 7)
    assert encoder.encode(TEXTS, seq_length=8).shape == (2, 16)


@pytest.mark.slow
def test_dim_keeps_the_first_values_and_scales_them(prompted, tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path))
    whole = load_encoder(prompted).encode(TEXTS)
    cut = load_configured(EncoderConfig(name=str(prompted), dim=4))
    expected = whole[:, :4] / np.linalg.norm(whole[:, :4], axis=1, keepdims=True)
    assert cut.dim == 4 and cut.prompts == load_encoder(prompted).prompts
    assert_allclose(cut.encode(TEXTS), expected, atol=1e-5)
    again = load_encoder(prompted, dim=4)
    assert again.hash == cut.hash != load_encoder(prompted).hash
    with pytest.raises(InvalidInput, match="from 1 to 16; received 17"):
        load_encoder(prompted, dim=17)
