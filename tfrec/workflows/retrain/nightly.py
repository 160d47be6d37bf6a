"""`retrain`: one night of the job, step by step, each of which can be cut off and repeated."""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tfrec.config import RunConfig
from tfrec.data.dataset import PreparedDataset
from tfrec.data.prepare import prepare
from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import read_json, write_json
from tfrec.progress import say
from tfrec.schema import GLOBAL_TIME
from tfrec.workflows.retrain.data_drift import drift_notes, drift_report, refuse_clock, refuse_drift
from tfrec.workflows.retrain.data_profile import Profile, write_profile
from tfrec.workflows.retrain.job_state import State, locked
from tfrec.workflows.retrain.releases import label, run_sha256, tidy, verify

STEPS = ("prepare", "validate", "train", "judge", "export", "label")
_AS_IT_WAS = "the served version is as it was"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def retrain(
    events: str | Path,
    items: str | Path,
    home: str | Path,
    out: str | Path,
    *,
    users: str | Path | None = None,
    config: RunConfig | None = None,
    anew: bool = False,
    force: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Trains on a grown log, starting from the served model, and serves the result when it is no worse.

    The steps: prepare (split by time), validate (drift against the last run), train (from the champion's weights),
    judge (champion and challenger on the newest window, see `gate.judge`), export (the next integer version, checked),
    label (`stable` in models.config). A killed night is taken up where it was, on the data it began with; one that
    refused its data, or began with another configuration, starts again. The champion serves until `label`.

    Args:
        events: The whole log so far, not only what is new.
        items: The whole catalogue.
        home: The job's own folder: state.json, lock, nights/.
        out: `saved_models/NAME`.
        users: Optional user columns.
        config: Every knob; section `retrain` is the job's.
        anew: Train from scratch instead of from the champion's weights.
        force: Train although there are no new events, or only late ones.
        now: The time; the clock's when None.

    Returns:
        The outcome: status ("promoted", "refused" or "nothing_new"), night, version and champion (the served one
        afterwards), start ("anew", "warm" or ""), events (all, new), notes, gate, seconds.

    Raises:
        Busy: another copy is running.
        InvalidInput: the data is not what it was, the champion is damaged, a clock jumped back, the disk is full.
    """
    config, now, started = config or RunConfig(), now or datetime.now(UTC), time.monotonic()
    if config.model.kind != "next-item":
        raise InvalidInput(f"The nightly job retrains next-item models, received model.kind={config.model.kind}.")
    with locked(home):
        state = State(home, out)
        refuse_clock(now, state.last)
        run = verify(state)
        choices = {"champion": state.current, "config": config.model_dump(mode="json"), "anew": anew, "force": force}
        night = Night(state, state.begin(**choices), run, config)
        with _explained(_AS_IT_WAS):
            status = night.walk({"events": events, "items": items, "users": users}, now, force)
        version = (state.night or {}).get("version")
        with _explained(f"version {version} is served already" if status == "promoted" else _AS_IT_WAS):
            return night.end(status, now, started)


class Night:
    """One night: its folder, the champion's run it starts from (None for none), and the configuration."""

    def __init__(self, state: State, folder: Path, champion: Path | None, config: RunConfig) -> None:
        self.state, self.folder, self.champion, self.config = state, folder, champion, config
        last = state.last
        self.before = Profile(state.folder(last["night"]) / "profile") if last else None

    def walk(self, sources: dict[str, Any], now: datetime, force: bool) -> str:
        """Does the steps that are left; returns the status."""
        state = self.state
        try:
            state.step("prepare", lambda: self._prepare(sources))
            state.step("validate", lambda: self._validate(now, force))
        except TfrecError:
            state.drop()
            raise
        new = self._read("drift.json").get("new_events")
        if new == 0 and not force and not self._read("drift.json")["late_events"]:
            return "nothing_new"
        state.step("train", self._train)
        state.step("judge", self._judge)
        if not self._read("gate.json")["promote"]:
            return "refused"
        state.step("export", self._export)
        state.step("label", self._label)
        return "promoted"

    def end(self, status: str, now: datetime, started: float) -> dict[str, Any]:
        """Records how the night ended, which is when the next one may begin, and clears up."""
        state, drift = self.state, self._read("drift.json")
        assert state.night is not None
        outcome: dict[str, Any] = {"status": status, "night": state.night["number"]}
        if status == "nothing_new":
            state.drop()
            state.nights -= 1
            state.save()
            say("No new events since the last run; nothing to do")
            return {**outcome, "version": state.current, "events": drift["events"], "new_events": 0}
        gate, version = self._read("gate.json"), state.night["version"]
        if status == "promoted":
            state.champions.append(
                {
                    "version": version,
                    "night": state.night["number"],
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
        state.last = {"night": state.night["number"], "watermark": watermark, "at": now.isoformat(), "status": status}
        write_json(self.folder / "outcome.json", outcome)
        state.night = None
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

        out, partial = self.folder / "run", self.folder / "run.partial"
        start, why = self._start()
        write_json(self.folder / "start.json", {"start": start})
        say(f"Training {start}{why}")
        if (out / "manifest.json").is_file():  # cut off after the last rename
            return
        config = self.config
        if start == "warm":
            training = config.training.model_copy(update={"start_from": str(self.champion)})
            config = config.model_copy(update={"training": training})
        resume = (partial / "checkpoint" / "state.json").is_file()
        if partial.exists() and not resume:
            shutil.rmtree(partial)
        train(self._dataset(), out, config, resume=resume)

    def _start(self) -> tuple[str, str]:
        from tfrec.runs import Run

        assert self.state.night is not None
        if self.champion is None or self.state.night["anew"]:
            return "anew", ""
        known, kinds = Run(self.champion).event_kinds, self._dataset().event_kinds
        if known != kinds:
            return "anew", f": the champion knows the event kinds {known}, the log has {kinds}"
        return "warm", ""

    def _judge(self) -> None:
        from tfrec.runs import Run
        from tfrec.workflows.retrain.promotion_gate import judge

        entry = self.state.champion()
        gate = judge(
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
        from tfrec.serving.exporting.export import export, next_version

        state = self.state
        assert state.night is not None
        if state.night["version"] is None:  # chosen once, so that a repeated export replaces its own
            state.night["version"] = next_version(state.out)
            state.save()
        version = export(Run(self.folder / "run"), state.out, version=state.night["version"], force=True)
        if self.config.retrain.check:
            say(str(check(version)))

    def _label(self) -> None:
        assert self.state.night is not None
        label(self.state.out, self.state.night["version"])

    def _dataset(self) -> PreparedDataset:
        return PreparedDataset(self.folder / "data")

    def _read(self, name: str) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self.folder / name)
        return content


@contextmanager
def _explained(served: str) -> Iterator[None]:
    """A full disk in whatever words it comes, as one message that says what is served."""
    try:
        yield
    except TfrecError:
        raise
    except Exception as error:
        full = isinstance(error, OSError) and error.errno in _FULL
        if not full and "No space left on device" not in str(error):
            raise
        raise InvalidInput(
            f"The disk is full; {served}. Make room and run again: the night goes on at the step that was cut off. "
            f"({str(error).splitlines()[0]})"
        ) from error
