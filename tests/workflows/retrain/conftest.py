"""Nightly jobs: none yet, one with a night behind it, and one whose further nights copy."""

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
    """A job after its first night. Tests work on a copy."""
    job = Job(tmp_path_factory.mktemp("first"))
    job.outcome = job.night(10)
    return job


@pytest.fixture
def after(first, tmp_path):
    """A job of its own with one night behind it."""
    job = Job(tmp_path)
    shutil.copytree(first.home, job.home)
    shutil.copytree(first.out, job.out)
    state = json.loads((job.home / "state.json").read_text())
    write_json(job.home / "state.json", {**state, "out": str(job.out)})
    return job


@pytest.fixture
def quick(after, monkeypatch):
    """The same, whose further nights train and export by copying: for what does not depend on either."""

    def train(dataset, out, config, resume=False):
        shutil.copytree(after.home / "nights" / "0001" / "run", out)

    def export(run, out, version, force):
        shutil.rmtree(out / str(version), ignore_errors=True)
        return shutil.copytree(out / "1", out / str(version))

    monkeypatch.setattr("tfrec.runs.train", train)
    monkeypatch.setattr(import_module("tfrec.serving.exporting.export"), "export", export)
    return after
