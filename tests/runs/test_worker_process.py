"""Which of several training processes writes the run, and where each begins; `train` itself is a stand-in here."""

import json

import pytest

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.files import AlreadyExists
from tfrec.runs.partial_run import PartialRun
from tfrec.runs.worker_process import task_index, train_in_worker, training_job
from tfrec.training.run_layout import CHECKPOINT_FOLDER, CONFIG_FILE, DATA_FILE, MANIFEST_FILE

ON_RAY = RunConfig().with_values({"cluster.engine": "ray"})


class StandIn:
    """`train` that notes how it was called, and what it found to go on from."""

    def __init__(self):
        self.calls = []

    def __call__(self, data, out, config, *, resume, force=False):
        partial = PartialRun(out)
        found = (partial.folder / CHECKPOINT_FOLDER / "state.json").is_file()
        self.calls.append((out, config.training.strategy, config.cluster.engine, resume, force, found))


@pytest.fixture
def worker(monkeypatch):
    def play(index):
        monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {}, "task": {"type": "worker", "index": index}}))

    return play


def interrupted(out, checkpoint=True):
    """A folder as a training leaves it that was killed."""
    folder = PartialRun(out).folder
    folder.mkdir()
    RunConfig().save(folder / CONFIG_FILE)
    (folder / DATA_FILE).write_text('{"fingerprint": "f"}')
    if checkpoint:
        (folder / CHECKPOINT_FOLDER).mkdir()
        (folder / CHECKPOINT_FOLDER / "state.json").write_text("{}")


def test_the_first_process_writes_the_run_and_the_others_a_folder_that_goes(tmp_path, worker):
    job, train = training_job([tmp_path / "data"], tmp_path / "run", ON_RAY, resume=False, force=False), StandIn()
    assert json.loads(json.dumps(job)) == job  # plain values, which any worker can read
    for index in range(2):
        worker(index)
        assert task_index() == index
        train_in_worker(train, job)
    first, second = train.calls
    assert first == (tmp_path / "run", "multi_worker", "none", False, False, False)
    assert second[0] != tmp_path / "run" and not second[0].parent.exists()


def test_after_a_death_all_go_on_from_the_checkpoint_of_the_first(tmp_path, worker):
    job, train = training_job([tmp_path / "data"], tmp_path / "run", ON_RAY, resume=False, force=False), StandIn()
    interrupted(tmp_path / "run")
    for index in range(2):
        worker(index)
        train_in_worker(train, job)
    assert [(resume, found) for *_, resume, _, found in train.calls] == [(True, True)] * 2


def test_what_died_before_its_first_checkpoint_begins_anew(tmp_path, worker):
    job, train = training_job([tmp_path / "data"], tmp_path / "run", ON_RAY, resume=False, force=False), StandIn()
    interrupted(tmp_path / "run", checkpoint=False)
    worker(0)
    train_in_worker(train, job)
    assert train.calls[0][3] is False and not PartialRun(tmp_path / "run").folder.exists()


def test_a_run_that_was_finished_is_not_trained_again_because_another_process_died(tmp_path, worker):
    job, train = training_job([tmp_path / "data"], tmp_path / "run", ON_RAY, resume=False, force=False), StandIn()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / MANIFEST_FILE).write_text("{}")
    worker(1)
    train_in_worker(train, job)
    assert train.calls == []


def test_an_interrupted_run_is_not_begun_again_without_force(tmp_path):
    interrupted(tmp_path / "run")
    with pytest.raises(AlreadyExists, match="--resume to continue"):
        training_job([tmp_path / "data"], tmp_path / "run", ON_RAY, resume=False, force=False)
    training_job([tmp_path / "data"], tmp_path / "run", ON_RAY, resume=False, force=True)
    assert not PartialRun(tmp_path / "run").folder.exists()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("model.kind=behaviour-text", "trains next-item models"),
        ("encoder.trainable=true", "trains next-item models"),
        ("privacy.epsilon=8", "without privacy"),
        ("training.time_budget=1", "would not all stop after the same epoch"),
        ("cluster.min_workers=3", "at most cluster.workers=2, received 3"),
    ],
)
def test_what_several_processes_cannot_train_is_refused(tmp_path, value, message):
    with pytest.raises(InvalidInput, match=message):
        training_job([tmp_path / "data"], tmp_path / "run", ON_RAY.with_values([value]), resume=False, force=False)
