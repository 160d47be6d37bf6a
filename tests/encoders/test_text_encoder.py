"""Written encoders follow the TF-Hub contract, and encode texts of every kind."""

import json
import shutil
import urllib.error

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_hub as hub
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders import TextEncoder, import_encoder, load_encoder
from tfrec.encoders.checkpoints.huggingface import read_checkpoint
from tfrec.errors import InvalidInput, Unavailable
from tfrec.keras import keras


@pytest.fixture(scope="module")
def encoder(tiny_encoder):
    return load_encoder(tiny_encoder)


@pytest.fixture(scope="module")
def ids_of(tiny_hf_bert):
    vocabulary = (tiny_hf_bert / "vocab.txt").read_text().split("\n")
    return lambda *words: [vocabulary.index(word) for word in words]


def test_a_loaded_encoder_has_the_metadata_of_the_import(encoder, tiny_hf_bert, tiny_encoder):
    assert isinstance(encoder, TextEncoder)
    about = json.loads((tiny_encoder / "tfrec_encoder.json").read_text())
    expected = {"dim": 32, "max_seq_length": 128, "pooling": "mean", "normalised": False, "source": "tiny-bert"}
    config = read_checkpoint(tiny_hf_bert, "mean").config
    assert about.pop("backbone") == {"family": "bert", **config.to_dict()}
    stored = {path.relative_to(tiny_encoder).as_posix() for path in tiny_encoder.rglob("*") if path.is_file()}
    assert about.pop("files").keys() == stored - {"tfrec_encoder.json"}
    assert about == {**expected, "sha256": read_checkpoint(tiny_hf_bert, "mean").sha256}
    assert (encoder.dim, encoder.max_seq_length, encoder.recorded_hash) == (32, 128, about["sha256"])


def test_a_preprocessors_call_packs_128_tokens(tiny_encoder, ids_of):
    packed = hub.KerasLayer(str(tiny_encoder / "preprocessor"))(tf.constant(["Red  SHOE, ünd", ""]))
    assert {name: (tuple(v.shape), v.dtype) for name, v in packed.items()} == {
        name: ((2, 128), tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")
    }
    expected = ids_of("[CLS]", "red", "shoe", ",", "u", "##n", "##d", "[SEP]")
    assert packed["input_word_ids"].numpy()[0, :9].tolist() == [*expected, 0]
    assert packed["input_mask"].numpy().sum(1).tolist() == [8, 2]
    assert packed["input_word_ids"].numpy()[1, :3].tolist() == [*ids_of("[CLS]", "[SEP]"), 0]


def test_two_segments_are_packed_and_the_longer_is_truncated_first(encoder, ids_of):
    loaded = encoder.preprocessor
    pack = hub.KerasLayer(loaded.bert_pack_inputs, arguments={"seq_length": 8})
    segments = [
        loaded.tokenize(tf.constant(["red shoe and blue shoe and hat"])),
        loaded.tokenize(tf.constant(["book"])),
    ]
    packed = pack(segments)
    expected = ids_of("[CLS]", "red", "shoe", "and", "blue", "[SEP]", "book", "[SEP]")
    assert packed["input_word_ids"].numpy().tolist() == [expected]
    assert packed["input_type_ids"].numpy().tolist() == [[0] * 6 + [1] * 2]


@pytest.mark.slow
def test_a_functional_model_of_the_pair_trains_saves_and_reloads(tiny_encoder, tmp_path):
    texts = keras.Input((), dtype=tf.string)
    packed = hub.KerasLayer(str(tiny_encoder / "preprocessor"))(texts)
    bert = hub.KerasLayer(str(tiny_encoder / "encoder"), trainable=True)
    outputs = bert(packed)
    assert outputs["pooled_output"].shape == (None, 32)
    assert outputs["sequence_output"].shape[-1] == 32
    assert len(outputs["encoder_outputs"]) == 2
    model = keras.Model(texts, keras.layers.Dense(1)(outputs["pooled_output"]))
    model.compile("adam", "mse")
    before = [weight.numpy() for weight in bert.trainable_variables]
    assert len(before) == 5 + 2 * 12
    words = tf.constant(["red shoe", "blue hat", "old book", "new song"])
    model.fit(words, tf.constant([[1.0], [0.0], [1.0], [0.0]]), epochs=2, batch_size=2, verbose=0)
    assert all(np.any(old != new.numpy()) for old, new in zip(before, bert.trainable_variables))
    tf.saved_model.save(model, str(tmp_path / "saved"))
    again = tf.saved_model.load(str(tmp_path / "saved"))
    assert_allclose(again(words, training=False), model(words, training=False), atol=1e-6)


def test_a_frozen_encoder_exposes_no_weight_for_training(encoder, tiny_encoder):
    assert encoder.encoder.trainable_variables == []
    assert load_encoder(tiny_encoder, trainable=True).encoder.trainable_variables


def test_training_through_the_saved_encoder_is_reproducible(encoder):
    inputs = encoder.inputs(["red shoe", "blue hat"], 8)
    call = encoder.encoder.resolved_object
    assert_array_equal(call(inputs, training=True)["pooled_output"], call(inputs, training=True)["pooled_output"])
    assert np.abs(call(inputs, training=True)["default"] - call(inputs, training=False)["default"]).max() > 0.01


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t", []),
        ("\x00\x01", []),
        ("😀🎉", ["[UNK]"]),
        ("red😀", ["[UNK]"]),
        ("שלום עולם", ["[UNK]"] * 2),
        ("推荐系统", ["[UNK]"] * 4),
        ("x" * 100_000, ["[UNK]"]),
        ("red " * 25_000, ["red"] * 62),
        ("[SEP] red", ["[", "s", "##e", "##p", "]", "red"]),
    ],
)
def test_any_text_has_defined_tokens_and_a_finite_vector(encoder, ids_of, text, words):
    words = [word if word in ("[UNK]", "red") or word.strip("#").isalnum() else "[UNK]" for word in words]
    ids = encoder.inputs([text], 64)["input_word_ids"].numpy()[0]
    assert [i for i in ids if i] == ids_of("[CLS]", *words, "[SEP]")
    assert np.isfinite(encoder.encode([text])).all()


