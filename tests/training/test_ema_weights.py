"""The average of the weights, against the formula."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
from numpy.testing import assert_allclose

from tfrec.keras import keras
from tfrec.training.ema_weights import averaged


def fitted(**options):
    model = keras.Sequential([keras.layers.Dense(1, input_shape=(3,), kernel_initializer="ones")])
    model.compile(keras.optimizers.AdamW(0.1, **options), loss="mse")
    return model


def test_the_average_is_there_within_and_gone_after():
    model = fitted(use_ema=True, ema_momentum=0.5)
    inputs, targets = np.eye(3, dtype=np.float32), np.arange(3.0)[:, None]
    average = model.get_weights()
    for _ in range(3):
        model.train_on_batch(inputs, targets)
        average = [0.5 * old + 0.5 * new for old, new in zip(average, model.get_weights(), strict=True)]
    newest = model.get_weights()
    with averaged(model):
        for found, expected in zip(model.get_weights(), average, strict=True):
            assert_allclose(found, expected, rtol=1e-5)
    for found, expected in zip(model.get_weights(), newest, strict=True):
        assert_allclose(found, expected, rtol=0)


def test_without_an_average_nothing_is_touched():
    model = fitted()
    model.train_on_batch(np.eye(3, dtype=np.float32), np.arange(3.0)[:, None])
    newest = model.get_weights()
    with averaged(model):
        assert_allclose(model.get_weights()[0], newest[0], rtol=0)
