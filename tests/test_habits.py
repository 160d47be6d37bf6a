"""The habits of the repository: one version everywhere, pinned workflows, hooks that run, promises that are kept."""

import configparser
import datetime
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

import tfrec

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def text(name):
    return (ROOT / name).read_text(encoding="utf-8")


def setup():
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def supported_pythons():
    found = re.findall(r"Programming Language :: Python :: (3\.\d+)", setup()["metadata"]["classifiers"])
    return sorted(found, key=Version)


# Versions


def releases():
    """(version, date) of each dated section of the changelog, newest first."""
    return re.findall(r"^## (\d+\.\d+\.\d+) - (\d{4}-\d{2}-\d{2})$", text("CHANGELOG.md"), re.MULTILINE)


def test_code_changelog_citation_and_security_policy_have_one_version():
    citation = yaml.safe_load(text("CITATION.cff"))
    version, date = releases()[0]
    assert version == tfrec.__version__ == citation["version"]
    assert date == citation["date-released"] and datetime.date.fromisoformat(date)
    minor = ".".join(version.split(".")[:2])
    assert f"| {minor}.x | yes |" in text("SECURITY.md")


def test_the_changelog_goes_from_unreleased_to_the_oldest():
    sections = re.findall(r"^## (.+)$", text("CHANGELOG.md"), re.MULTILINE)
    assert sections[0] == "[Unreleased]" and len(sections) == len(releases()) + 1
    versions = [Version(version) for version, _ in releases()]
    assert versions == sorted(set(versions), reverse=True)
    dates = [date for _, date in releases()]
    assert dates == sorted(dates, reverse=True)


def test_the_citation_is_one_and_has_the_packages_licence():
    check_schema("vendor.citation-file-format", ROOT / "CITATION.cff")
    assert yaml.safe_load(text("CITATION.cff"))["license"] == setup()["metadata"]["license"] == "Apache-2.0"
    assert "Apache License" in text("LICENSE")


def test_no_deprecation_outlives_the_version_that_it_names():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "tfrec").rglob("*.py")]
    assert overdue(sources, Version(tfrec.__version__)) == []


def overdue(sources, now):
    """What is wrong with deprecations: those that name no version to go in, and those whose version is there."""
    wrong = []
    for source in sources:
        for call in re.findall(r"warnings\.warn\((.*?)DeprecationWarning", source, re.DOTALL):
            named = re.search(r"goes in tfrec (\d+\.\d+)", call)
            if named is None or Version(named[1]) <= now:
                wrong.append(call.strip())
    return wrong


def test_a_deprecation_without_a_version_or_past_it_is_found():
    warn = 'warnings.warn("x is deprecated{}; use y", DeprecationWarning, stacklevel=2)'
    good, late, silent = (warn.format(said) for said in (" and goes in tfrec 0.4", " and goes in tfrec 0.3", ""))
    assert overdue([good], Version("0.3.1")) == []
    assert len(overdue([good, late, silent], Version("0.3.1"))) == 2


# CI


def check_schema(schema, *paths):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *map(str, paths)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_workflows_are_what_github_reads():
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "nightly.yml"]
    check_schema("vendor.github-workflows", *WORKFLOWS)
    check_schema("vendor.dependabot", ROOT / ".github" / "dependabot.yml")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_pin_their_actions_and_may_only_read(path):
    source = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (.+)", source)
    assert used and all(re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line) for line in used)
    workflow = yaml.safe_load(source)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job and job["timeout-minutes"] <= 240
        checkout = next(step for step in job["steps"] if step.get("uses", "").startswith("actions/checkout"))
        assert checkout["with"]["persist-credentials"] is False


def test_ci_runs_its_command_on_every_supported_python_with_the_pins():
    jobs = yaml.safe_load(text(".github/workflows/ci.yml"))["jobs"]
    assert jobs["tests"]["strategy"]["matrix"]["python"] == supported_pythons() == ["3.11", "3.12", "3.13"]
    assert jobs["tests"]["steps"][-1] == {"run": ".ci/run"}
    assert {"run": "python -m tfrec.dev docs"} in jobs["docs"]["steps"]
    script = text(".ci/run")
    assert script.index('export PIP_CONSTRAINT="$PWD/constraints.txt"') < script.index('sh -c "$command"')


