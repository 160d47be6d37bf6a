"""Exported versions that were replaced: they stay for a grace time, and go with the first erasure after it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tfrec.files import delete_folder, read_json, write_json
from tfrec.progress import say
from tfrec.serving.exporting.export import EXPORT_OUTPUT

PENDING_FILE = "forget-pending.json"


def remove_later(home: Path, versions: Sequence[Path], due: datetime, now: datetime) -> list[dict[str, str]]:
    """Notes when replaced versions are to be removed; those that are due go at once.

    Returns:
        The versions that stay until then: version, relative to `home`, and remove_after.
    """
    entries = {entry["version"]: entry for entry in _pending(home)}
    for version in versions:
        name = version.relative_to(home).as_posix()
        entries.setdefault(name, {"version": name, "remove_after": due.isoformat(timespec="seconds")})
    _save(home, list(entries.values()))
    remove_due(home, now)
    return _pending(home)


def remove_due(home: Path, now: datetime) -> list[str]:
    """Removes the versions whose time is over, and returns their names."""
    entries = _pending(home)
    due = [entry for entry in entries if datetime.fromisoformat(entry["remove_after"]) <= now]
    for entry in due:
        version = home / entry["version"]
        if EXPORT_OUTPUT.marks(version):  # not what somebody put there since
            delete_folder(version)
            say(f"{version}, which was replaced, is removed")
    _save(home, [entry for entry in entries if entry not in due])
    return [entry["version"] for entry in due]


def _pending(home: Path) -> list[dict[str, Any]]:
    path = home / PENDING_FILE
    entries: list[dict[str, Any]] = read_json(path) if path.is_file() else []
    return entries


def _save(home: Path, entries: list[dict[str, Any]]) -> None:
    if entries:
        write_json(home / PENDING_FILE, entries, durable=True)
    else:
        (home / PENDING_FILE).unlink(missing_ok=True)
