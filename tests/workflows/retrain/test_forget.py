"""Erasure in the home of a retraining job: nothing is left of the people, and the job goes on."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import re
import shutil
from datetime import timedelta

import polars as pl
import pytest

from tests.unfitted_run import unfitted
from tests.workflows.retrain.ring import START, log
from tfrec.errors import InvalidInput
from tfrec.files import read_json, write_json
from tfrec.models.next_item.family import NextItemFamily
from tfrec.runs import Run
from tfrec.serving.exporting.export import run_id
from tfrec.workflows.forget import forget, rebuild
from tfrec.workflows.retrain import rollback
from tfrec.workflows.retrain.releases import verify

GONE = ["u3", "u17"]


@pytest.fixture
def erase(after, monkeypatch):
    """Erases from the folder that the job and its exports are in; models are built and not fitted, exports copied."""
    folder = after.home.parent
    key = folder.parent / f"{folder.name}.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)

    def export(run, out, *, exclude_seen, ranker):
        number = max(map(int, (path.name for path in out.glob("[0-9]*")))) + 1
        shutil.copytree(out / "1", out / str(number))
        about = {**read_json(out / "1" / "tfrec.json"), "run": run_id(run), "version": number}
        write_json(out / str(number) / "tfrec.json", about)
        return out / str(number)

    monkeypatch.setattr(NextItemFamily, "fit", unfitted())
    monkeypatch.setattr(rebuild, "export", export)
    asked = pl.DataFrame({"user_id": GONE})
    return lambda home=folder: forget(home, asked, key=key, receipt=key.with_suffix(".json"), force=True)


def naming(folder):
    """The files that have one of the people: in a table, in any column, or between quotes or as a word of a text."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        if path.suffix == ".parquet":
            frame = pl.read_parquet(path)
            columns = [frame[name].explode() if frame[name].dtype == pl.List else frame[name] for name in frame.columns]
            there = any(column.cast(pl.String).is_in(GONE).any() for column in columns if column.dtype == pl.String)
        else:
            there = bool(re.search(rb"(?<!\w)(u3|u17)(?!\w)", path.read_bytes()))
        found += [path.relative_to(folder).as_posix()] if there else []
    return found


def without(days):
    return log(days).filter(~pl.col("user_id").is_in(GONE))


@pytest.mark.nightly
def test_the_served_model_is_replaced_and_the_next_run_has_nothing_to_do(after, erase):
    assert naming(after.home.parent)  # the scan finds them before
    receipt = erase()
    assert naming(after.home.parent) == receipt["scan"]["found"] == []
    assert list(receipt["datasets"]) == ["home/nights/0001/data"] and list(receipt["runs"]) == ["home/nights/0001/run"]
    assert receipt["exports"] == {"saved_models/ring/1": "saved_models/ring/2"} and after.versions() == [2]
    state, run = after.state(), Run(after.home / "nights" / "0001" / "run")
    assert after.served() == state.current == 2 and verify(state) == run.path
    assert run.manifest["data"] == receipt["datasets"]["home/nights/0001/data"]["after"]
    profile = json.loads((after.home / "nights" / "0001" / "profile" / "profile.json").read_text())
    assert profile["events"] == state.last["events"] == without(10).height
    assert after.retrain(10, events=without(10), now=START + timedelta(days=11))["status"] == "nothing_new"
    assert erase()["users"]["found"] == 0


@pytest.mark.slow
def test_models_to_roll_back_to_go_and_a_refused_one_too(quick, erase, monkeypatch):
    assert quick.retrain(12)["version"] == 2
    refused = {"promote": False, "reasons": [], "rival": "champion"}
    monkeypatch.setattr("tfrec.workflows.retrain.promotion_gate.evaluate_gate", lambda *given: refused)
    assert quick.retrain(14)["status"] == "refused"
    with pytest.raises(InvalidInput, match="exports to .*ring, which is not in"):
        erase(quick.home)
    receipt, state = erase(), quick.state()
    assert naming(quick.home.parent) == receipt["scan"]["found"] == []
    assert list(receipt["runs"]) == ["home/nights/0002/run"]
    assert receipt["removed"] == ["home/nights/0001", "home/nights/0003/run"]
    folders = {f"{path.parent.name}/{path.name}" for path in quick.home.glob("nights/*/*") if path.is_dir()}
    assert folders == {"0002/profile", "0002/run", "0003/data", "0003/profile"}
    erased = receipt["datasets"]["home/nights/0003/data"]["after"]
    assert Run(quick.home / "nights" / "0002" / "run").manifest["data"] == erased
    assert quick.versions() == [3] and [entry["version"] for entry in state.champions] == [quick.served()] == [3]
    assert verify(state) and state.champions[0]["chosen_until"] == state_cut(quick, "0003")
    with pytest.raises(InvalidInput, match="no promoted version older"):
        rollback(quick.home)


def state_cut(job, night):
    return json.loads((job.home / "nights" / night / "data" / "manifest.json").read_text())["cuts"]["test"]
