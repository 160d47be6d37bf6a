"""The work of an erasure: data, runs and exports are built anew beside the old ones, and then take their places."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tfrec.data.dataset import DATASET_OUTPUT, PreparedDataset
from tfrec.data.erase import erase_users
from tfrec.files import delete_folder, publish, read_json, write_json
from tfrec.progress import say
from tfrec.runs import Run, evaluate, train
from tfrec.runs.partial_run import PartialRun
from tfrec.serving.exporting.export import export, run_id, runs_of
from tfrec.serving.exporting.server_config_files import label_versions
from tfrec.serving.saved_model.guarded_export import EXPORT_FILE
from tfrec.serving.version_folders import version_folders
from tfrec.training.run_layout import RUN_OUTPUT
from tfrec.workflows.forget.inventory import ids_in
from tfrec.workflows.forget.retraining_jobs import Job, renew
from tfrec.workflows.retrain.releases import labels

JOB_FILE = "job.json"
_BUILT, _FACTS = "built", "facts"


class Rebuild:
    """An erasure in progress: `job.json` says what is planned and done, `new/` has what is built.

    Args:
        home: The folder that is rebuilt.
        work: The folder of the erasure, on the same file system.
    """

    def __init__(self, home: Path, work: Path) -> None:
        self.home, self.work = home, work
        self.job: dict[str, Any] = read_json(work / JOB_FILE)

    def names(self, asked: Sequence[str]) -> set[str]:
        """The users under all names that the data had for them."""
        return {*asked, *(name for names in self.job.get("names", {}).values() for name in names)}

    def build(self, asked: Sequence[str]) -> None:
        """Builds all data and runs that are not built yet; nothing else changes."""
        if self.job.get(_BUILT):
            return
        facts = self.job.setdefault(_FACTS, {"datasets": {}, "runs": {}})
        for name in self.job["plan"]["datasets"]:
            if name not in facts["datasets"]:
                self._build_dataset(name, asked, facts["datasets"])
        for name, data in self.job["plan"]["runs"].items():
            if name not in facts["runs"]:
                facts["runs"][name] = self._build_run(name, data)
                self._save()
        self.job[_BUILT] = True
        self._save()

    def swap(self) -> dict[str, Any]:
        """Puts what is built in its place and exports it, as far as that is not done yet.

        Returns:
            What was done, for the receipt.
        """
        plan, facts = self.job["plan"], self.job[_FACTS]
        for kind, names in ((DATASET_OUTPUT, plan["datasets"]), (RUN_OUTPUT, plan["runs"])):
            for name in names:
                if (new := self._new(name)).is_dir():
                    publish(new, self.home / name, kind, force=True)
        exports = {name: self._replaced(self.home / name, stages) for name, stages in plan["exports"].items()}
        for job in plan["jobs"]:
            self._renew_job(job, exports)
        for name in plan["interrupted"]:
            delete_folder(self.home / name)
        removed = [name for job in plan["jobs"] for name in job["obsolete"]]
        return {**facts, "exports": exports, "interrupted": plan["interrupted"], "removed": removed}

    def _build_dataset(self, name: str, asked: Sequence[str], facts: dict[str, Any]) -> None:
        say(f"Erasing from {name}")
        before = PreparedDataset(self.home / name)
        there = list(ids_in(before, asked))
        self._new(name).parent.mkdir(parents=True, exist_ok=True)
        erased = erase_users(before, there, self._new(name), force=True)
        fingerprints = {"before": before.manifest["fingerprint"], "after": erased.dataset.manifest["fingerprint"]}
        facts[name] = {"users": erased.users, "events": erased.events, "items": erased.items, **fingerprints}
        self.job.setdefault("names", {})[name] = there
        self._save()

    def _build_run(self, name: str, data: str) -> dict[str, Any]:
        say(f"Training {name} again")
        old, new = Run(self.home / name), self._new(name)
        erased = data in self.job["plan"]["datasets"]
        dataset = PreparedDataset(self._new(data) if erased else self.home / data)
        if not RUN_OUTPUT.marks(new):
            new.parent.mkdir(parents=True, exist_ok=True)
            resume = PartialRun(new).can_resume
            # an earlier run may have learnt from the people too
            train(
                dataset,
                new,
                old.config.with_values({"training.start_from": None, "training.teachers": []}),
                resume=resume,
                force=not resume,
            )
        if (old.path / "metrics.json").is_file():
            evaluate(new, dataset)
        return {
            "before": _weights(old),
            "after": _weights(Run(new)),
            "fit_seconds": {"before": _seconds(old), "again": _seconds(Run(new))},
        }

    def _renew_job(self, job: dict[str, Any], exports: dict[str, str]) -> None:
        versions = [exports[name] for name in job["versions"]]
        number = int(versions[-1].rpartition("/")[2]) if versions else None
        paths = {name: [self.home / each for each in job[name]] for name in ("obsolete", "versions")}
        data, champion = (job[name] and self.home / job[name] for name in ("data", "champion"))
        renew(Job(self.home / job["home"], data, champion, **paths), number)

    def _replaced(self, version: Path, stages: dict[str, str | None]) -> str:
        """Exports runs as the next version beside an old one, which keeps none of its labels; the new one's name."""
        out = version.parent
        run = Run(self.home / str(stages["run"]))
        ranker = Run(self.home / stages["ranker"]) if stages["ranker"] else None
        new = run_id(run), run_id(ranker) if ranker else None
        path = next((path for path in version_folders(out).values() if runs_of(path) == new), None)
        if path is None:
            about = read_json(version / EXPORT_FILE) if version.is_dir() else {}
            path = export(run, out, exclude_seen=about.get("exclude_seen"), ranker=ranker)
        given = labels(out)
        moved = {name: int(path.name) if number == int(version.name) else number for name, number in given.items()}
        if moved != given:
            label_versions(out, moved)
        return path.relative_to(self.home).as_posix()

    def _new(self, name: str) -> Path:
        return self.work / "new" / name

    def _save(self) -> None:
        write_json(self.work / JOB_FILE, self.job, durable=True)


def _weights(run: Run) -> str:
    """One hash of the weights of a run."""
    files = {name: digest for name, digest in run.manifest.get("files", {}).items() if name.startswith("weights/")}
    return hashlib.sha256("".join(f"{name}{files[name]}" for name in sorted(files)).encode()).hexdigest()


def _seconds(run: Run) -> float | None:
    seconds: float | None = run.manifest.get("timings", {}).get("fit_s")
    return seconds
