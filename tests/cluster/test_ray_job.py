"""The manifest of docs/scale.md: its pods are what Kubernetes takes, and its commands what ours take."""

import itertools
import re
import shlex

import pytest
import yaml

from tfrec.config import RunConfig
from tfrec.dev.site import ROOT

JOB = yaml.safe_load((ROOT / "docs" / "examples" / "ray-job.yaml").read_text(encoding="utf-8"))
CLUSTER = JOB["spec"]["rayClusterSpec"]


def commands():
    """The arguments of each tfrec command of the job."""
    _, _, script = shlex.split(JOB["spec"]["entrypoint"])
    return [shlex.split(each.split("tfrec ")[1]) for each in script.split(";") if "tfrec " in each]


def test_the_pods_of_the_job_are_valid():
    kubernetes = pytest.importorskip("kubernetes_validate")
    pods = [CLUSTER["headGroupSpec"], *CLUSTER["workerGroupSpecs"]]
    for number, group in enumerate(pods):
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"p{number}"}, **group["template"]}
        kubernetes.validate(pod, "1.29", strict=True)


def test_the_commands_of_the_job_ask_for_the_workers_that_it_starts():
    found = commands()
    assert [command[0] for command in found] == ["prepare", "train"]
    for command in found:
        values = [value for flag, value in itertools.pairwise(command) if flag == "--set"]
        cluster = RunConfig().with_values(values).cluster
        (workers,) = CLUSTER["workerGroupSpecs"]
        assert cluster.engine == "ray" and cluster.workers == workers["replicas"]
        assert CLUSTER["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"


def test_the_options_of_the_job_are_those_of_the_commands():
    for command in commands():
        source = (ROOT / "tfrec" / "cli" / f"{command[0]}.py").read_text(encoding="utf-8")
        named = {flag[2:] for flag in command if flag.startswith("--") and flag != "--set"}
        assert {name for name in named if not re.search(rf"\b{name}\b", source)} == set()
