"""Retraining jobs: a new one, one with a first run behind it, and one whose further runs copy that run."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import shutil
from importlib import import_module

import pytest

from tests.workflows.retrain.ring import Job
from tfrec.files import write_json


@pytest.fixture
def job(tmp_path):
    return Job(tmp_path)


@pytest.fixture(scope="session")
def first(tmp_path_factory):
    """A job after its first run. Tests work on a copy."""
    job = Job(tmp_path_factory.mktemp("first"))
    job.outcome = job.retrain(10)
    return job


@pytest.fixture
def after(first, tmp_path):
    """A copy of the job after its first run."""
    job = Job(tmp_path)
    shutil.copytree(first.home, job.home)
    shutil.copytree(first.out, job.out)
    state = json.loads((job.home / "state.json").read_text())
    write_json(job.home / "state.json", {**state, "out": str(job.out)})
    return job


@pytest.fixture
def quick(after, monkeypatch):
    """The same, but further runs copy the trained model and the export: for tests that depend on neither."""

    def train(dataset, out, config, resume=False, force=False):
        shutil.copytree(after.home / "nights" / "0001" / "run", out)

    def export(run, out, version):
        return shutil.copytree(out / "1", out / str(version))

    monkeypatch.setattr("tfrec.runs.train", train)
    monkeypatch.setattr(import_module("tfrec.serving.exporting.export"), "export", export)
    return after
