"""Versions in and out of service: champions on disk, the label, what is kept, and the way back."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput
from tfrec.files import file_sha256, folder_sha256
from tfrec.progress import say
from tfrec.serving.exporting.server_config_files import MODELS_CONFIG, label_versions
from tfrec.workflows.retrain.job_state import State, locked

STABLE = "stable"


def run_sha256(run: Path) -> str:
    """Hash of what a run's model is made of; measuring the run again does not change it."""
    parts = [folder_sha256(run / "weights"), *(file_sha256(run / name) for name in ("manifest.json", "items.parquet"))]
    return "-".join(part[:16] for part in parts)


def verify(state: State) -> Path | None:
    """The served champion's run; None before the first.

    Raises:
        InvalidInput: it is gone, or not what was promoted.
    """
    champion = state.champion()
    if champion is None:
        return None
    run = state.folder(champion["night"]) / "run"
    try:
        whole = run_sha256(run) == champion["sha256"]
    except OSError:
        whole = False
    if not whole:
        raise InvalidInput(
            f"The champion {run} (version {champion['version']}) is not what was promoted: files are missing or "
            "changed. Restore them from a backup, or go back to an older version: tfrec retrain --rollback."
        )
    return run


def label(out: Path, version: int) -> None:
    """Makes a version the stable one; other labels that people gave stay, where their versions do."""
    kept = {name: number for name, number in labels(out).items() if (out / str(number)).is_dir()}
    label_versions(out, {**kept, STABLE: version})


def labels(out: Path) -> dict[str, int]:
    """Label to version, as `models.config` has them."""
    path = out / MODELS_CONFIG
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {name: int(number) for name, number in re.findall(r'key:\s*"([^"]+)"\s*value:\s*(\d+)', text)}


def rollback(home: str | Path) -> dict[str, Any]:
    """Serves the version before the current one again; repeated, it goes further back.

    The version that is left is withdrawn: no later rollback returns to it. The next night starts from the restored one.

    Args:
        home: The job's folder.

    Returns:
        The outcome: status "rolled_back", version, from.

    Raises:
        InvalidInput: nothing was promoted yet, or there is no older version.
        Busy: the job is running.
    """
    if not Path(home).is_dir():
        raise InvalidInput(f"{home} is not there; there is nothing to go back from. Pass the --home of the job.")
    with locked(home):
        state = State(home)
        older = [one for one in state.champions if not one["withdrawn"] and one["version"] != state.current]
        older = [one for one in older if (state.out / str(one["version"]) / "saved_model.pb").is_file()]
        if state.current is None or not older:
            raise InvalidInput(f"{state.out} has no promoted version older than {state.current} to go back to.")
        left, chosen = state.champion(), older[-1]["version"]
        assert left is not None
        label(state.out, chosen)
        left["withdrawn"], state.current = True, chosen
        state.save()
        say(f"{state.out}: version {chosen} is stable again; {left['version']} is withdrawn")
        return {"status": "rolled_back", "version": chosen, "from": left["version"]}


def tidy(state: State, keep: int) -> list[int]:
    """Deletes what is no longer needed: versions beyond the last `keep` that were promoted, and files of old nights.

    The served version and labelled ones stay, as do versions that this job did not write. Of the last night all files
    stay, of the nights of kept versions the run.

    Returns:
        The versions that were deleted.
    """
    safe = {state.current, *labels(state.out).values()}
    order = sorted(state.champions, key=lambda one: (one["withdrawn"], -one["version"]))
    gone = [one for one in order[keep:] if one["version"] not in safe]
    for one in gone:
        folder = state.out / str(one["version"])
        if folder.is_dir():
            hidden = folder.with_name(f".{folder.name}.old")  # a server never sees half a version
            folder.rename(hidden)
            shutil.rmtree(hidden, ignore_errors=True)
    state.champions = [one for one in state.champions if one not in gone]
    state.save()
    latest = state.folder(state.last["night"]) if state.last else None
    kept = {state.folder(one["night"]) for one in state.champions}
    for folder in sorted((state.home / "nights").glob("[0-9]*")):
        if folder == latest:
            continue
        if folder not in kept:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            shutil.rmtree(folder / "data", ignore_errors=True)
    return [one["version"] for one in gone]
