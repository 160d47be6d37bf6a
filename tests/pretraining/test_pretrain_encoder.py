"""Pre-training: a single step, resuming, and the written folder."""

import contextlib
import json

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal

from tests.conftest import TINY_CONFIG, TINY_VOCABULARY
from tests.encoders.checkpoints.random_checkpoints import write_gpt_folder
from tfrec.config import RunConfig
from tfrec.encoders import import_encoder, load_encoder
from tfrec.errors import InvalidInput, TfrecError
from tfrec.keras import keras
from tfrec.pretraining import pretrain_encoder
from tfrec.pretraining.corpus import Corpus
from tfrec.pretraining.language_model_trainer import LanguageTrainer


def config(**values):
    small = {"size": "tiny", "vocab_size": 60, "seq_length": 16, "steps": 6, "batch_size": 8, "checkpoint_every": 2}
    small["head_steps"] = 2
    return RunConfig.from_dict({"pretraining": {**small, "held_out": 0.1, "learning_rate": 2e-3, **values}})


@contextlib.contextmanager
def killed_at(number, monkeypatch):
    """Interrupts a training run at the given step, and fails if it is not reached."""
    step = LanguageTrainer._step

    def killed(self, now, texts):
        if now == number:
            raise KeyboardInterrupt
        return step(self, now, texts)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(LanguageTrainer, "_step", killed)
        yield


