"""A retraining run that is killed at any step, or meets a full disk, is completed by the next start."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import resource  # isort: skip
from importlib import import_module

import pytest

from tests.workflows.retrain.ring import Killed
from tfrec.errors import InvalidInput
from tfrec.files import AlreadyExists, atomic_writes, read_json, write_json
from tfrec.files.disk_full import disk_full_is_told
from tfrec.serving.exporting.server_config_files import label_versions
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
def test_what_killed_processes_left_is_cleared_away_and_a_version_that_was_set_aside_is_served_again(quick):
    (quick.out / "1").rename(quick.out / ".1.old-01234567")
    for left in (quick.out / ".7.tmp-01234567", quick.home / "nights" / ".0009.tmp-01234567"):
        left.mkdir()
    assert quick.retrain(10)["status"] == "nothing_new"
    assert quick.versions() == [1] and not [*quick.out.glob(".*"), *quick.home.glob("nights/.*")]


@pytest.mark.slow
def test_a_version_that_another_export_took_is_left_to_it(quick, monkeypatch):
    module = import_module("tfrec.serving.exporting.export")
    export = module.export

    def overtaken(run, out, version):
        if version == 2:
            (out / "2").mkdir()
            write_json(out / "2" / "tfrec.json", {"name": "theirs", "version": 2})
            raise AlreadyExists
        return export(run, out, version)

    monkeypatch.setattr(module, "export", overtaken)
    assert quick.retrain(12)["version"] == 3 and quick.served() == 3
    assert read_json(quick.out / "2" / "tfrec.json")["name"] == "theirs"


def test_a_disk_that_is_full_from_the_start_is_one_message_too(job):
    """No file may grow, as on a full disk: neither the number in the lock nor the first state can be written."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(InvalidInput, match="The disk is full; the served version is unchanged"):
            job.retrain(10)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_state_and_labels_reach_the_disk_before_they_count(tmp_path, monkeypatch):
    """A power cut right after finds the old file or the new one: the file is synced before it has its name."""
    synced, sync = [], atomic_writes._sync

    def record(path):
        synced.append((path.name, (path / "state.json").exists() if path.is_dir() else path.stat().st_size > 0))
        sync(path)

    monkeypatch.setattr(atomic_writes, "_sync", record)
    State(tmp_path, tmp_path / "shop").save()
    (file, filled), (folder, has_its_name) = synced
    assert file.startswith(".state.json.tmp-") and filled and folder == tmp_path.name and has_its_name
    synced.clear()
    (tmp_path / "shop").mkdir()
    label_versions(tmp_path / "shop", {})
    assert [name.partition(".tmp")[0] for name, _ in synced] == [".models.config", "serving"]


@pytest.mark.nightly
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
        with disk_full_is_told("a file of the step"):  # as all that write files do
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