@pytest.mark.slow
def test_invalid_utf8_becomes_replacement_characters(encoder):
    ids = encoder.inputs(tf.constant([b"red \xff\xfe", "red \ufffd\ufffd".encode()]), 16)["input_word_ids"].numpy()
    assert_array_equal(ids[0], ids[1])
    assert np.isfinite(encoder.encode(["red \ud800"])).all()  # a lone surrogate, as in broken JSON


def test_no_texts_give_no_vectors(encoder):
    vectors = encoder.encode([])
    assert (vectors.shape, vectors.dtype) == ((0, 32), np.float32)


TEXTS = ["red", "the old book of the new song", "", "a", "small film and big film", "red shoe " * 40, "blue shoe"]


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_sorting_and_padding_change_nothing(encoder, batch_size):
    one_by_one = [encoder.encoder(encoder.inputs([text], 20))["pooled_output"][0] for text in TEXTS]
    assert_allclose(encoder.encode(TEXTS, batch_size=batch_size, seq_length=20), one_by_one, atol=1e-5)


def test_chunks_change_nothing(encoder, monkeypatch):
    expected = encoder.encode(TEXTS)
    monkeypatch.setattr("tfrec.encoders.text_encoder._CHUNK", 3)
    assert_allclose(encoder.encode(TEXTS, batch_size=2), expected, atol=1e-5)


@pytest.mark.slow
def test_a_text_beyond_the_positions_of_a_pair_of_handles_is_refused(tiny_encoder):
    encoder = load_encoder(f"{tiny_encoder / 'preprocessor'}|{tiny_encoder / 'encoder'}")
    with pytest.raises(InvalidInput, match="cannot encode texts of 202 tokens. Set encoder.seq_length"):
        encoder.encode(["red " * 200], seq_length=256)


@pytest.mark.parametrize("seq_length", [2, 129])
def test_an_unsupported_length_is_refused(encoder, seq_length):
    with pytest.raises(InvalidInput, match="from 3 to 128"):
        encoder.encode(["red"], seq_length=seq_length)


def test_other_invalid_arguments_are_refused(encoder):
    with pytest.raises(InvalidInput, match="number 1 is a NoneType"):
        encoder.encode(["red", None])
    with pytest.raises(InvalidInput, match="batch_size"):
        encoder.encode(["red"], batch_size=0)


