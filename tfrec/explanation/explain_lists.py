"""`explain`: why the items of a run's lists are in them, as a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

import numpy as np
import polars as pl

from tfrec.data.dataset import PreparedDataset, load_dataset
from tfrec.data.histories import Histories
from tfrec.data.reading import read_ids
from tfrec.errors import InvalidInput
from tfrec.explanation.explainer import WINDOW, Explainer, frame_schema
from tfrec.files.disk_full import disk_full_is_told
from tfrec.models.registry import family_of
from tfrec.progress import say, track
from tfrec.reporting.table_files import check_output, write_frame
from tfrec.retrieval.seen_items import excludes_seen
from tfrec.retrieval.top_items import places_of_ids
from tfrec.retrieval.two_stage_scorer import TwoStage
from tfrec.runs.run import Run, load_run
from tfrec.runs.two_stage import two_stage_scorer

_BATCH = 32


def explain(  # noqa: PLR0913  as the command's options
    run: Run | str | Path,
    data: PreparedDataset | Histories | str | Path,
    k: int = 10,
    *,
    users: Sequence[str] | str | Path | None = None,
    items: Sequence[str] | None = None,
    events: int = 3,
    window: int = WINDOW,
    counterfactuals: int = 5,
    ranker: Run | str | Path | None = None,
    out: str | Path | None = None,
    force: bool = False,
) -> pl.DataFrame:
    """Explains the top `k` items of each user by deleting events and scoring again; `tfrec explain` writes the same.

    A reason is an event without which the model, asked again, gives the item a lower score. Effects are differences of
    scores. They are no shares: they do not add up to the score, as two events may each replace the other, and many
    lower it. Events older than those that the model reads never count; where the history is longer, a deleted event
    makes room for an older one, as it would in the log.

    Args:
        run: A run that ranks the catalogue (next-item, or behaviour-text with the softmax head), or its folder.
        data: The prepared data that the run was trained on, or its folder; or histories in the run's indices.
        k: int. Length of the lists.
        users: Ids of users, in the order of the result, or a file with one id per line; None for all users.
        items: Ids of items to explain for each user, whether they are in the list or not; None for the list.
        events: int. Events named for each item that raise it; the one that lowers it most comes last.
        window: int. Number of newest events that are deleted in turn.
        counterfactuals: int. Largest set of events that is searched for without which an item leaves the list; 0 for
            no search, which is most of the time.
        ranker: A click-ranker run on the same catalogue, or its folder, which re-ranks the lists of `run`. Every
            deletion is then scored by both, so this takes long: name the users. Needs prepared data.
        out: A .parquet or .jsonl file to write as well, completely or not at all. None for none.
        force: Whether an existing file `out` may be replaced.

    Returns:
        A Polars frame with one row per user and item, best first:
        user_id, item_id (String), rank (UInt32, null for an item that is not in the list), score (Float32);
        parts: struct of Float32, what each part of the model adds; the sum is the score. With a ranker: the
        probability of each behaviour times its weight, and the first stage;
        events: list of {item_id, event, age (1 is the newest event), effect (Float32)}, effects above 0 raise the
        score; counterfactual: item ids of the events without which the item leaves the list, null if none was found;
        added_event: for an item that is not in the list, one of its nearest items, such that an event on it, as the
        newest, would bring the item in; null if none would;
        sentence_en, sentence_zh: the same in words. Users without a history get no events.

    Raises:
        InvalidInput: A number is below its minimum, the run does not rank the catalogue, the catalogues differ, a user
            or an item is unknown, or `out` cannot be written. Then nothing is written.

    Example:
        tfrec.explain("runs/quickstart", "runs/quickstart-data", users=["196"])["sentence_en"]
    """
    for name, value, least in (
        ("k", k, 1),
        ("events", events, 1),
        ("window", window, 1),
        ("counterfactuals", counterfactuals, 0),
    ):
        if not isinstance(value, Integral) or value < least:
            raise InvalidInput(f"Expected {name} of at least {least}, received {value!r}.")
    if out is not None:
        check_output(out, force)
        if Path(out).suffix == ".csv":
            raise InvalidInput(
                f"Explanations hold lists, which CSV cannot; received {Path(out).name!r}. End it with .parquet or "
                ".jsonl."
            )
    user_ids = read_ids(users, "users") if isinstance(users, str | Path) else users
    explained = run_on_data(run, data, ranker)
    histories, exclude_seen = explained.histories, explained.exclude_seen
    rows = rows_of_users(histories, user_ids)
    explainer = Explainer(
        explained.run,
        events=int(events),
        window=int(window),
        removals=int(counterfactuals),
        two_stage=explained.two_stage,
    )
    asked = None if items is None else places_of_items(explained.run, items)
    frames = []
    for start in track(range(0, len(rows), _BATCH), "Explaining"):
        part = rows[start : start + _BATCH]
        made = (
            explainer.lists(histories, part, int(k), exclude_seen)
            if asked is None
            else explainer.asked(histories, part, asked, int(k), exclude_seen)
        )
        frames.append(explainer.frame(made, int(k)))
    empty = int((histories.lengths[rows] == 0).sum())
    if empty:
        say(f"{empty:,} of {len(rows):,} users have no history: their items are popular, and no event explains them.")
    frame = pl.concat(frames) if frames else pl.DataFrame(schema=frame_schema([]))
    if out is not None:
        with disk_full_is_told(out):
            write_frame(frame, out, force)
    return frame


@dataclass(frozen=True)
class RunOnData:
    """A run and the users whose lists are explained.

    Attributes:
        run: The run.
        histories: The histories.
        exclude_seen: Whether lists leave out what is in them.
        two_stage: The scorer of the run's lists that a ranker re-ranks; None if there is no ranker.
    """

    run: Run
    histories: Histories
    exclude_seen: bool
    two_stage: TwoStage | None


def run_on_data(
    run: Run | str | Path,
    data: PreparedDataset | Histories | str | Path,
    ranker: Run | str | Path | None = None,
) -> RunOnData:
    """Loads what `explain` is given; the arguments are its."""
    trained = load_run(run)
    histories, exclude_seen = histories_to_explain(trained, data)
    second = None if ranker is None else _two_stage(trained, load_run(ranker), data, exclude_seen)
    return RunOnData(trained, histories, exclude_seen, second)


def _two_stage(run: Run, ranker: Run, data: PreparedDataset | Histories | str | Path, exclude_seen: bool) -> TwoStage:
    if isinstance(data, Histories):
        raise InvalidInput("Lists of two stages are explained on prepared data; received Histories. Pass the dataset.")
    return two_stage_scorer(run, ranker, load_dataset(data), exclude_seen=exclude_seen)


def histories_to_explain(run: Run, data: PreparedDataset | Histories | str | Path) -> tuple[Histories, bool]:
    """The histories, and whether lists leave out what is in them."""
    if isinstance(data, Histories):
        choice = run.config.retrieval.exclude_seen
        return data, bool(run.manifest.get("exclude_seen", True)) if choice == "auto" else choice == "true"
    dataset = load_dataset(data)
    run.refuse_other_catalogue(dataset)
    dataset = family_of(run.kind).read_by(run.config, dataset)
    return dataset.histories(), excludes_seen(run.config, dataset)


def rows_of_users(histories: Histories, users: Sequence[str] | None) -> np.ndarray:
    """The rows of users, int `[n]`; all for None. Raises `InvalidInput` for unknown ones."""
    if users is None:
        return np.arange(len(histories))
    return places_of_ids([str(user) for user in users], histories.user_ids, "users", "the data")


def places_of_items(run: Run, items: Sequence[str]) -> np.ndarray:
    """Indices of items, int `[n]`. Raises `InvalidInput` for items that the catalogue lacks."""
    return places_of_ids([str(item) for item in items], run.item_ids, "items", "the catalogue")
