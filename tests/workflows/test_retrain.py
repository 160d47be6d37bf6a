"""The nightly job on a small log: nights, kills at every step, refusals, the way back."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
from datetime import UTC, datetime, timedelta
from importlib import import_module

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.errors import InvalidInput
from tfrec.files import write_json
from tfrec.workflows.retrain import Busy, nightly, release, retrain, rollback
from tfrec.workflows.retrain.state import State, locked

START = datetime(2024, 1, 1, tzinfo=UTC)
USERS, ITEMS = 40, 12


def log(days, users=USERS):
    """Users who walk round a ring of 12 items, a step a day."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{u}", f"i{(start + day) % ITEMS}", "view", START + timedelta(days=day, seconds=int(u)))
        for u, start in enumerate(rng.integers(0, ITEMS, users))
        for day in range(days)
    ]
    return pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")


def catalogue(items=ITEMS):
    return pl.DataFrame({"item_id": [f"i{i}" for i in range(items)], "title": [f"thing {i}" for i in range(items)]})


SMALL = [
    *("training.learning_rate=0.03", "training.balance=false", "model.neighbour_window=1"),
    "retrieval.exclude_seen=false",  # after eleven days on the ring, masking alone would find the twelfth item
    *("model.dim=8", "model.heads=2", "model.layers=1", "model.use_text=false", "model.max_history=8"),
    *(
        "training.batch_size=64",
        "training.epochs=1",
        "retrain.check=false",
        "export.max_k=5",
        "export.exclude_length=4",
    ),
    *("export.candidates_length=2", "export.allow_length=1"),
]


