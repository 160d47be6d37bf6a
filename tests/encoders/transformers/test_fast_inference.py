"""Fast runtimes give the vectors of the saved model, or an error where they do not apply."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.conftest import TINY_VOCABULARY
from tests.encoders.checkpoints.random_checkpoints import write_distil_folder, write_gpt_folder
from tfrec.encoders import import_encoder, load_encoder
from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.encoders.int8_runtime import Int8Runtime
from tfrec.encoders.transformers.fast_inference import build_inference
from tfrec.errors import InvalidInput

IDS = [[2, 9, 30, 12, 3, 44, 3], [2, 17, 3, 0, 0, 0, 0]]
MASK = [[1] * 7, [1] * 3 + [0] * 4]
TYPES = [[0] * 4 + [1] * 3, [0] * 7]


@pytest.fixture(scope="module")
def folders(tiny_hf_bert, tmp_path_factory):
    root = tmp_path_factory.mktemp("hf")
    return {
        "bert": tiny_hf_bert,
        "distilbert": write_distil_folder(root / "distil", TINY_VOCABULARY),
        "gpt2": write_gpt_folder(root / "gpt"),
    }


def inputs():
    ids, mask, types = (tf.constant(value) for value in (IDS, MASK, TYPES))
    return {"input_word_ids": ids, "input_mask": mask, "input_type_ids": types}


def cosines(left, right):
    left, right = np.asarray(left, np.float64), np.asarray(right, np.float64)
    return (left * right).sum(1) / np.linalg.norm(left, axis=1) / np.linalg.norm(right, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "pooling"),
    [("bert", "auto"), ("bert", "mean"), ("bert", "last"), ("distilbert", "cls"), ("gpt2", "last"), ("gpt2", "mean")],
)
def test_the_fast_graph_equals_the_model(folders, name, pooling):
    checkpoint = read_checkpoint(folders[name], pooling)
    model = checkpoint.model()
    expected = model(inputs())["pooled_output"]
    assert_allclose(build_inference(model, checkpoint.config)(*inputs().values()), expected, atol=1e-5)
    near = cosines(build_inference(model, checkpoint.config, "bfloat16")(*inputs().values()), expected)
    assert 0.99 < near.min() < 0.9999999


@pytest.mark.slow
@pytest.mark.usefixtures("litert")
@pytest.mark.parametrize("name", ["bert", "gpt2"])
def test_int8_is_close_and_its_programs_are_cached(folders, name, tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path))
    checkpoint = read_checkpoint(folders[name], "mean")
    model = checkpoint.model()
    read = Int8Runtime(model, checkpoint.config, "a" * 64, batch_size=4)
    found = read(inputs())
    assert found.shape == (2, 32) and found.dtype == np.float32
    assert cosines(found, model(inputs())["pooled_output"]).min() > 0.99
    (program,) = (tmp_path / "int8").iterdir()
    assert program.name == f"{'a' * 32}-3-4x8.tflite"

    again = Int8Runtime(model, checkpoint.config, "a" * 64, batch_size=4)
    monkeypatch.setattr(Int8Runtime, "_convert", None)
    assert_array_equal(again(inputs()), found)


TEXTS = ["red", "the old book of the new song", "", "red shoe " * 40, "blue shoe", "small film and big film"]


@pytest.mark.slow
@pytest.mark.parametrize(("precision", "least"), [("float32", 0.999999), ("bfloat16", 0.999), ("int8", 0.99)])
def test_every_precision_encodes_texts(tiny_encoder, precision, least, tmp_path, monkeypatch, request):
    if precision == "int8":
        request.getfixturevalue("litert")
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path))
    encoder = load_encoder(tiny_encoder, precision=precision)
    exact = [encoder.encoder(encoder.inputs([text], 20))["pooled_output"][0] for text in TEXTS]
    vectors = encoder.encode(TEXTS, batch_size=4, seq_length=20)
    assert encoder.precision == precision
    assert cosines(vectors, exact).min() > least
    assert (np.abs(vectors - exact).max() > 1e-4) == (precision != "float32")


@pytest.mark.slow
def test_unsupported_precisions_are_refused(tiny_encoder):
    with pytest.raises(InvalidInput, match="float32, bfloat16, int8"):
        load_encoder(tiny_encoder, precision="float16")
    with pytest.raises(InvalidInput, match="weights are trained"):
        load_encoder(tiny_encoder, trainable=True, precision="int8").encode(["red"])
    pair = f"{tiny_encoder / 'preprocessor'}|{tiny_encoder / 'encoder'}"
    with pytest.raises(InvalidInput, match="not made by tfrec"):
        load_encoder(pair, precision="bfloat16").encode(["red"])


@pytest.mark.slow
def test_a_trainable_encoder_encodes_with_its_current_weights(tiny_encoder):
    encoder = load_encoder(tiny_encoder, trainable=True)
    before = encoder.encode(["red"])
    words = encoder.encoder.trainable_variables[0]
    words.assign(tf.reverse(words, [0]))
    expected = encoder.encoder(encoder.inputs(["red"], 8))["pooled_output"]
    assert np.abs(encoder.encode(["red"]) - before).max() > 1e-3
    assert_allclose(encoder.encode(["red"]), expected, atol=1e-5)


@pytest.mark.slow
def test_a_saved_model_of_another_shape_is_refused(tiny_encoder, tmp_path):
    folder = shutil.copytree(tiny_encoder, tmp_path / "changed")
    about = json.loads((folder / "tfrec_encoder.json").read_text())
    about["backbone"]["layers"] = 1
    (folder / "tfrec_encoder.json").write_text(json.dumps(about))
    with pytest.raises(InvalidInput, match="Import it again"):
        load_encoder(folder).encode(["red"])


@pytest.mark.slow
def test_an_old_folder_without_a_config_runs_as_a_saved_model(tiny_encoder, tmp_path):
    expected = load_encoder(tiny_encoder).encode(TEXTS)
    copy = import_encoder(f"{tiny_encoder / 'preprocessor'}|{tiny_encoder / 'encoder'}", tmp_path / "copy")
    assert "backbone" not in json.loads((copy / "tfrec_encoder.json").read_text())
    assert_allclose(load_encoder(copy).encode(TEXTS), expected, atol=1e-5)
