"""`forget`: removes people from everything that a folder holds of them, whole or not at all."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tfrec.data.ingest.pseudonyms import pseudonyms_over_time
from tfrec.data.reading import Source
from tfrec.data.reading.reader import read_ids
from tfrec.errors import InvalidInput, TfrecError
from tfrec.files import PartialFolder, check_output_file, write_json
from tfrec.files.outputs import OutputKind
from tfrec.progress import say
from tfrec.serving.local.request_log_options import request_log_keys
from tfrec.version import __version__
from tfrec.workflows.forget.inventory import Inventory, take_inventory
from tfrec.workflows.forget.old_versions import remove_due, remove_later
from tfrec.workflows.forget.rebuild import JOB_FILE, Rebuild
from tfrec.workflows.forget.receipt import signed, user_marks
from tfrec.workflows.forget.tables import files_below, names_users, without_rows
from tfrec.workflows.retrain.job_state import locked

NOT_COVERED = (
    "copies outside of the folder, such as backups, and what was published",
    "encoders that were adapted to the same log",
    "what was tracked elsewhere, such as by MLflow",
    "metrics and decisions that people wrote down",
)
_JOB = OutputKind("an erasure in progress", {JOB_FILE: ("request", "plan")})


def forget(
    home: str | Path,
    users: Source,
    *,
    key: str | Path,
    receipt: str | Path | None = None,
    grace: float = 0.0,
    log_key: str | Path | None = None,
    force: bool = False,
    now: datetime | None = None,
) -> dict[str, Any]:
    """Removes people from the prepared data, runs, exports and tables below a folder, and signs what it did.

    Data are written again without the people, as if they had never been in the log. Runs on these data are trained
    again from the start, which nobody's events are in, and evaluated if they were before; exports of the runs are
    replaced by a next version. In the home of a retraining job, the served model is trained again on the data of the
    last run, and the models to roll back to go. All of this is built beside what is there, which changes only once
    everything is built.
    Interrupted, it continues when it is called again with the same users; done twice, the second time finds nothing.

    Args:
        home: The folder.
        users: Ids, as in `prepare`, one a line or in a column user_id.
        key: File with a key of 64 hexadecimal digits, which only its owner may read; it signs the receipt.
        receipt: JSON file to write. None: `receipts/forget-TIME.json` in the folder.
        grace: Days that versions which were exported before stay beside the new ones, for servers and clients to
            change over. They are removed by the first call after that. 0 removes them at once.
        log_key: File of the keys of request logs (`tfrec serve --request-log-key`), whose lines are found by the
            pseudonyms under it, also from before keys were added. None: the keys in the environment variable
            TFREC_REQUEST_LOG_KEY, if there are any.
        force: Whether to replace an existing file `receipt`.
        now: Time of the call; None: the time of the clock.

    Returns:
        The receipt: users (asked, found, unknown, and a mark of each under the key), datasets, runs (with the seconds
        of training before and again), exports, tables, interrupted trainings, what of retraining jobs was removed, the
        scan, and what is not covered.

    Raises:
        InvalidInput: The folder does not exist, holds an erasure of other users that was interrupted, or something in
            it cannot be rebuilt. Nothing has changed then.
        Busy: One of its retraining jobs is running.
        TfrecError: The scan still finds one of the people; the receipt says where.
    """
    home, now = Path(home), now or datetime.now(UTC)
    if not home.is_dir():
        raise InvalidInput(f"{home} is no folder. Pass the one that data and runs are in.")
    out = Path(receipt) if receipt is not None else home / "receipts" / f"forget-{now:%Y%m%dT%H%M%S}.json"
    if receipt is None:
        out.parent.mkdir(exist_ok=True)
    check_output_file(out, force)
    asked = read_ids(users, "users")
    marks = user_marks(asked, key)
    logged = {name for user in asked for name in pseudonyms_over_time(user, request_log_keys(log_key))}
    options = _Options(out, key, logged, grace, now)
    partial = PartialFolder(home / "forget", _JOB)
    if partial.folder.exists():
        with partial.locked():
            return _done(home, asked, marks, partial, options)
    inventory = take_inventory(home, asked)
    job = {"request": _request(asked), "plan": _plan(home, inventory)}
    with partial.begun(lambda folder: write_json(folder / JOB_FILE, job)):
        return _done(home, asked, marks, partial, options)


@dataclass(frozen=True)
class _Options:
    """Where the receipt goes, the key that signs it, names in request logs, days of grace, and the time of the call."""

    out: Path
    key: str | Path
    logged: set[str]
    grace: float
    now: datetime


def _done(
    home: Path, asked: Sequence[str], marks: list[str], partial: PartialFolder, options: _Options
) -> dict[str, Any]:
    """Does what is left of the erasure in the locked folder, writes the receipt and returns it."""
    rebuild = Rebuild(home, partial.folder)
    if rebuild.job["request"] != _request(asked):
        raise InvalidInput(
            f"{partial.folder} holds an erasure of other users that was interrupted. Call it again with those first, "
            "or delete the folder: nothing has changed then, unless it says built."
        )
    plan = rebuild.job["plan"]
    say(f"{plan['found']} of {len(asked)} users are in {len(plan['datasets'])} datasets below {home}")
    now = options.now
    removed = remove_due(home, now)
    with ExitStack() as jobs:
        for job in plan["jobs"]:
            jobs.enter_context(locked(home / job["home"]))
        rebuild.build(asked)
        facts = rebuild.swap()
    later = remove_later(home, [home / name for name in plan["exports"]], now + timedelta(days=options.grace), now)
    names = rebuild.names(asked) | options.logged
    rows = {str(path.relative_to(home)): count for path in files_below(home) if (count := without_rows(path, names))}
    left = [str(path.relative_to(home)) for path in files_below(home) if names_users(path, names)]
    kept = {name for entry in later for name in [entry["version"]]}
    content = {
        "what": "erasure",
        "at": now.isoformat(timespec="seconds"),
        "tfrec": __version__,
        "users": {"asked": len(asked), "found": plan["found"], "unknown": len(asked) - plan["found"], "marks": marks},
        **facts,
        "versions_to_remove": later,
        "versions_removed": removed,
        "tables": rows,
        "scan": {"files": sum(1 for _ in files_below(home)), "found": [n for n in left if not _is_below(n, kept)]},
        "not_covered": [
            *NOT_COVERED,
            *(f"{name}: its data are not in the folder" for name in plan["unknown"]),
            *(f"{name}: an export for devices, to be made again of its run" for name in plan["devices"]),
        ],
    }
    done = signed(content, options.key)
    write_json(options.out, done, durable=True)
    partial.delete()
    if named := content["scan"]["found"]:
        raise TfrecError(
            f"{len(named)} files that tfrec does not know still name one of the users, such as {named[0]}. Remove them "
            f"yourself, and call this again. {options.out} lists them."
        )
    return done


def _is_below(name: str, folders: set[str]) -> bool:
    return any(name.startswith(f"{folder}/") for folder in folders)


def _request(asked: Sequence[str]) -> str:
    return hashlib.sha256(json.dumps(sorted(asked)).encode()).hexdigest()


def _plan(home: Path, inventory: Inventory) -> dict[str, Any]:
    """The inventory as JSON, with names relative to the home and without ids."""

    def name(path: Path) -> str:
        return path.relative_to(home).as_posix()

    return {
        "found": len(inventory.found),
        "datasets": [name(path) for path in inventory.datasets],
        "runs": {name(run): name(data) for run, data in inventory.runs.items()},
        "exports": {
            name(version): {"run": name(stages.run), "ranker": stages.ranker and name(stages.ranker)}
            for version, stages in inventory.exports.items()
        },
        "jobs": [
            {
                "home": name(job.home),
                "data": job.data and name(job.data),
                "champion": job.champion and name(job.champion),
                "obsolete": [name(path) for path in job.obsolete],
                "versions": [name(path) for path in job.versions],
            }
            for job in inventory.jobs
        ],
        "interrupted": [name(path) for path in inventory.interrupted],
        "unknown": [name(path) for path in inventory.unknown],
        "devices": [name(path) for path in inventory.devices],
    }
