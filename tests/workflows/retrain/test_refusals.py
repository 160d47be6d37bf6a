"""What a retraining run refuses: drifted data, clocks that jumped, a second process, bad arguments."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import os
import subprocess
import sys
from datetime import timedelta

import polars as pl
import pytest

from tests.workflows.retrain.ring import START, catalogue, log
from tfrec.errors import InvalidInput
from tfrec.workflows.retrain import Busy, rollback
from tfrec.workflows.retrain.job_state import locked


def refused(job, match, *settings, **options):
    """Asserts that the run is refused with a message and leaves nothing behind."""
    before = (job.home / "state.json").read_text() if (job.home / "state.json").is_file() else None
    with pytest.raises(InvalidInput, match=match):
        job.retrain(options.pop("days", 12), *settings, **options)
    if before is not None:
        kept, was = json.loads((job.home / "state.json").read_text()), json.loads(before)
        assert {**kept, "nights": 0} == {**was, "nights": 0} and job.versions() == [1] and job.served() == 1
        assert [path.name for path in (job.home / "nights").iterdir()] == ["0001"]


@pytest.mark.slow
def test_drifted_data_is_refused(quick):
    events, newer = log(12), pl.col("timestamp") >= START + timedelta(days=10)
    refused(quick, "33% of the items of the served run's catalogue are gone", items=catalogue(8))
    refused(
        quick,
        "90% of the events up to 2024-01-10 00:00:39, the newest of the served run, are gone",
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
    refused(quick, "80 events arrived since the served run, and none is later than 2024-01-10 00:00:39", events=late)
    refused(quick, "clock says 2024-01-05 00:00, the last run was at 2024-01-11", now=START + timedelta(days=4))
    refused(quick, "79 events are dated more than a day ahead", days=14, now=START + timedelta(days=11))
    assert quick.retrain(12, events=late, force=True)["status"] in ("promoted", "refused")


@pytest.mark.slow
def test_a_second_process_learns_which_one_holds_the_lock(job):
    with locked(job.home), pytest.raises(Busy, match=f"Process {os.getpid()} is retraining") as error:
        job.retrain(10)
    assert error.value.exit_code == 4
    held = (
        "import sys; from tfrec.workflows.retrain.job_state import locked\n"
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


def test_a_job_that_lost_its_state_does_not_begin_over_the_runs_of_before(job):
    (job.home / "nights" / "0001" / "run").mkdir(parents=True)
    with pytest.raises(InvalidInput, match="state.json is gone"):
        job.retrain(10)
    assert (job.home / "nights" / "0001" / "run").is_dir()


def test_bad_arguments_are_refused(job, tmp_path):
    with pytest.raises(InvalidInput, match="next-item"):
        job.retrain(10, "model.kind=behaviour-text")
    with pytest.raises(InvalidInput, match="does not exist"):
        rollback(tmp_path / "nowhere")
    with pytest.raises(InvalidInput, match="retrain.metric"):
        job.retrain(10, "retrain.metric=ndgc@10")
    (job.home).mkdir()
    with pytest.raises(InvalidInput, match="has not retrained anything yet"):
        rollback(job.home)
    (job.home / "state.json").write_text('{"format": 7}')
    with pytest.raises(InvalidInput, match="format 1"):
        job.retrain(10)
    (job.home / "state.json").write_text('{"format"')
    with pytest.raises(InvalidInput, match="not valid JSON"):
        job.retrain(10)
