"""The homes of `tfrec retrain` in an erasure: what is trained again, what goes, and the state of the job afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfrec.data.dataset import DATASET_OUTPUT, PreparedDataset
from tfrec.errors import InvalidInput
from tfrec.files import delete_folder, read_json
from tfrec.serving.exporting.export import EXPORT_OUTPUT
from tfrec.training.run_layout import MANIFEST_FILE, RUN_OUTPUT
from tfrec.workflows.retrain.data_drift import utc_text
from tfrec.workflows.retrain.data_profile import write_profile
from tfrec.workflows.retrain.job_state import NIGHTS, STATE_FILE, State
from tfrec.workflows.retrain.releases import run_sha256


@dataclass
class Job:
    """A retraining job whose data have some of the people.

    The job keeps the data of its last run alone. So the served model is trained again on those, without the people;
    models that are kept to roll back to are not, and go.

    Attributes:
        home: Its folder.
        data: The prepared data of its last run, if the people are in them.
        champion: Run of the served model, if there is one; it is trained again on `data`.
        obsolete: Folders that go: what else was trained, and a run that was interrupted.
        versions: Exported versions, which the champion, trained again, takes the places of.
    """

    home: Path
    data: Path | None = None
    champion: Path | None = None
    obsolete: list[Path] = field(default_factory=list)
    versions: list[Path] = field(default_factory=list)


def is_job(folder: Path) -> bool:
    """Whether a folder is the home of a retraining job."""
    return (folder / STATE_FILE).is_file() and (folder / NIGHTS).is_dir()


def affected_job(folder: Path, home: Path, has_people: Callable[[PreparedDataset], bool]) -> Job | None:
    """What an erasure does to a job; None for one whose data have nobody of the people.

    Args:
        folder: Home of the job.
        home: Folder of the erasure.
        has_people: Whether a dataset has one of the people.

    Raises:
        InvalidInput: The job exports to a place outside of `home`, or its last data are gone.
    """
    state = State(folder)
    last = state.folder(state.last["night"]) if state.last else None
    unfinished = state.folder(state.unfinished["number"]) if state.unfinished else None
    in_last, in_unfinished = (
        night is not None and DATASET_OUTPUT.marks(night / "data") and has_people(PreparedDataset(night / "data"))
        for night in (last, unfinished)
    )
    if last is not None and state.champions and not DATASET_OUTPUT.marks(last / "data"):
        raise InvalidInput(
            f"{last / 'data'} is gone, so nobody can tell who is in the models of {folder}. Restore it, or move the "
            "folder away and retrain with another --home."
        )
    if not in_last:
        return Job(folder, obsolete=[unfinished]) if in_unfinished and unfinished else None
    assert last is not None
    served = state.champion()
    champion = state.folder(served["night"]) / "run" if served else None
    return Job(folder, last / "data", champion, _obsolete(state, last, champion), _versions(state, home))


def unknown_models(folder: Path) -> list[Path]:
    """The runs of a job's promoted models whose data it has not kept, so nobody can tell whether they read somebody.

    Args:
        folder: Home of a job that an erasure leaves as it is.
    """
    state = State(folder)
    data = state.folder(state.last["night"]) / "data" if state.last else folder
    kept = PreparedDataset(data).manifest["fingerprint"] if DATASET_OUTPUT.marks(data) else None
    runs = [state.folder(entry["night"]) / "run" for entry in state.champions]
    return [run for run in runs if RUN_OUTPUT.marks(run) and read_json(run / MANIFEST_FILE)["data"] != kept]


def renew(job: Job, version: int | None) -> None:
    """Brings the state of a job in line with what was built: the champion, its profile, and the events of the last run.

    Args:
        job: The job; its data and its champion are the new ones already.
        version: Version that the champion is exported as; None without a champion.
    """
    state = State(job.home)
    if state.unfinished is not None:
        state.drop()
    if job.data is not None:
        _renew_models(state, job, PreparedDataset(job.data), version)
        state.save()
    for folder in job.obsolete:
        if folder.is_dir():
            delete_folder(folder)


def _renew_models(state: State, job: Job, dataset: PreparedDataset, version: int | None) -> None:
    assert state.last is not None and job.data is not None
    profile = write_profile(dataset, job.data.parent / "profile")
    events, newest = profile.facts["events"], utc_text(profile.facts["watermark"])
    state.last |= {"watermark": profile.facts["watermark"], "events": events, "newest": newest}
    champion = state.champion()
    state.champions = []
    if job.champion is not None and champion is not None:
        write_profile(dataset, job.champion.parent / "profile")
        renewed = {"sha256": run_sha256(job.champion), "chosen_until": dataset.manifest["cuts"]["test"]}
        state.champions, state.current = [{**champion, **renewed, "version": version}], version


def _obsolete(state: State, last: Path, champion: Path | None) -> list[Path]:
    """All nights but the last one and the champion's, and the run of the last one if it was refused."""
    kept = {last, champion.parent if champion else last}
    nights = [night for night in sorted((state.home / NIGHTS).glob("[0-9]*")) if night not in kept]
    refused = last / "run"
    return [*nights, *([refused] if refused != champion and refused.is_dir() else [])]


def _versions(state: State, home: Path) -> list[Path]:
    numbers: Sequence[int] = [entry["version"] for entry in state.champions]
    if state.unfinished and state.unfinished["version"] is not None:
        numbers = [*numbers, state.unfinished["version"]]
    if numbers and not state.out.resolve().is_relative_to(home.resolve()):
        raise InvalidInput(
            f"{state.home} exports to {state.out}, which is not in {home}. Pass a --home that both are in, so that "
            "what is served is replaced too."
        )
    place = home / state.out.resolve().relative_to(home.resolve()) if numbers else state.out
    return [place / str(number) for number in numbers if EXPORT_OUTPUT.marks(place / str(number))]
