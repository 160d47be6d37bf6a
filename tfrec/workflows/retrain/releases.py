"""Releases: verifies the champion on disk, labels versions, rolls back and deletes old ones."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tfrec.errors import InvalidInput
from tfrec.files import delete_folder, file_sha256, folder_sha256
from tfrec.progress import say
from tfrec.serving.exporting.export import EXPORT_OUTPUT
from tfrec.serving.exporting.server_config_files import MODELS_CONFIG, label_versions
from tfrec.workflows.retrain.job_state import NIGHTS, State, locked

STABLE = "stable"


def run_sha256(run: Path) -> str:
    """Hash of the files that make up a run's model. Evaluating the run again does not change it."""
    parts = [folder_sha256(run / "weights"), *(file_sha256(run / name) for name in ("manifest.json", "items.parquet"))]
    return "-".join(part[:16] for part in parts)


def verify(state: State) -> Path | None:
    """Run folder of the champion; None before the first promotion.

    Raises:
        InvalidInput: files of it are missing, or not those that were promoted.
    """
    champion = state.champion()
    if champion is None:
        return None
    run = state.folder(champion["night"]) / "run"
    try:
        intact = run_sha256(run) == champion["sha256"]
    except OSError:
        intact = False
    if not intact:
        raise InvalidInput(
            f"The champion {run} (version {champion['version']}) is not what was promoted: files are missing or "
            "changed. Restore them from a backup, or go back to an older version: tfrec retrain --rollback."
        )
    return run


def label(out: Path, version: int) -> None:
    """Labels a version as stable. Other labels are kept if their versions still exist."""
    others = {name: number for name, number in labels(out).items() if (out / str(number)).is_dir()}
    label_versions(out, {**others, STABLE: version})


def labels(out: Path) -> dict[str, int]:
    """Version by label, from `models.config`."""
    path = out / MODELS_CONFIG
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return {name: int(number) for name, number in re.findall(r'key:\s*"([^"]+)"\s*value:\s*(\d+)', text)}


def rollback(home: str | Path) -> dict[str, Any]:
    """Serves the previous version again; repeated calls go further back.

    The version that was served is withdrawn, so no later rollback returns to it. The next retraining run starts from
    the restored version.

    Args:
        home: Folder of the job.

    Returns:
        The outcome: status "rolled_back", version, from.

    Raises:
        InvalidInput: nothing was promoted yet, or there is no older version.
        Busy: the job is running.
    """
    if not Path(home).is_dir():
        raise InvalidInput(f"{home} does not exist, so there is nothing to roll back. Pass the --home of the job.")
    with locked(home):
        state = State(home)
        older = [entry for entry in state.champions if not entry["withdrawn"] and entry["version"] != state.current]
        older = [entry for entry in older if (state.out / str(entry["version"]) / "saved_model.pb").is_file()]
        if state.current is None or not older:
            raise InvalidInput(f"{state.out} has no promoted version older than {state.current} to roll back to.")
        withdrawn, chosen = state.champion(), older[-1]["version"]
        assert withdrawn is not None
        label(state.out, chosen)
        withdrawn["withdrawn"], state.current = True, chosen
        state.save()
        say(f"{state.out}: version {chosen} is stable again; {withdrawn['version']} is withdrawn")
        return {"status": "rolled_back", "version": chosen, "from": withdrawn["version"]}


def tidy(state: State, keep: int) -> list[int]:
    """Deletes promoted versions beyond the last `keep`, and files of old retraining runs.

    The served version, labelled versions and versions that this job did not write are kept. All files of the last run
    are kept, and the model's run folder of every kept version.

    Args:
        state: State of the job.
        keep: Promoted versions to keep.

    Returns:
        The versions that were deleted.
    """
    safe = {state.current, *labels(state.out).values()}
    order = sorted(state.champions, key=lambda entry: (entry["withdrawn"], -entry["version"]))
    gone = [entry for entry in order[keep:] if entry["version"] not in safe]
    for entry in gone:
        version = state.out / str(entry["version"])
        if EXPORT_OUTPUT.marks(version):  # not what somebody put there since
            delete_folder(version)
    state.champions = [entry for entry in state.champions if entry not in gone]
    state.save()
    latest = state.folder(state.last["night"]) if state.last else None
    kept = {state.folder(entry["night"]) for entry in state.champions}
    for folder in sorted((state.home / NIGHTS).glob("[0-9]*")):
        if folder == latest:
            continue
        if folder not in kept:
            delete_folder(folder)
        else:
            delete_folder(folder / "data")
    return [entry["version"] for entry in gone]
