"""A pair in the exact form of Google's small_bert and bert_en_uncased_preprocess on TF-Hub.

Built as their exporter builds it: Keras models saved with their metadata; `tokenize` gives words of word pieces (rank
3); `bert_pack_inputs` takes rank 2 and 3, one or two segments and a `seq_length`; the encoder has an `mlm` part.
"""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_text as tf_text
from numpy.testing import assert_allclose

from tests.conftest import TINY_VOCABULARY
from tfrec.encoders import BertConfig, import_encoder, load_encoder
from tfrec.keras import keras

NAMES = ("input_word_ids", "input_mask", "input_type_ids")
START, END = TINY_VOCABULARY.index("[CLS]"), TINY_VOCABULARY.index("[SEP]")


class BertTokenizer(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        ids = tf.lookup.KeyValueTensorInitializer(TINY_VOCABULARY, tf.range(len(TINY_VOCABULARY), dtype=tf.int64))
        table = tf.lookup.StaticVocabularyTable(ids, 1)
        self._tokenizer = tf_text.BertTokenizer(table, lower_case=True, token_out_type=tf.int32)

    def call(self, sentences):
        return self._tokenizer.tokenize(sentences)

    @tf.function(input_signature=[])
    def get_special_tokens_dict(self):
        return {"start_of_sequence_id": tf.constant(START), "end_of_segment_id": tf.constant(END)}


class BertPackInputs(keras.layers.Layer):
    def __init__(self, seq_length):
        super().__init__()
        self.seq_length = seq_length

    def call(self, inputs, seq_length=None):
        seq_length = self.seq_length if seq_length is None else seq_length
        segments = [part.merge_dims(1, 2) if part.shape.rank == 3 else part for part in inputs]
        segments = tf_text.RoundRobinTrimmer(seq_length - len(segments) - 1).trim(segments)
        tokens, types = tf_text.combine_segments(segments, START, END)
        word_ids, mask = tf_text.pad_model_inputs(tokens, seq_length)
        type_ids, _ = tf_text.pad_model_inputs(types, seq_length)
        return dict(zip(NAMES, (word_ids, mask, type_ids)))


class PackWrapper(tf.train.Checkpoint):
    def __init__(self, pack):
        super().__init__()
        self.pack = pack

        @tf.function
        def call(inputs, seq_length):
            return pack.call(inputs, seq_length)

        length = tf.TensorSpec([], tf.int32)
        for segments in (1, 2):
            for rank in (2, 3):
                spec = tf.RaggedTensorSpec([None] * rank, tf.int32)
                call.get_concrete_function([spec] * segments, seq_length=length)
        self.__call__ = call


def google_preprocessor(path):
    sentences = keras.Input((), dtype=tf.string, name="inputs")
    tokenize, pack = BertTokenizer(), BertPackInputs(128)
    tokens = tokenize(sentences)
    preprocessing = keras.Model(sentences, pack([tokens]))
    preprocessing.tokenize = keras.Model(sentences, tokens)
    preprocessing.bert_pack_inputs = PackWrapper(pack)
    preprocessing.save(str(path), save_format="tf", include_optimizer=False)


def google_encoder(path, model):
    inputs = {name: keras.Input((None,), dtype=tf.int32, name=name) for name in NAMES}
    outputs = model(inputs)
    outputs = {name: outputs[name] for name in ("pooled_output", "sequence_output", "encoder_outputs", "default")}
    core = keras.Model(inputs, outputs)
    positions = keras.Input((None,), dtype=tf.int32, name="masked_lm_positions")
    gathered = tf.gather(outputs["sequence_output"], positions, batch_dims=1)
    logits = keras.layers.Dense(len(TINY_VOCABULARY), name="mlm")(gathered)
    core.mlm = keras.Model({**inputs, "masked_lm_positions": positions}, {**outputs, "mlm_logits": logits})
    core.mlm_trainable_variables = core.mlm.trainable_variables
    core.save(str(path), save_format="tf", include_optimizer=False)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    from tfrec.encoders import build_bert

    keras.utils.set_random_seed(0)
    root = tmp_path_factory.mktemp("google")
    config = BertConfig(len(TINY_VOCABULARY), 32, 2, 4, 64, max_positions=512, types=16, pooling="pooler")
    model = build_bert(config)
    google_preprocessor(root / "bert_en_uncased_preprocess")
    google_encoder(root / "small_bert", model)
    return f"{root / 'bert_en_uncased_preprocess'}|{root / 'small_bert'}", model


TEXTS = ["Red SHOE, ünd", "", "the old book of the new song", "red " * 600, "日本 😀"]


@pytest.mark.slow
def test_the_pair_loads_and_gives_the_vectors_of_its_model(pair):
    handles, model = pair
    encoder = load_encoder(handles)
    assert encoder.dim == 32
    expected = [model(encoder.inputs([text], 64))["pooled_output"][0] for text in TEXTS]
    assert_allclose(encoder.encode(TEXTS, batch_size=2), expected, atol=1e-5)
    assert len(np.unique(np.round(expected, 5), axis=0)) == len(TEXTS)


@pytest.mark.slow
def test_its_tokens_equal_those_of_our_preprocessor(pair, tiny_encoder):
    theirs, ours = load_encoder(pair[0]), load_encoder(tiny_encoder)
    for name, value in theirs.inputs(TEXTS, 16).items():
        assert value.numpy().tolist() == ours.inputs(TEXTS, 16)[name].numpy().tolist()


@pytest.mark.slow
def test_the_pair_can_be_imported_and_trained(pair, tmp_path):
    encoder = load_encoder(import_encoder(pair[0], tmp_path / "copy"), trainable=True)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(encoder.encoder(encoder.inputs(["red shoe"], 8), training=True)["pooled_output"] ** 2)
    gradients = tape.gradient(loss, encoder.encoder.trainable_variables)
    assert sum(gradient is not None for gradient in gradients) == 5 + 2 * 12 + 2
