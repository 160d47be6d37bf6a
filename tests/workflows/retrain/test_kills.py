"""A retraining run that is killed at any step, or meets a full disk, is completed by the next start."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import pytest  # isort: skip

from tests.workflows.retrain.ring import Killed
from tfrec.errors import InvalidInput
from tfrec.workflows.retrain import retraining
from tfrec.workflows.retrain.job_state import State


@pytest.mark.slow
@pytest.mark.nightly
def test_a_run_killed_at_every_step_in_turn_ends_like_an_uninterrupted_one(after, monkeypatch):
    save, kills, trained = State.save, set(), []

    def dies_once_a_step(self):
        done = self.unfinished["done"] if self.unfinished else ["end"]
        if done and done[-1] not in kills:
            kills.add(done[-1])
            raise Killed
        save(self)

    fit = retraining.RetrainingRun._train
    monkeypatch.setattr(retraining.RetrainingRun, "_train", lambda self: (trained.append(1), fit(self)))
    monkeypatch.setattr(State, "save", dies_once_a_step)
    while True:
        assert after.served() in (1, 2)
        try:
            outcome = after.retrain(12)
            break
        except Killed:
            continue  # start the job again
    assert kills == {*retraining.STEPS, "end"} and len(trained) == 2
    assert outcome["status"] == "promoted" and outcome["version"] == 2 and outcome["night"] == 2
    assert after.served() == 2 and after.versions() == [1, 2]
    assert [one["version"] for one in after.state().champions] == [1, 2] and after.state().unfinished is None
    assert after.retrain(12)["status"] == "nothing_new"


@pytest.mark.slow
def test_a_killed_training_continues_at_its_checkpoint(after, monkeypatch):
    from tfrec.runs import train as trained
    from tfrec.training.callbacks import BestWeights

    validate = BestWeights.on_epoch_end

    def killed(self, epoch, logs=None):
        if epoch == 1:
            raise Killed
        validate(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(BestWeights, "on_epoch_end", killed)
        after.retrain(12, "training.epochs=3")
    calls = []
    monkeypatch.setattr("tfrec.runs.train", lambda *a, **k: (calls.append(k["resume"]), trained(*a, **k)))
    assert after.retrain(12, "training.epochs=3")["status"] == "promoted"
    assert calls == [True]


@pytest.mark.slow
def test_an_interrupted_run_starts_anew_with_another_configuration(quick, monkeypatch):
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(retraining.RetrainingRun, "_evaluate", lambda self: (_ for _ in ()).throw(Killed()))
        quick.retrain(12)
    assert quick.state().unfinished["done"] == ["prepare", "validate", "train"]
    outcome = quick.retrain(12, "training.seed=1")
    assert outcome["night"] == 3 and outcome["status"] == "promoted" and outcome["version"] == 2
    assert not (quick.home / "nights" / "0002").exists()


FULL = OSError(28, "No space left on device")
FULL_IN_TENSORFLOW = RuntimeError("UNKNOWN: run/weights/model.h5; No space left on device\n\tmore")


@pytest.mark.slow
@pytest.mark.parametrize(
    "step, error",
    [
        ("train", FULL_IN_TENSORFLOW),
        ("export", FULL),
        *(pytest.param(step, FULL, marks=pytest.mark.nightly) for step in ("prepare", "evaluate", "label")),
    ],
)
def test_a_full_disk_is_one_message_and_the_run_continues_later(quick, monkeypatch, step, error):
    def full(*arguments, **options):
        raise error

    with (
        monkeypatch.context() as patch,
        pytest.raises(InvalidInput, match="disk is full; the served version is unchanged"),
    ):
        patch.setattr(retraining.RetrainingRun, f"_{step}", full)
        quick.retrain(12)
    assert quick.served() == 1
    outcome = quick.retrain(12)
    assert outcome["status"] == "promoted" and outcome["version"] == 2 and quick.versions() == [1, 2]


@pytest.mark.slow
def test_a_full_disk_while_the_outcome_is_recorded_loses_nothing(quick, monkeypatch):
    def full(*arguments, **options):
        raise FULL

    with monkeypatch.context() as patch, pytest.raises(InvalidInput, match="disk is full; version 2 is served already"):
        patch.setattr(retraining, "write_profile", full)
        quick.retrain(12)
    assert quick.served() == 2 and quick.state().unfinished is not None
    assert quick.retrain(12)["status"] == "promoted" and quick.versions() == [1, 2]
    assert [one["version"] for one in quick.state().champions] == [1, 2]
