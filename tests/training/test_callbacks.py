"""What watches a fit: the best weights are averages, and time is told by a clock that the test turns."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from types import SimpleNamespace  # isort: skip

import numpy as np
import pytest
from numpy.testing import assert_allclose

from tfrec.keras import keras
from tfrec.training import callbacks
from tfrec.training.callbacks import BestWeights, TimeBudget


def test_what_is_validated_and_kept_is_the_average_and_training_goes_on_from_the_newest(tmp_path):
    def linear():
        return keras.Sequential([keras.layers.Dense(1, use_bias=False, input_shape=(3,), kernel_initializer="ones")])

    model, validated = linear(), []
    model.compile(keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.8), loss="mse")
    best = BestWeights(
        lambda: validated.append(model.get_weights()[0]) or {"auc": len(validated)}, "auc", tmp_path / "best.h5", 0, 1
    )
    # one input has a 1 in its own place: the weight there moves to 5 by 0.1 · 2 · (5 − weight) a step
    model.fit(np.eye(3, dtype=np.float32)[:1], np.array([[5.0]]), epochs=3, callbacks=[best], verbose=0)
    newest, average = 1.0, 1.0
    for epoch in range(3):
        newest += 0.2 * (5 - newest)
        average = 0.8 * average + 0.2 * newest
        assert_allclose(validated[epoch][:, 0], [average, 1, 1], rtol=1e-5)
    kept = linear()
    kept.load_weights(str(tmp_path / "best.h5"))
    assert_allclose(kept.get_weights()[0][:, 0], [average, 1, 1], rtol=1e-5)


def epochs_done(monkeypatch, minutes, epochs, before=0):
    """How many of `epochs` (minutes each) a budget lets begin, when `before` minutes pass until the first does."""
    clock = SimpleNamespace(now=1234.5)
    monkeypatch.setattr(callbacks, "time", SimpleNamespace(monotonic=lambda: clock.now))
    budget = TimeBudget(minutes)
    budget.set_model(SimpleNamespace(stop_training=False))
    budget.on_train_begin()
    clock.now += 60 * before
    for epoch, length in enumerate(epochs):
        budget.on_epoch_begin(epoch)
        clock.now += 60 * length
        budget.on_epoch_end(epoch)
        if budget.model.stop_training:
            return epoch + 1
    return len(epochs)


@pytest.mark.parametrize(
    ("minutes", "epochs", "done"),
    [
        (10, [3, 3, 3, 3], 3),  # after 9 minutes one more of 3 would end at 12
        (9, [3, 3, 3, 3], 3),  # one that ends with the budget fits
        (10, [5, 2, 2, 2], 2),  # 7 minutes are gone, and an epoch has taken 5 before
        (10, [2, 5, 2, 2], 2),
        (10, [2, 2, 2, 2], 4),
        (1, [7, 7], 1),  # the first is begun
    ],
)
def test_no_epoch_begins_that_would_not_end_within_the_budget_if_it_took_as_long_as_the_longest(
    monkeypatch, minutes, epochs, done
):
    assert epochs_done(monkeypatch, minutes, epochs) == done


def test_the_budget_counts_from_the_start_of_the_fit_and_an_epoch_from_its_own(monkeypatch):
    assert epochs_done(monkeypatch, 10, [2, 2, 2, 2], before=3) == 3  # 9 minutes are gone
    assert epochs_done(monkeypatch, 10, [1, 1, 1, 1], before=5) == 4  # what came before is no part of the longest
