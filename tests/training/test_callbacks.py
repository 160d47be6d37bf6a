"""What watches a fit, with a clock that the test turns."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from types import SimpleNamespace  # isort: skip

import pytest

from tfrec.training import callbacks
from tfrec.training.callbacks import TimeBudget


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
        (1, [7, 7], 1),  # one epoch is always done
    ],
)
def test_no_epoch_begins_that_would_not_end_within_the_budget_if_it_took_as_long_as_the_longest(
    monkeypatch, minutes, epochs, done
):
    assert epochs_done(monkeypatch, minutes, epochs) == done


def test_the_budget_counts_from_the_start_of_the_fit_and_an_epoch_from_its_own(monkeypatch):
    assert epochs_done(monkeypatch, 10, [2, 2, 2, 2], before=3) == 3  # 9 minutes are gone
    assert epochs_done(monkeypatch, 10, [1, 1, 1, 1], before=5) == 4  # what came before is no part of the longest
