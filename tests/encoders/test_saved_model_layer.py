"""SavedModelLayer does what hub.KerasLayer does, which goes on loading our encoders."""

import re
import tokenize
from io import StringIO
from pathlib import Path

import pytest
import tensorflow as tf
import tensorflow_hub as hub
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.encoders.litert import LiteRTProgram
from tfrec.encoders.saved_model_layer import SavedModelLayer
from tfrec.errors import InvalidInput
from tfrec.keras import keras

SOURCES = Path(__file__).resolve().parents[2] / "tfrec"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A SavedModel with TF-Hub's interface: multiplies by `by`, in training also by `more`, and adds `fixed`."""
    by, more = tf.Variable([2.0, 2.0], name="by"), tf.Variable(3.0, name="more")
    fixed = tf.Variable(5.0, trainable=False, name="fixed")

    @tf.function
    def call(numbers, training=False):
        return numbers * (by * more if training else by) + fixed

    for training in (False, True):
        call.get_concrete_function(tf.TensorSpec([None, 2]), training=training)
    saved = tf.train.Checkpoint()
    saved.__call__, saved.variables, saved.trainable_variables = call, [fixed, by, more], [by, more]
    saved.regularization_losses = [tf.function(lambda: tf.reduce_sum(by), input_signature=[])]
    path = str(tmp_path_factory.mktemp("saved") / "scale")
    tf.saved_model.save(saved, path)
    return path


def both(folder, **options):
    return SavedModelLayer(tf.saved_model.load(folder), **options), hub.KerasLayer(folder, **options)


@pytest.mark.slow
@pytest.mark.parametrize("trainable", [False, True])
def test_weights_losses_and_values_are_those_of_hubs_layer(tiny_encoder, trainable):
    ours, theirs = both(str(tiny_encoder / "encoder"), trainable=trainable)
    inputs = {name: tf.ones([1, 4], tf.int32) for name in ("input_word_ids", "input_mask", "input_type_ids")}
    assert [weight.name for weight in ours.weights] == [weight.name for weight in theirs.weights]
    assert len(ours.trainable_weights) == len(theirs.trainable_weights) == (29 if trainable else 0)
    for training in (None, False, True):
        left, right = (layer(inputs, training=training)["pooled_output"] for layer in (ours, theirs))
        assert_array_equal(left, right)


def test_training_reaches_the_saved_model_only_while_the_layer_is_trainable(folder):
    layer, _ = both(folder, trainable=True)
    numbers = tf.constant([[1.0, 10.0]])
    assert layer(numbers, training=True).numpy().tolist() == [[11.0, 65.0]]  # 1 · 2 · 3 + 5, 10 · 2 · 3 + 5
    assert layer(numbers).numpy().tolist() == [[7.0, 25.0]]
    layer.trainable = False
    assert layer(numbers, training=True).numpy().tolist() == [[7.0, 25.0]]


@pytest.mark.slow
def test_a_functional_model_trains_its_weights_and_is_saved_again(folder, tmp_path):
    layer, _ = both(folder, trainable=True)
    numbers = keras.Input((2,))
    model = keras.Model(numbers, layer(numbers))
    assert [loss.numpy() for loss in model.losses] == [4.0]  # 2 + 2
    model.compile("sgd", "mse")
    model.fit(tf.ones([4, 2]), tf.zeros([4, 2]), verbose=0)
    by, more, fixed = (weight.numpy() for weight in layer.weights)
    assert by[0] < 2 and more < 3 and fixed == 5
    tf.saved_model.save(model, str(tmp_path / "again"))
    again = tf.saved_model.load(str(tmp_path / "again"))
    assert_allclose(again(tf.ones([1, 2]), training=False), model(tf.ones([1, 2])), atol=1e-6)


def test_a_saved_model_with_signatures_only_is_refused():
    with pytest.raises(TypeError, match="signatures only"):
        SavedModelLayer(tf.Module())


def sources_with(word):
    """File name to code, without strings and comments, of the modules that have a word."""
    for path in SOURCES.rglob("*.py"):
        source = path.read_text("utf-8")
        if word in source:
            tokens = tokenize.generate_tokens(StringIO(source).readline)
            yield path.name, [token.string for token in tokens if token.type not in (tokenize.STRING, tokenize.COMMENT)]


def test_tensorflow_hub_only_downloads_and_tf_lite_only_converts():
    """The next TensorFlow may come without either: one file each knows them."""
    assert [name for name, code in sources_with("tensorflow_hub") if "tensorflow_hub" in code] == ["hub_handles.py"]
    users = {name: " ".join(code) for name, code in sources_with("lite") if "lite" in code}
    parts = {name: set(re.findall(r"tf \. lite \. (\w+)", code)) for name, code in users.items()}
    assert parts == {"litert.py": {"TFLiteConverter", "Optimize"}}


@pytest.mark.usefixtures("litert")
def test_what_is_no_program_is_refused():
    with pytest.raises(InvalidInput, match="Expected a LiteRT program"):
        LiteRTProgram(b"no program")
