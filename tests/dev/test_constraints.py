"""The pins that CI installs: what is written, and that they fit what setup.cfg asks for."""

import configparser
import re
import subprocess
from pathlib import Path

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tfrec.dev.constraints import HEADER, pinned_lines, renew_constraints
from tfrec.errors import Unavailable

ROOT = Path(__file__).resolve().parents[2]
PYTHONS = ("3.11", "3.12", "3.13")


def resolved_by_uv(monkeypatch, code=0, out="", err=""):
    """Makes uv answer this; returns the commands that it got."""
    commands = []

    def run(command, **_):
        commands.append(command)
        return subprocess.CompletedProcess(command, code, out, err)

    monkeypatch.setattr(subprocess, "run", run)
    return commands


def pins(python):
    """Name to version of what the file gives to one Python; fails where it gives two."""
    environment = {"python_version": python, "python_full_version": f"{python}.9"}
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        pin, _, marker = line.partition(" ; ")
        assert re.fullmatch(r"[a-z0-9-]+==[0-9][0-9A-Za-z.+]*", pin), line
        if not marker or Marker(marker).evaluate(environment):
            name, version = pin.split("==")
            assert name not in found, line
            found[name] = version
    return found


def requirements():
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    listed = [setup["options"]["install_requires"], *setup["options.extras_require"].values()]
    lines = [line for text in listed for line in text.splitlines() if line and not line.startswith("#")]
    return [Requirement(line) for line in lines if not line.startswith("tfrec-bert[")]


@pytest.mark.parametrize("python", PYTHONS)
def test_every_requirement_has_a_pin_that_it_accepts(python):
    pinned = pins(python)
    wrong = [
        str(wanted)
        for wanted in requirements()
        if not wanted.specifier.contains(pinned[canonicalize_name(wanted.name)])
    ]
    assert wrong == []
    assert len(pinned) > 150  # and what they bring


def test_the_file_names_no_index_and_says_who_writes_it():
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert text.startswith(HEADER) and "tfrec.dev constraints" in HEADER
    assert not re.search(r"://|--(extra-)?index|--find-links|@", text)


def test_a_marker_stands_only_where_versions_differ():
    resolved = (
        "a==1 ; python_full_version < '3.14' and sys_platform == 'linux'\n"
        "b==1 ; python_full_version < '3.12' and sys_platform == 'linux'\n"
        "b==2 ; python_full_version >= '3.12' and python_full_version < '3.14' and sys_platform == 'linux'\n"
        "c==1 ; python_full_version < '3.12' and sys_platform == 'linux'\n"
        "d==1 ; (os_name == 'a' and sys_platform == 'linux') or os_name == 'b'\n"
        "d==2 ; sys_platform == 'linux'\n"
    )
    assert pinned_lines(resolved) == [
        "a==1",
        "b==1 ; python_full_version < '3.12'",
        "b==2 ; python_full_version >= '3.12'",
        "c==1",
        "d==1 ; (os_name == 'a' and sys_platform == 'linux') or os_name == 'b'",
        "d==2",
    ]


def test_renewing_writes_the_file_and_says_what_is_new(tmp_path, monkeypatch, capsys):
    (tmp_path / "constraints.txt").write_text(HEADER + "a==1\nb==1\n")
    commands = resolved_by_uv(monkeypatch, out="a==1\nb==2\n")
    assert renew_constraints(tmp_path) == 0
    assert (tmp_path / "constraints.txt").read_text() == HEADER + "a==1\nb==2\n"
    said = capsys.readouterr().out
    assert "2 pins, 1 of them new\nb==2\n" in said
    assert commands[0][-1] == "setup.cfg" and commands[0][commands[0].index("--extra") + 1] == "dev"


def test_what_uv_cannot_resolve_leaves_the_file_as_it_was(tmp_path, monkeypatch):
    (tmp_path / "constraints.txt").write_text("a==1\n")
    resolved_by_uv(monkeypatch, code=1, err="a and b do not go together")
    with pytest.raises(Unavailable, match="a and b do not go together"):
        renew_constraints(tmp_path)
    assert (tmp_path / "constraints.txt").read_text() == "a==1\n"