@pytest.fixture(scope="module")
def trained(text_file, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained") / "out"
    return pretrain_encoder(out, config(steps=30, checkpoint_every=10), files=[text_file])


@pytest.mark.slow
def test_perplexity_falls_and_is_recorded_in_the_card(trained, text_file):
    card = json.loads((trained / "pretraining.json").read_text())
    assert card["after"]["perplexity"] < 0.7 * card["before"]["perplexity"]
    assert card["after"]["accuracy"] > card["before"]["accuracy"]
    assert [row["step"] for row in card["losses"]] == [10, 20, 30]
    assert card["losses"][-1]["loss"] < card["losses"][0]["loss"]
    assert card["data"] == Corpus(None, [text_file]).sha256
    assert not trained.with_name("out.partial").exists()


@pytest.mark.slow
def test_the_result_is_a_usable_encoder(trained):
    encoder = load_encoder(trained)
    vectors = encoder.encode(["a red shoe", "a blue hat", ""])
    assert vectors.shape == (3, 128) and np.isfinite(vectors).all()
    expected = [
        encoder.encoder(encoder.inputs([text], 16))["pooled_output"][0] for text in ("a red shoe", "a blue hat")
    ]
    assert_allclose(vectors[:2], expected, atol=1e-5)


@pytest.mark.parametrize("family", [pytest.param("bert", marks=pytest.mark.nightly), "gpt"])
@pytest.mark.slow
def test_a_killed_and_resumed_training_ends_with_the_same_weights(tmp_path, text_file, monkeypatch, family):
    options = config(family=family, accumulate=2, steps=5)
    whole = pretrain_encoder(tmp_path / "whole", options, files=[text_file])
    with killed_at(3, monkeypatch):
        pretrain_encoder(tmp_path / "cut", options, files=[text_file])
    with pytest.raises(InvalidInput, match="--resume"):
        pretrain_encoder(tmp_path / "cut", options, files=[text_file])
    with pytest.raises(InvalidInput, match="other texts"):
        pretrain_encoder(tmp_path / "cut", files=[text_file, text_file], resume=True)
    cut = pretrain_encoder(tmp_path / "cut", files=[text_file], resume=True)
    one, other = (json.loads((folder / "tfrec_encoder.json").read_text())["sha256"] for folder in (whole, cut))
    assert one == other
    cards = [json.loads((folder / "pretraining.json").read_text()) for folder in (whole, cut)]
    assert cards[0]["losses"] == cards[1]["losses"] and cards[0]["after"] == cards[1]["after"]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_stops_the_run_and_keeps_the_checkpoint(tmp_path, text_file, monkeypatch):
    gradients = LanguageTrainer._gradients
    calls = []

    def breaks(self, texts, seed, head):
        found = gradients(self, texts, seed, head)
        calls.append(1)
        return (found[0], found[1] * np.nan, found[2]) if len(calls) == 4 else found

    monkeypatch.setattr(LanguageTrainer, "_gradients", breaks)
    with pytest.raises(TfrecError, match="nan at step 4; the checkpoint of step 2 is kept"):
        pretrain_encoder(tmp_path / "out", config(), files=[text_file])
    assert json.loads((tmp_path / "out.partial" / "checkpoint" / "state.json").read_text())["step"] == 2


@pytest.mark.slow
def test_accumulating_two_batches_equals_one_large_batch(tmp_path, text_file):
    from tfrec.encoders import GptConfig, build_gpt
    from tfrec.encoders.tokenization.bert_preprocessor import BertPreprocessor
    from tfrec.encoders.transformers.language_model import LanguageModel

    shape = GptConfig(len(TINY_VOCABULARY), 16, 1, 2, 32, dropout=0.0, attention_dropout=0.0)
    texts = text_file.read_text().split("\n\n")[:8]
    weights = []
    for size, accumulate in ((8, 1), (4, 2)):
        keras.utils.set_random_seed(0)
        encoder = build_gpt(shape)
        options = config(batch_size=size, accumulate=accumulate, steps=1).pretraining
        preprocessor = BertPreprocessor(TINY_VOCABULARY, True, 16)
        trainer = LanguageTrainer(LanguageModel(encoder, shape), preprocessor, None, options, tmp_path / str(size))
        trainer.fit(iter(texts))
        weights.append(encoder.get_weights())
    for one, other in zip(*weights):
        assert_allclose(one, other, atol=2e-4)


@pytest.mark.nightly
@pytest.mark.slow
def test_a_new_head_is_trained_before_the_encoder(tmp_path, tiny_hf_bert, text_file, monkeypatch):
    from tfrec.encoders.checkpoints.huggingface import read_checkpoint

    measure, weights = LanguageTrainer.measure, []

    def measured(self, texts):
        weights.append(self.model.encoder.get_weights())
        return measure(self, texts)

    def card(name, **values):
        out = pretrain_encoder(tmp_path / name, config(**values), files=[text_file], source=str(tiny_hf_bert))
        return json.loads((out / "pretraining.json").read_text())

    monkeypatch.setattr(LanguageTrainer, "measure", measured)
    guess = card("guess", head_steps=0, steps=1)["before"]
    learnt = card("learnt", head_steps=40, steps=1)
    expected = read_checkpoint(tiny_hf_bert).model().get_weights()
    for one, other in zip(weights[2], expected, strict=True):
        assert_array_equal(one, other)
    assert any(np.any(one != other) for one, other in zip(weights[3], expected, strict=True))
    assert learnt["before"]["perplexity"] < 0.7 * guess["perplexity"]
    assert [row["step"] for row in learnt["losses"]][-2:] == [40, 41] and learnt["head_steps"] == 40


@pytest.mark.slow
@pytest.mark.nightly
def test_a_run_killed_during_the_head_steps_resumes_there(tmp_path, tiny_hf_bert, text_file, monkeypatch):
    options = config(head_steps=4, steps=2)
    whole = pretrain_encoder(tmp_path / "whole", options, files=[text_file], source=str(tiny_hf_bert))
    with killed_at(3, monkeypatch):
        pretrain_encoder(tmp_path / "cut", options, files=[text_file], source=str(tiny_hf_bert))
    cut = pretrain_encoder(tmp_path / "cut", files=[text_file], source=str(tiny_hf_bert), resume=True)
    cards = [json.loads((folder / "pretraining.json").read_text()) for folder in (whole, cut)]
    assert cards[0] == cards[1]


@pytest.mark.slow
def test_continuing_starts_from_the_checkpoints_weights(tmp_path, tiny_hf_bert, text_file):
    out = pretrain_encoder(
        tmp_path / "out", config(steps=1, learning_rate=1e-12), files=[text_file], source=str(tiny_hf_bert)
    )
    from tfrec.encoders.checkpoints.huggingface import read_checkpoint

    expected = read_checkpoint(tiny_hf_bert).model().get_weights()
    for one, other in zip(load_encoder(out).encoder.resolved_object.variables, expected):
        assert_allclose(one, other, atol=1e-6)
    assert json.loads((out / "tfrec_encoder.json").read_text())["backbone"]["vocab_size"] == TINY_CONFIG["vocab_size"]
    with pytest.raises(InvalidInput, match="takes 128 tokens"):
        pretrain_encoder(tmp_path / "long", config(seq_length=200), files=[text_file], source=str(tiny_hf_bert))
    assert not list(tmp_path.glob("long*"))


@pytest.mark.nightly
@pytest.mark.slow
@pytest.mark.parametrize("family", ["bert", pytest.param("gpt", marks=pytest.mark.nightly)])
def test_continuing_from_an_encoder_folder_keeps_its_vocabulary_and_weights(tmp_path, text_file, tiny_hf_bert, family):
    source = tiny_hf_bert if family == "bert" else write_gpt_folder(tmp_path / "gpt")
    still = config(steps=1, learning_rate=1e-12)
    first = import_encoder(source, tmp_path / "first")
    second = pretrain_encoder(tmp_path / "second", still, files=[text_file], source=str(first))
    third = pretrain_encoder(tmp_path / "third", still, files=[text_file], source=str(second))
    texts = ["a red shoe", "a blue hat number 7"]
    expected = load_encoder(first).encode(texts)
    for folder in (second, third):
        assert_allclose(load_encoder(folder).encode(texts), expected, atol=1e-5)
    assert json.loads((third / "vocabulary.json").read_text()) == json.loads((first / "vocabulary.json").read_text())


@pytest.mark.slow
def test_an_encoder_folder_without_a_vocabulary_is_refused(tmp_path, text_file, tiny_hf_bert):
    first = import_encoder(tiny_hf_bert, tmp_path / "first")
    (first / "vocabulary.json").unlink()
    with pytest.raises(InvalidInput, match=r"first has no vocabulary.json.*Import or pre-train it again"):
        pretrain_encoder(tmp_path / "second", config(), files=[text_file], source=str(first))
    assert not list(tmp_path.glob("second*"))


@pytest.mark.nightly
@pytest.mark.slow
def test_pre_training_continues_from_a_gpt2_checkpoint(tmp_path, text_file):
    source = write_gpt_folder(tmp_path / "gpt")
    out = pretrain_encoder(
        tmp_path / "out", config(steps=4, mixed_bfloat16=True), files=[text_file], source=str(source)
    )
    card = json.loads((out / "pretraining.json").read_text())
    assert card["family"] == "gpt" and card["after"]["perplexity"] < card["before"]["perplexity"]
    assert np.isfinite(load_encoder(out).encode(["red shoe"])).all()


@pytest.mark.slow
def test_perplexity_and_accuracy_by_hand(tmp_path, text_file):
    from tfrec.encoders import GptConfig, build_gpt
    from tfrec.encoders.tokenization.bert_preprocessor import BertPreprocessor
    from tfrec.encoders.transformers.language_model import LanguageModel

    shape = GptConfig(len(TINY_VOCABULARY), 16, 1, 2, 32)
    encoder = build_gpt(shape)
    model = LanguageModel(encoder, shape)
    preprocessor = BertPreprocessor(TINY_VOCABULARY, True, 16)
    trainer = LanguageTrainer(model, preprocessor, None, config(batch_size=2).pretraining, tmp_path)
    texts = ["red shoe", "a blue hat and a red coat", ""]
    losses, right = [], []
    for text in texts:
        ids = [i for i in preprocessor(tf.constant([text]))["input_word_ids"].numpy()[0] if i]
        whole = {name: tf.constant([ids], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}
        whole["input_mask"] = tf.ones_like(whole["input_mask"])
        hidden = encoder(whole)["sequence_output"].numpy()[0]
        scores = hidden @ model.words.embeddings.numpy().T
        for position, target in enumerate(ids[1:]):
            row = scores[position].astype(np.float64)
            losses.append(np.log(np.exp(row).sum()) - row[target])
            right.append(row.argmax() == target)
    found = trainer.measure(texts)
    assert found["tokens"] == len(losses) == 3 + 8 + 1
    assert_allclose([found["perplexity"], found["accuracy"]], [np.exp(np.mean(losses)), np.mean(right)], rtol=1e-4)
    assert trainer.measure([]) == {}
    assert_array_equal([trainer.measure(texts)["perplexity"]], [found["perplexity"]])


@pytest.mark.nightly
@pytest.mark.slow
def test_a_gradient_that_is_not_finite_does_not_reach_a_checkpoint(tmp_path, text_file, monkeypatch):
    gradients, calls = LanguageTrainer._gradients, []

    def spoilt(self, *arguments):
        found, loss, count = gradients(self, *arguments)
        calls.append(1)
        return ([each * np.nan for each in found] if len(calls) == 4 else found), loss, count

    monkeypatch.setattr(LanguageTrainer, "_gradients", spoilt)
    with pytest.raises(TfrecError, match=r"gradient .* at step 4; the checkpoint of step 2 is kept"):
        pretrain_encoder(tmp_path / "out", config(), files=[text_file])
    monkeypatch.undo()
    out = pretrain_encoder(tmp_path / "out", files=[text_file], resume=True)
    assert np.isfinite(load_encoder(out).encode(["red shoe"])).all()


@pytest.mark.slow
def test_weights_that_are_not_finite_are_not_written(tmp_path, text_file, monkeypatch):
    step = LanguageTrainer._step

    def spoilt(self, now, texts):
        loss = step(self, now, texts)
        if now == 5:  # the last
            self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])
        return loss

    monkeypatch.setattr(LanguageTrainer, "_step", spoilt)
    with pytest.raises(TfrecError, match=r"weight .* at step 6; the checkpoint of step 4 is kept"):
        pretrain_encoder(tmp_path / "out", config(), files=[text_file])
    assert not (tmp_path / "out").exists()


@pytest.mark.nightly
@pytest.mark.slow
def test_incomplete_checkpoints_of_a_killed_run_are_ignored(tmp_path, text_file, monkeypatch):
    with killed_at(3, monkeypatch):
        pretrain_encoder(tmp_path / "cut", config(), files=[text_file])
    (state,) = tmp_path.rglob("state.json")
    (state.parent / "step-4.index").write_bytes(b"half")
    (state.parent / "step-4_temp").mkdir()
    (state.parent / "step-4_temp" / "part").write_bytes(b"half")
    with killed_at(5, monkeypatch):
        pretrain_encoder(tmp_path / "cut", files=[text_file], resume=True)
    assert sorted({path.name.partition(".")[0] for path in state.parent.glob("step-*")}) == ["step-4"]
    pretrain_encoder(tmp_path / "cut", files=[text_file], resume=True)