class Job:
    """`night(days)` retrains on the log up to then, a day after its last event."""

    def __init__(self, folder):
        self.home, self.out = folder / "nightly", folder / "saved_models" / "ring"

    def night(self, days, *settings, events=None, items=None, now=None, **options):
        config = RunConfig().with_values([*SMALL, *settings])
        events = log(days) if events is None else events
        items = catalogue() if items is None else items
        now = now or START + timedelta(days=days)
        return retrain(events, items, self.home, self.out, config=config, now=now, **options)

    def served(self):
        return release.labels(self.out).get("stable")

    def versions(self):
        return sorted(int(path.name) for path in self.out.iterdir() if path.name.isdecimal())

    def state(self):
        return State(self.home)


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A job after its first night. Tests work on a copy."""
    job = Job(tmp_path_factory.mktemp("first"))
    job.outcome = job.night(10)
    return job


@pytest.fixture
def after(first, tmp_path):
    """A job of its own with one night behind it."""
    import shutil

    job = Job(tmp_path)
    shutil.copytree(first.home, job.home)
    shutil.copytree(first.out, job.out)
    state = json.loads((job.home / "state.json").read_text())
    write_json(job.home / "state.json", {**state, "out": str(job.out)})
    return job


@pytest.fixture
def quick(after, monkeypatch):
    """The same, whose further nights train and export by copying: for what does not depend on either."""
    import shutil

    def train(dataset, out, config, resume=False):
        shutil.copytree(after.home / "nights" / "0001" / "run", out)

    def export(run, out, version, force):
        shutil.rmtree(out / str(version), ignore_errors=True)
        return shutil.copytree(out / "1", out / str(version))

    monkeypatch.setattr("tfrec.training.train", train)
    monkeypatch.setattr(import_module("tfrec.serving.export"), "export", export)
    return after


@pytest.mark.slow
def test_the_first_night_is_measured_against_popularity_and_served(first):
    outcome = first.outcome
    assert outcome["status"] == "promoted" and outcome["version"] == 1 and outcome["start"] == "anew"
    assert outcome["gate"]["rival"] == "popularity" and outcome["gate"]["users"] == USERS
    assert [row["metric"] for row in outcome["gate"]["metrics"]] == ["ndcg@10", "recall@10", "coverage@10"]
    assert first.served() == 1 and first.versions() == [1]
    json.dumps(outcome)


@pytest.mark.slow
def test_the_next_night_starts_warm_and_is_served_under_the_next_number(after):
    outcome = after.night(12)
    assert outcome["status"] == "promoted" and outcome["start"] == "warm"
    assert (outcome["version"], outcome["previous"], outcome["new_events"]) == (2, 1, 2 * USERS)
    assert outcome["gate"]["rival"] == "champion" and outcome["gate"]["new_to_champion"]
    assert after.served() == 2 and after.versions() == [1, 2]
    run = after.home / "nights" / "0002" / "run"
    assert "0001/run" in (run / "config.yaml").read_text()


@pytest.mark.slow
def test_a_night_without_new_events_changes_nothing_and_says_so(quick, capsys):
    before = (quick.home / "state.json").read_text()
    outcome = quick.night(10)
    assert outcome == {"status": "nothing_new", "night": 2, "version": 1, "events": 400, "new_events": 0}
    assert "No new events" in capsys.readouterr().err
    assert (quick.home / "state.json").read_text() == before
    assert [path.name for path in (quick.home / "nights").iterdir()] == ["0001"]


class Killed(BaseException):
    pass


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
    from tfrec.training import train as trained
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
    monkeypatch.setattr("tfrec.training.train", lambda *a, **k: (calls.append(k["resume"]), trained(*a, **k)))
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


@pytest.mark.slow
def test_a_challenger_that_does_not_pass_the_gate_is_not_exported(quick):
    outcome = quick.night(12, "retrain.min_users=1000")
    assert outcome["status"] == "refused" and outcome["version"] == 1
    assert outcome["gate"]["reasons"] == ["only 40 users in the newest window, expected 1000"]
    assert quick.served() == 1 and quick.versions() == [1]
    assert quick.night(12, "retrain.min_users=1000")["status"] == "nothing_new"
    assert quick.night(12, force=True)["status"] == "promoted"


@pytest.mark.slow
def test_a_challenger_that_is_worse_stays_at_home(after):
    untrained = ("training.learning_rate=1e-9", "model.neighbours=0", "model.repeat_bias=false")
    outcome = after.night(12, *untrained, anew=True)
    assert outcome["status"] == "refused" and outcome["start"] == "anew" and outcome["version"] == 1
    (row,) = [row for row in outcome["gate"]["metrics"] if row["metric"] == "ndcg@10"]
    assert row["challenger"] < row["champion"] and not row["holds"]
    assert any("ndcg@10" in reason for reason in outcome["gate"]["reasons"])
    assert after.served() == 1 and after.versions() == [1]
    assert [one["version"] for one in after.state().champions] == [1]


@pytest.mark.slow
def test_rollback_serves_the_version_before_and_the_next_night_starts_from_it(quick):
    quick.night(12)
    assert rollback(quick.home) == {"status": "rolled_back", "version": 1, "from": 2}
    assert quick.served() == 1
    with pytest.raises(InvalidInput, match="no promoted version older"):
        rollback(quick.home)
    outcome = quick.night(14, "retrain.keep=2")
    assert outcome["version"] == 3 and outcome["previous"] == 1 and outcome["deleted_versions"] == [2]
    assert quick.versions() == [1, 3]
    assert rollback(quick.home)["version"] == 1
    assert sorted(path.name for path in (quick.home / "nights").iterdir()) == ["0001", "0003"]
    assert not (quick.home / "nights" / "0001" / "data").exists()


@pytest.mark.slow
def test_other_labels_stay_and_their_versions_with_them(quick):
    from tfrec.serving.config_files import label_versions

    label_versions(quick.out, {"stable": 1, "canary": 1})
    quick.night(12, "retrain.keep=2")
    assert release.labels(quick.out) == {"canary": 1, "stable": 2}
    quick.night(14, "retrain.keep=2")
    assert quick.night(16, "retrain.keep=2")["deleted_versions"] == [2]
    assert quick.versions() == [1, 3, 4]


@pytest.mark.slow
def test_a_damaged_champion_is_named_before_any_work_and_rollback_leaves_it(quick):
    quick.night(12)
    weights = quick.home / "nights" / "0002" / "run" / "weights" / "model.weights.h5"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match=r"0002/run \(version 2\) is not what was promoted.*--rollback"):
        quick.night(14)
    assert rollback(quick.home)["version"] == 1
    assert quick.night(14)["status"] == "promoted"


@pytest.mark.slow
def test_a_champion_that_is_gone_is_named_too(quick):
    import shutil

    shutil.rmtree(quick.home / "nights" / "0001" / "run")
    with pytest.raises(InvalidInput, match=r"0001/run \(version 1\) is not what was promoted"):
        quick.night(12)
    assert quick.served() == 1 and quick.versions() == [1]


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


@pytest.mark.slow
def test_new_kinds_of_event_are_learnt_from_scratch(after):
    events = log(12)
    shared = events.filter(pl.col("timestamp") >= START + timedelta(days=10)).head(2)
    events = pl.concat([events, shared.with_columns(event=pl.lit("share"))])
    outcome = after.night(12, events=events)
    assert outcome["start"] == "anew" and outcome["status"] == "promoted"
    assert outcome["gate"]["rival"] == "champion"


def refused(job, match, *settings, **options):
    """The night is refused with a message, and leaves nothing behind."""
    before = (job.home / "state.json").read_text() if (job.home / "state.json").is_file() else None
    with pytest.raises(InvalidInput, match=match):
        job.night(options.pop("days", 12), *settings, **options)
    if before is not None:
        kept, was = json.loads((job.home / "state.json").read_text()), json.loads(before)
        assert {**kept, "nights": 0} == {**was, "nights": 0} and job.versions() == [1] and job.served() == 1
        assert [path.name for path in (job.home / "nights").iterdir()] == ["0001"]


@pytest.mark.slow
def test_data_that_is_not_what_it_was_is_refused(quick):
    events, newer = log(12), pl.col("timestamp") >= START + timedelta(days=10)
    refused(quick, "33% of the items of the last run's catalogue are gone", items=catalogue(8))
    refused(
        quick,
        "90% of the events up to the last run's",
        events=events.filter(pl.col("timestamp") >= START + timedelta(days=9)),
    )
    refused(quick, "have no column 'user_id'; found 'userId'", events=events.rename({"user_id": "userId"}))
    refused(quick, "items lost the columns 'title'.*renamed", items=catalogue().rename({"title": "name"}))
    refused(quick, "PSI .* unused columns of the events: 'kind'", events=events.rename({"event": "kind"}))
    strange = events.with_columns(item_id=pl.when(newer).then(pl.lit("x") + pl.col("item_id")).otherwise("item_id"))
    refused(quick, "100% of the new events are on items of no catalogue", events=strange)


@pytest.mark.slow
def test_clocks_that_jump_are_refused(quick):
    events = log(12)
    back = pl.when(pl.col("timestamp") >= START + timedelta(days=10)).then(
        pl.col("timestamp") - timedelta(days=9, seconds=500)
    )
    late = events.with_columns(timestamp=back.otherwise("timestamp"))
    refused(quick, "80 events came in since the last run and none lies after 2024-01-10 00:00:39", events=late)
    refused(quick, "clock says 2024-01-05 00:00, the last run was at 2024-01-11", now=START + timedelta(days=4))
    refused(quick, "79 events are dated more than a day ahead", days=14, now=START + timedelta(days=11))
    assert quick.night(12, events=late, force=True)["status"] in ("promoted", "refused")


def test_a_second_copy_is_told_which_process_is_there(job):
    import os
    import subprocess
    import sys

    with locked(job.home), pytest.raises(Busy, match=f"Process {os.getpid()} is retraining") as error:
        job.night(10)
    assert error.value.exit_code == 4
    held = (
        "import sys; from tfrec.workflows.retrain.state import locked\n"
        "with locked(sys.argv[1]): print(1, flush=True); input()"
    )
    other = subprocess.Popen([sys.executable, "-c", held, job.home], stdin=-1, stdout=-1)
    other.stdout.readline()
    with pytest.raises(Busy, match=f"Process {other.pid} "):
        rollback(job.home)
    other.kill()
    other.communicate()
    with locked(job.home):
        pass


def test_bad_arguments_are_refused(job, tmp_path):
    with pytest.raises(InvalidInput, match="next-item"):
        job.night(10, "model.kind=behaviour-text")
    with pytest.raises(InvalidInput, match="not there"):
        rollback(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="retrain.metric"):
        job.night(10, "retrain.metric=ndgc@10")
    (job.home).mkdir()
    with pytest.raises(InvalidInput, match="has not retrained anything yet"):
        rollback(job.home)
    (job.home / "state.json").write_text('{"format": 7}')
    with pytest.raises(InvalidInput, match="format 1"):
        job.night(10)
    (job.home / "state.json").write_text('{"format"')
    with pytest.raises(InvalidInput, match="not valid JSON"):
        job.night(10)
