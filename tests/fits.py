"""What tests of training share: a cache of text vectors, a count of traces, a fit that dies."""

from contextlib import contextmanager

import numpy as np
import pytest


class Killed(BaseException):
    """As a kill: nothing catches it."""


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Texts are read once for all of these tests, and none comes into the cache of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFREC_CACHE", str(tmp_path_factory.getbasetemp() / "training-cache"))
        yield


@pytest.fixture
def traces(monkeypatch):
    """`len(traces)`: how often a step of `fit` was traced, each time with one update of the weights."""
    from tfrec.keras import keras

    found, update = [], keras.optimizers.Optimizer.apply_gradients

    def counted(self, *arguments, **options):
        found.append(self)
        return update(self, *arguments, **options)

    monkeypatch.setattr(keras.optimizers.Optimizer, "apply_gradients", counted)
    return found


@pytest.fixture
def dies_at(monkeypatch):
    """`with dies_at(2): train(…)`: the fit is killed before epoch 2, counted from 0, is validated."""

    @contextmanager
    def within(at):
        from tfrec.training.callbacks import BestWeights

        validate = BestWeights.on_epoch_end

        def killed(self, epoch, logs=None):
            if epoch == at:
                raise Killed
            validate(self, epoch, logs)

        with monkeypatch.context() as patch, pytest.raises(Killed):
            patch.setattr(BestWeights, "on_epoch_end", killed)
            yield

    return within


@pytest.fixture(scope="session")
def text_file(tmp_path_factory):
    """A file of 300 lines that say little else than colours and things, with empty ones between them."""
    path = tmp_path_factory.mktemp("text") / "texts.txt"
    rng = np.random.default_rng(0)
    colours, things = ["red", "blue", "green", "white"], ["shoe", "hat", "coat", "book"]
    path.write_text("\n\n".join(f"a {rng.choice(colours)} {rng.choice(things)} number {n}" for n in range(300)) + "\n")
    return path
