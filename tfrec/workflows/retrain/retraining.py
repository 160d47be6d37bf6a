"""`retrain`: a retraining run in steps, each of which can be interrupted and repeated."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset
from tfrec.data.prepare import prepare
from tfrec.data.reading import Source
from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import AlreadyExists, read_json, write_json
from tfrec.files.disk_full import is_disk_full
from tfrec.progress import say
from tfrec.schema import GLOBAL_TIME
from tfrec.serving.exporting.export import is_export_of, next_version
from tfrec.workflows.retrain.data_drift import drift_notes, drift_report, refuse_clock, refuse_drift
from tfrec.workflows.retrain.data_profile import Profile, write_profile
from tfrec.workflows.retrain.job_state import State, locked
from tfrec.workflows.retrain.releases import label, run_sha256, tidy, verify

STEPS = ("prepare", "validate", "train", "evaluate", "export", "label")
_SERVED_UNCHANGED = "the served version is unchanged"


def retrain(
    events: Source,
    items: Source | None,
    home: str | Path,
    out: str | Path,
    *,
    users: Source | None = None,
    config: ConfigSource = None,
    reader: str | None = None,
    anew: bool = False,
    force: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Trains on the grown log, starting from the served model (the champion), and serves the result if it is no worse.

    The steps are: prepare (clean the log and split it by time), validate (compare with that of the served run), train
    (from the champion's weights), evaluate (champion and challenger on the test window, see
    `promotion_gate.evaluate_gate`), export (the next version, checked) and label (make it `stable` in models.config).
    Nothing that is served changes before the last step. An interrupted run continues at the step that was cut off, on
    the data it began with. A run whose data was refused, or that began with another configuration, starts again.

    Args:
        events: The whole log so far, not only the new events.
        items: The whole catalogue; items that are gone from it are no longer served. None: the items of the log, as
            in `prepare`.
        home: Folder of the job; it holds state.json, lock and nights/, a folder for each run.
        out: Model folder, `saved_models/NAME`.
        users: Users file, optional.
        config: A RunConfig, a mapping of options or a YAML file; section `retrain` holds those of this job.
        reader: Name of a well-known log, as in `prepare`.
        anew: Train from scratch instead of from the champion's weights.
        force: Train even if there are no new events, or only late ones.
        now: Time of the run; None: the time of the clock.

    Returns:
        The outcome: status ("promoted", "refused" or "nothing_new"), night (number of the run), version (served from
        now on), previous (served before), start ("warm", or "anew" for from scratch), events, new_events, notes, gate,
        seconds, deleted_versions. With "nothing_new": status, night, version, events and new_events.

    Raises:
        Busy: another process is retraining in `home`.
        InvalidInput: the data drifted too far, the champion is damaged, a clock jumped back, or the disk is full.
    """
    from tfrec.models.family import Ability
    from tfrec.models.registry import families_with, family_of

    config, now, started = as_run_config(config), now or datetime.now(UTC), time.monotonic()
    if config.privacy.on:
        raise InvalidInput(
            "retrain would spend privacy.epsilon again in each run, and its gate and drift report read events without "
            "noise. Train with tfrec train, and add up the ε of all runs on the same people."
        )
    if not family_of(config.model.kind).can(Ability.RETRAIN, config):
        families = families_with(Ability.RETRAIN)
        raise InvalidInput(f"Only {families} models can be retrained, received model.kind={config.model.kind}.")
    with locked(home):
        state = State(home, out)
        refuse_clock(now, state.last)
        state.sweep()
        champion = verify(state)
        config_now = config.model_dump(mode="json")
        choices = {"champion": state.current, "config": config_now, "reader": reader, "anew": anew, "force": force}
        with _disk_full_explained(_SERVED_UNCHANGED):
            run = RetrainingRun(state, state.begin(**choices), champion, config)
            status = run.do_steps({"events": events, "items": items, "users": users, "reader": reader}, now, force)
        version = (state.unfinished or {}).get("version")
        served = f"version {version} is served already" if status == "promoted" else _SERVED_UNCHANGED
        with _disk_full_explained(served):
            return run.finish(status, now, started)


