"""The nightly job killed at every step, and on a disk that is full: the next start makes up for it."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import pytest  # isort: skip

from tests.workflows.retrain.ring import Killed
from tfrec.errors import InvalidInput
from tfrec.workflows.retrain import nightly
from tfrec.workflows.retrain.job_state import State


@pytest.mark.slow
def test_a_night_killed_at_every_step_in_turn_ends_as_one_that_was_not(after, monkeypatch):
    save, kills, trained = State.save, set(), []

    def dies_once_a_step(self):
        done = self.night["done"] if self.night else ["end"]
        if done and done[-1] not in kills:
            kills.add(done[-1])
            raise Killed
        save(self)

    fit = nightly.Night._train
    monkeypatch.setattr(nightly.Night, "_train", lambda self: (trained.append(1), fit(self)))
    monkeypatch.setattr(State, "save", dies_once_a_step)
    while True:
        assert after.served() in (1, 2)
        try:
            outcome = after.night(12)
            break
        except Killed:
            continue  # the next turn is the job started again
    assert kills == {*nightly.STEPS, "end"} and len(trained) == 2
    assert outcome["status"] == "promoted" and outcome["version"] == 2 and outcome["night"] == 2
    assert after.served() == 2 and after.versions() == [1, 2]
    assert [one["version"] for one in after.state().champions] == [1, 2] and after.state().night is None
    assert after.night(12)["status"] == "nothing_new"


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_at_its_checkpoint(after, monkeypatch):
    from tfrec.runs import train as trained
    from tfrec.training.callbacks import BestWeights

    validate = BestWeights.on_epoch_end

    def killed(self, epoch, logs=None):
        if epoch == 1:
            raise Killed
        validate(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(BestWeights, "on_epoch_end", killed)
        after.night(12, "training.epochs=3")
    calls = []
    monkeypatch.setattr("tfrec.runs.train", lambda *a, **k: (calls.append(k["resume"]), trained(*a, **k)))
    assert after.night(12, "training.epochs=3")["status"] == "promoted"
    assert calls == [True]


@pytest.mark.slow
def test_an_interrupted_night_starts_anew_when_the_configuration_is_another(quick, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(nightly.Night, "_judge", lambda self: (_ for _ in ()).throw(Killed()))
        quick.night(12)
    assert quick.state().night["done"] == ["prepare", "validate", "train"]
    outcome = quick.night(12, "training.seed=1")
    assert outcome["night"] == 3 and outcome["status"] == "promoted" and outcome["version"] == 2
    assert not (quick.home / "nights" / "0002").exists()


FULL = OSError(28, "No space left on device")
FULL_IN_TENSORFLOW = RuntimeError("UNKNOWN: run/weights/model.h5; No space left on device\n\tmore")


@pytest.mark.slow
@pytest.mark.parametrize(
    "step, error",
    [("prepare", FULL), ("train", FULL_IN_TENSORFLOW), ("judge", FULL), ("export", FULL), ("label", FULL)],
)
def test_a_full_disk_is_one_message_and_the_night_goes_on_later(quick, monkeypatch, step, error):
    def full(*arguments, **options):
        raise error

    with monkeypatch.context() as patch, pytest.raises(InvalidInput, match="disk is full; the served version is as"):
        patch.setattr(nightly.Night, f"_{step}", full)
        quick.night(12)
    assert quick.served() == 1
    outcome = quick.night(12)
    assert outcome["status"] == "promoted" and outcome["version"] == 2 and quick.versions() == [1, 2]


@pytest.mark.slow
def test_a_disk_that_is_full_when_all_but_the_record_is_done_loses_nothing(quick, monkeypatch):
    def full(*arguments, **options):
        raise FULL

    with monkeypatch.context() as patch, pytest.raises(InvalidInput, match="disk is full; version 2 is served already"):
        patch.setattr(nightly, "write_profile", full)
        quick.night(12)
    assert quick.served() == 2 and quick.state().night is not None
    assert quick.night(12)["status"] == "promoted" and quick.versions() == [1, 2]
    assert [one["version"] for one in quick.state().champions] == [1, 2]