def test_the_nightly_jobs_are_commands_that_exist():
    from tfrec.dev.__main__ import command_line

    jobs = yaml.safe_load(text(".github/workflows/nightly.yml"))["jobs"]["long"]["strategy"]["matrix"]["include"]
    commands = [job["command"] for job in jobs]
    assert "python -m pytest -m nightly" in commands
    ours = [command.split()[3:] for command in commands if command.startswith("python -m tfrec.dev ")]
    assert [command_line().parse_args(arguments).command for arguments in ours] == ["coverage", "smoke"]


# Hooks


def hooks():
    return yaml.safe_load(text(".pre-commit-config.yaml"))["repos"][0]["hooks"]


def test_hooks_run_installed_tools_and_fetch_nothing():
    repositories = yaml.safe_load(text(".pre-commit-config.yaml"))["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    entries = [hook["entry"].split() for hook in hooks()]
    assert all(entry[0] == ".ci/tool" for entry in entries)
    beside = Path(sys.executable).parent
    assert [entry[1] for entry in entries if not shutil.which(entry[1], path=beside)] == []
    assert {"ruff-format", "ruff-check", "codespell", "end-of-file", "mypy"} <= {hook["id"] for hook in hooks()}


def test_pre_commit_takes_its_settings():
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(ROOT / ".pre-commit-config.yaml")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("there, expected", [(True, "of .venv"), (False, "of the path")])
def test_a_hooks_tool_is_that_of_the_virtual_environment_where_there_is_one(tmp_path, monkeypatch, there, expected):
    for folder, said in ((tmp_path / "path", "of the path"), (tmp_path / ".venv" / "bin", "of .venv")):
        if there or folder.name == "path":
            folder.mkdir(parents=True)
            (folder / "thing").write_text(f'#!/bin/sh\necho "{said}" "$@"\n')
            (folder / "thing").chmod(0o755)
    (tmp_path / ".ci").mkdir()
    shutil.copy2(ROOT / ".ci" / "tool", tmp_path / ".ci" / "tool")
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    done = subprocess.run([".ci/tool", "thing", "a b"], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == f"{expected} a b\n"


# Promises


@pytest.mark.slow
def test_the_security_policy_names_the_limits_that_hold():
    from tfrec.serving.local.limits import Limits
    from tfrec.serving.local.options import ServerOptions

    policy, limits = text("SECURITY.md"), Limits()
    assert f"at most {limits.max_body_bytes // 2**20} MB" in policy
    assert f"{limits.max_request_rows:,} rows" in policy
    assert f"At most {limits.max_waiting:,} requests wait" in policy
    assert f"At most {limits.max_connections:,} REST connections" in policy
    times = "headers of a request may take {:g} s, its body {:g} s, and a connection may be idle for {:g} s"
    times = times.format(limits.header_seconds, limits.body_seconds, limits.idle_seconds)
    assert times in " ".join(policy.split())
    assert f"for up to {ServerOptions().grace_seconds:g} s" in policy
    assert f"listens on {ServerOptions().host} unless" in policy


def test_the_security_policy_names_files_that_are_there():
    named = re.findall(r"`(tfrec/[\w/]+\.py)`", text("SECURITY.md"))
    assert named and [name for name in named if not (ROOT / name).is_file()] == []


def test_complexity_and_naming_are_looked_at():
    command = [sys.executable, "-m", "ruff", "check", "--show-settings", str(ROOT / "tfrec" / "errors.py")]
    settings = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    for code in ("C901", "N801", "PLR0912", "PLR0913", "PLR0915", "RUF100"):
        assert f"({code})" in settings, code
    assert json.loads(re.search(r"mccabe\.max_complexity = (\d+)", settings)[1]) == 10