class RetrainingRun:
    """One run of the job.

    Args:
        state: State of the job.
        folder: Folder of this run.
        champion: Run folder of the served model; None before the first promotion.
        config: All options.
    """

    def __init__(self, state: State, folder: Path, champion: Path | None, config: RunConfig) -> None:
        self.state, self.folder, self.champion, self.config = state, folder, champion, config
        # Not the last run: what the gate refused, or a rollback withdrew, is no measure for what comes next.
        served = state.champion()
        self.before = Profile(state.folder(served["night"]) / "profile") if served else None

    def do_steps(self, sources: dict[str, Any], now: datetime, force: bool) -> str:
        """Does the steps that are left and returns the status."""
        state = self.state
        try:
            state.step("prepare", lambda: self._prepare(sources))
            state.step("validate", lambda: self._validate(now, force))
        except TfrecError as error:
            if not is_disk_full(error):
                state.drop()
            raise
        if self._nothing_is_new() and not force:
            return "nothing_new"
        state.step("train", self._train)
        state.step("evaluate", self._evaluate)
        if not self._read("gate.json")["promote"]:
            return "refused"
        state.step("export", self._export)
        state.step("label", self._label)
        return "promoted"

    def _nothing_is_new(self) -> bool:
        """Whether no event arrived since the last run, or since the champion's if that was refused."""
        drift, last = self._read("drift.json"), self.state.last or {}
        is_same = all(drift[name] == last.get(name) for name in ("events", "newest"))
        return is_same or (drift.get("new_events") == 0 and not drift["late_events"])

    def finish(self, status: str, now: datetime, started: float) -> dict[str, Any]:
        """Records the outcome, after which the next run may begin, and deletes what is no longer needed."""
        state, drift = self.state, self._read("drift.json")
        assert state.unfinished is not None
        outcome: dict[str, Any] = {"status": status, "night": state.unfinished["number"]}
        if status == "nothing_new":
            state.drop()
            state.begun -= 1
            state.save()
            say("No new events since the last run; nothing to do")
            return {**outcome, "version": state.current, "events": drift["events"], "new_events": 0}
        gate, version = self._read("gate.json"), state.unfinished["version"]
        if status == "promoted":
            state.champions.append(
                {
                    "version": version,
                    "night": state.unfinished["number"],
                    "sha256": run_sha256(self.folder / "run"),
                    "chosen_until": self._dataset().manifest["cuts"]["test"],
                    "withdrawn": False,
                }
            )
        outcome |= {
            "version": version if status == "promoted" else state.current,
            "previous": state.current,
            "start": self._read("start.json")["start"],
            "events": drift["events"],
            "new_events": drift.get("new_events", drift["events"]),
            "notes": drift_notes(drift),
            "gate": gate,
            "seconds": round(time.monotonic() - started, 1),
        }
        state.current = outcome["version"]
        watermark = write_profile(self._dataset(), self.folder / "profile").facts["watermark"]
        state.last = {
            "night": state.unfinished["number"],
            "watermark": watermark,
            "events": drift["events"],
            "newest": drift["newest"],
            "at": now.isoformat(),
            "status": status,
        }
        write_json(self.folder / "outcome.json", outcome)
        state.unfinished = None
        state.save()
        deleted = tidy(state, self.config.retrain.keep)
        return {**outcome, "deleted_versions": deleted}

    def _prepare(self, sources: dict[str, Any]) -> None:
        data = self.folder / "data"
        prepare(
            sources["events"],
            sources["items"],
            data,
            users=sources["users"],
            reader=sources["reader"],
            split=GLOBAL_TIME,
            config=self.config,
            force=True,
        )

    def _validate(self, now: datetime, force: bool) -> None:
        report = drift_report(self._dataset(), self.before, now)
        write_json(self.folder / "drift.json", report)
        refuse_drift(report, self.before, self.config.retrain, force)

    def _train(self) -> None:
        from tfrec.runs import train
        from tfrec.runs.partial_run import PartialRun

        out = self.folder / "run"
        start, why = self._start_of_training()
        write_json(self.folder / "start.json", {"start": start})
        say(f"Training {start}{why}")
        if (out / "manifest.json").is_file():  # interrupted after the run was complete
            return
        config = self.config
        if start == "warm":
            training = config.training.model_copy(update={"start_from": str(self.champion)})
            config = config.model_copy(update={"training": training})
        resume = PartialRun(out).can_resume
        train(self._dataset(), out, config, resume=resume, force=not resume)

    def _start_of_training(self) -> tuple[str, str]:
        """ "warm" or "anew", and why a warm start is impossible."""
        from tfrec.runs import Run

        assert self.state.unfinished is not None
        if self.champion is None or self.state.unfinished["anew"]:
            return "anew", ""
        known, kinds = Run(self.champion).event_kinds, self._dataset().event_kinds
        if known != kinds:
            return "anew", f": the champion knows the event kinds {known}, the log has {kinds}"
        return "warm", ""

    def _evaluate(self) -> None:
        from tfrec.runs import Run
        from tfrec.workflows.retrain.promotion_gate import evaluate_gate

        entry = self.state.champion()
        gate = evaluate_gate(
            self._dataset(),
            Run(self.folder / "run"),
            Run(self.champion) if self.champion else None,
            self.config.retrain,
            entry["chosen_until"] if entry else None,
        )
        write_json(self.folder / "gate.json", gate)
        for reason in gate["reasons"]:
            say(f"Not promoted: {reason}")

    def _export(self) -> None:
        from tfrec.runs import Run
        from tfrec.serving.checking.check import check
        from tfrec.serving.exporting.export import export

        run, version = Run(self.folder / "run"), self._chosen_version()
        while not is_export_of(version, run):  # it is, where this was interrupted after the export
            try:
                export(run, self.state.out, version=int(version.name))
            except AlreadyExists:  # another export took the number
                version = self._chosen_version(anew=True)
        if self.config.retrain.check:
            say(str(check(version)))

    def _chosen_version(self, anew: bool = False) -> Path:
        """The version that this run exports to. It is stored, so that an interrupted run finds its own export."""
        state = self.state
        assert state.unfinished is not None
        if anew or state.unfinished["version"] is None:
            state.unfinished["version"] = next_version(state.out)
            state.save()
        return state.out / str(state.unfinished["version"])

    def _label(self) -> None:
        assert self.state.unfinished is not None
        label(self.state.out, self.state.unfinished["version"])

    def _dataset(self) -> PreparedDataset:
        return PreparedDataset(self.folder / "data")

    def _read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self.folder / name)
        return content


@contextmanager
def _disk_full_explained(served: str) -> Iterator[None]:
    """Turns every exception of a full disk into one message that says what is served."""
    try:
        yield
    except Exception as error:
        if not is_disk_full(error):
            raise
        raise InvalidInput(
            f"The disk is full; {served}. Free some space and run again: it continues at the step that was cut off. "
            f"({str(error).splitlines()[0]})"
        ) from error