@pytest.mark.slow
def test_a_pair_of_handles_can_be_loaded_and_imported(encoder, tiny_encoder, tmp_path):
    handles = f"{tiny_encoder / 'preprocessor'}|{tiny_encoder / 'encoder'}"
    pair = load_encoder(handles)
    assert_allclose(pair.encode(["red shoe"]), encoder.encode(["red shoe"]), atol=1e-6)
    imported = load_encoder(import_encoder(handles, tmp_path / "copy"))
    assert_allclose(imported.encode(["red shoe"]), encoder.encode(["red shoe"]), atol=1e-6)
    assert pair.dim == imported.dim == 32 and pair.hash == imported.hash != encoder.hash
    with pytest.raises(InvalidInput, match="pooling"):
        import_encoder(handles, tmp_path / "mean", pooling="mean")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-such-encoder", "minilm-l6"),
        ("no/preprocessor|no/encoder", "no/preprocessor"),
        ("one|two|three", "PREPROCESSOR"),
        ("|two", "PREPROCESSOR"),
        ("https://hub.invalid/bert/1", "PREPROCESSOR"),
    ],
)
def test_a_handle_that_does_not_exist_is_named(name, words):
    with pytest.raises(InvalidInput, match=words):
        load_encoder(name)


def test_a_source_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(InvalidInput, match="no-such-folder"):
        import_encoder("no-such-folder", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pair_in_the_wrong_order_is_refused(tiny_encoder):
    with pytest.raises(InvalidInput, match="preprocessor comes first"):
        load_encoder(f"{tiny_encoder / 'encoder'}|{tiny_encoder / 'preprocessor'}")


@pytest.mark.slow
def test_two_preprocessors_are_refused(tiny_encoder):
    with pytest.raises(InvalidInput, match="does not accept"):
        load_encoder(f"{tiny_encoder / 'preprocessor'}|{tiny_encoder / 'preprocessor'}")


def test_the_error_of_the_hub_is_reported(monkeypatch):
    def answer(error):
        def resolve(handle):
            raise error

        monkeypatch.setattr(hub, "resolve", resolve)

    answer(urllib.error.HTTPError("u", 404, "Not Found", {}, None))
    with pytest.raises(InvalidInput, match="404 Not Found"):
        load_encoder("https://hub.invalid/a/1|https://hub.invalid/b/1")
    answer(urllib.error.URLError("no network"))
    with pytest.raises(Unavailable, match="no network"):
        load_encoder("https://hub.invalid/a/1|https://hub.invalid/b/1")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda folder: (folder / "encoder" / "saved_model.pb").unlink(), "no SavedModel named encoder"),
        (lambda folder: shutil.rmtree(folder / "preprocessor"), "no SavedModel named preprocessor"),
        (lambda folder: (folder / "tfrec_encoder.json").write_text("{}"), "expected 'dim' of type int"),
        (lambda folder: (folder / "tfrec_encoder.json").write_text("{"), "not valid JSON"),
        (lambda folder: (folder / "tfrec_encoder.json").unlink(), "has no tfrec_encoder.json"),
        (lambda folder: (folder / "encoder" / "saved_model.pb").write_bytes(b"\xffno"), "encoder"),
        (
            lambda folder: (folder / "preprocessor" / "saved_model.pb").write_bytes(b"\xffno"),
            "has changed since it was written",
        ),
    ],
)
def test_a_folder_with_the_wrong_files_is_refused(tiny_encoder, tmp_path, damage, words):
    folder = shutil.copytree(tiny_encoder, tmp_path / "damaged")
    damage(folder)
    with pytest.raises(InvalidInput, match=words):
        load_encoder(folder).encode(["red"])


def test_checkpoints_and_encoder_folders_are_distinguished(tiny_hf_bert, tiny_encoder, tmp_path):
    with pytest.raises(InvalidInput, match="tfrec encoder import"):
        load_encoder(tiny_hf_bert)
    with pytest.raises(InvalidInput, match="encoder folder already"):
        import_encoder(tiny_encoder, tmp_path / "out")


@pytest.mark.slow
def test_an_existing_folder_is_only_replaced_when_forced(tiny_hf_bert, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(InvalidInput, match="--force"):
        import_encoder(tiny_hf_bert, tmp_path / "out")
    import_encoder(tiny_hf_bert, tmp_path / "out", force=True)
    assert (tmp_path / "out" / "encoder").is_dir()


@pytest.mark.slow
def test_a_preset_is_converted_once_and_cached(tiny_hf_bert, tmp_path, monkeypatch):
    fetched = []
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path))
    monkeypatch.setitem(load_encoder.__globals__["PRESETS"], "tiny", lambda: fetched.append(1) or tiny_hf_bert)
    first, second = load_encoder("tiny"), load_encoder("tiny")
    assert fetched == [1] and first.hash == second.hash
    assert (tmp_path / "encoders" / "tiny-4" / "tfrec_encoder.json").is_file()
    with pytest.raises(InvalidInput, match="encoder.tokens exact or tf-text; received 'other'"):
        load_encoder("tiny", tokens="other")
