"""Encoders are programs and names of caches: what they say of themselves is not believed."""

import json
import shutil

import pytest
import tensorflow as tf

from tests.damage import emptied, outcomes, passed, truncated, without_checksums
from tfrec.encoders import TextEncoder, load_encoder
from tfrec.encoders.embedding_store.store import EmbeddingStore
from tfrec.encoders.encoder_hash import encoder_sha256
from tfrec.errors import InvalidInput
from tfrec.models.behaviour_text.model import BehaviourTextModel


@pytest.fixture
def encoder_folder(tiny_encoder, tmp_path):
    """A copy that a test may change, as an older version wrote it: without hashes of its files."""
    return without_checksums(shutil.copytree(tiny_encoder, tmp_path / "encoder"), "tfrec_encoder.json")


@pytest.fixture(scope="module")
def reads_a_file(tmp_path_factory):
    """A preprocessor in form, which reads the file that a text names."""
    module = tf.Module()
    text = tf.TensorSpec([None], tf.string)
    module.tokenize = tf.function(lambda texts: tf.map_fn(tf.io.read_file, texts), input_signature=[text])
    module.bert_pack_inputs = tf.function(lambda texts: texts, input_signature=[text])
    folder = tmp_path_factory.mktemp("programs") / "reads"
    tf.saved_model.save(module, str(folder))
    return folder


def put_in_place(program, folder):
    shutil.rmtree(folder)
    shutil.copytree(program, folder)


@pytest.mark.parametrize("part", ["preprocessor", "encoder"])
def test_a_folder_and_a_pair_pass_the_guard_before_they_are_loaded(encoder_folder, reads_a_file, part):
    put_in_place(reads_a_file, encoder_folder / part)
    for name in (encoder_folder, f"{encoder_folder / 'preprocessor'}|{encoder_folder / 'encoder'}"):
        with pytest.raises(InvalidInput, match="ReadFile"):
            load_encoder(name)


def test_a_cached_preset_passes_the_guard(encoder_folder, reads_a_file, tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path))
    monkeypatch.setitem(load_encoder.__globals__["PRESETS"], "tiny", None)  # it is in the cache already
    cached = shutil.copytree(encoder_folder, tmp_path / "encoders" / "tiny-4")
    load_encoder("tiny")
    put_in_place(reads_a_file, cached / "preprocessor")
    with pytest.raises(InvalidInput, match="ReadFile"):
        load_encoder("tiny")
    (cached / "tfrec_encoder.json").write_text("[]")
    with pytest.raises(InvalidInput, match=f"received a list. Delete {cached}: it is the cached tiny, made anew then."):
        load_encoder("tiny")


def test_a_program_put_in_place_after_loading_is_refused(encoder_folder, reads_a_file):
    encoder = load_encoder(encoder_folder)
    put_in_place(reads_a_file, encoder_folder / "encoder")
    with pytest.raises(InvalidInput, match="ReadFile"):
        BehaviourTextModel(encoder, "sigmoid")
    with pytest.raises(InvalidInput, match="ReadFile"):
        encoder.encode(["red"])


def test_the_hash_is_that_of_the_files_whatever_the_folder_claims(tiny_encoder, encoder_folder):
    before = load_encoder(tiny_encoder)
    assert load_encoder(encoder_folder).hash == before.hash
    about = json.loads((encoder_folder / "tfrec_encoder.json").read_text())
    (encoder_folder / "tfrec_encoder.json").write_text(json.dumps({**about, "sha256": "0" * 64}))
    assert load_encoder(encoder_folder).hash == before.hash  # another claim, the same vectors
    weights = encoder_folder / "encoder/variables/variables.data-00000-of-00001"
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])
    (encoder_folder / "tfrec_encoder.json").write_text(json.dumps(about))
    assert load_encoder(encoder_folder).hash != before.hash  # the same claim, other vectors


def test_another_pooling_is_another_encoder(tiny_encoder, encoder_folder):
    about = json.loads((encoder_folder / "tfrec_encoder.json").read_text())
    about["backbone"]["pooling"] = "cls"
    (encoder_folder / "tfrec_encoder.json").write_text(json.dumps(about))
    one, other = load_encoder(tiny_encoder), load_encoder(encoder_folder)
    assert one.hash != other.hash and one.weights_hash != other.weights_hash


def test_pairs_with_one_preprocessor_do_not_share_vectors(tiny_encoder, encoder_folder):
    (encoder_folder / "encoder/assets").mkdir(exist_ok=True)
    (encoder_folder / "encoder/assets/words.txt").write_text("another encoder")
    hashes = [
        encoder_sha256(tiny_encoder / "preprocessor", f / "encoder", None) for f in (tiny_encoder, encoder_folder)
    ]
    one, other = (TextEncoder("", "", dim=8, max_seq_length=8, hash=each) for each in hashes)
    assert EmbeddingStore()._shard_folder(one, 64) != EmbeddingStore()._shard_folder(other, 64)


def test_every_damaged_file_of_a_folder_is_refused_with_its_path_and_a_cure(tiny_encoder, tmp_path):
    found = outcomes(tiny_encoder, load_encoder, tmp_path)
    assert passed(found) == []
    for (name, _), message in found.items():
        assert name in message and "Import the encoder again" in message, (name, message)


def test_damaged_programs_and_weights_of_an_older_folder_are_refused(encoder_folder, tmp_path):
    names = [
        "tfrec_encoder.json",
        "encoder/saved_model.pb",
        "preprocessor/saved_model.pb",
        "encoder/variables/variables.index",
    ]
    found = outcomes(
        encoder_folder, lambda folder: load_encoder(folder).encode(["red"]), tmp_path, (truncated, emptied), names
    )
    assert passed(found) == []
