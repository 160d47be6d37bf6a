"""`quickstart`: prepares, trains, evaluates, recommends, exports and checks on MovieLens-100K."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from tfrec.config import RunConfig
from tfrec.files import write_json
from tfrec.progress import say
from tfrec.schema import (
    EXCLUDE_ITEM_IDS,
    HISTORY_EVENTS,
    HISTORY_ITEM_IDS,
    ITEM_ID,
    LEAVE_ONE_OUT,
    SIGNATURE_RECOMMEND,
    USER_ID,
)

if TYPE_CHECKING:
    from tfrec.data import PreparedDataset
    from tfrec.runs import Run

MODEL_NAME = "movielens"
SERVER_IMAGE = "tensorflow/serving:2.20.0"


@dataclass(frozen=True)
class Quickstart:
    """Result of `quickstart`.

    Attributes:
        run: The trained run.
        metrics: Its metrics on the test split, as in metrics.json.
        version: Folder of the exported version.
    """

    run: Run
    metrics: dict[str, Any]
    version: Path


def quickstart(folder: str | Path = ".", *, epochs: int | None = None, config: RunConfig | None = None) -> Quickstart:
    """Trains, evaluates and exports a recommender on MovieLens-100K, and prints every step.

    Writes `runs/quickstart-data/`, `runs/quickstart/` (both are replaced if they exist) and the next version of
    `saved_models/movielens/`, all in `folder`.

    Args:
        folder: Folder in which runs/ and saved_models/ are written.
        epochs: Overrides `training.epochs`.
        config: Options; the defaults if not given.

    Raises:
        Unavailable: MovieLens or MiniLM is not in the cache and cannot be fetched.
        InvalidInput: `epochs` is below 1.
    """
    started = time.monotonic()
    config = config or RunConfig()
    if epochs is not None:
        config = config.with_values([f"training.epochs={epochs}"])
    runs = Path(folder) / "runs"
    dataset = _prepare(runs / "quickstart-data", config)

    from tfrec.runs import evaluate, train
    from tfrec.workflows.console_tables import print_metrics

    say("Training the next-item model")
    run = train(dataset, runs / "quickstart", config, force=True)
    say("Evaluating the model and the baselines over the whole catalogue")
    metrics = evaluate(run, dataset)
    print_metrics(metrics)
    print("Leave-one-out: the target is each user's last film. Training includes ratings that other users gave later.")
    _print_recommendations(run, dataset)
    version = _export(run, Path(folder) / "saved_models" / MODEL_NAME)
    _print_how_to_serve(run, dataset, version, run.path / "request.json")
    print(f"\nThe quickstart took {time.monotonic() - started:.0f} s.")
    return Quickstart(run, metrics, version)


def _prepare(out: Path, config: RunConfig) -> PreparedDataset:
    from tfrec.data import prepare, read_movielens_100k
    from tfrec.downloads import movielens_100k_folder

    say("Fetching MovieLens-100K (cached after the first download)")
    events, items = read_movielens_100k(movielens_100k_folder())
    say(f"Preparing {events.height} ratings of {items.height} films")
    return prepare(events, items, out, split=LEAVE_ONE_OUT, config=config, force=True)


def _print_recommendations(run: Run, dataset: PreparedDataset, num_users: int = 3) -> None:
    """Prints the histories of the first test users beside what the model recommends to them."""
    from tfrec.runs import recommend
    from tfrec.workflows.console_tables import print_lists

    users = [str(user) for user in dataset.queries("test").user_ids[:num_users]]
    titles = dict(zip(dataset.item_ids, dataset.items["title"].fill_null("?")))
    histories = dataset.histories()
    rows = {str(user): row for row, user in enumerate(histories.user_ids)}
    lists = recommend(run, dataset, users=users)
    for user in users:
        start, end = histories.offsets[rows[user]], histories.offsets[rows[user] + 1]
        seen = [titles[dataset.item_ids[item]] for item in histories.items[start:end]]
        chosen = lists.filter(pl.col(USER_ID) == user).sort("rank")[ITEM_ID]
        print_lists(seen, [titles[item] for item in chosen], user)


def _export(run: Run, out: Path) -> Path:
    from tfrec.serving.checking.check import check
    from tfrec.serving.exporting.export import export

    say("Exporting")
    version = export(run, out)
    print(f"Exported {version}")
    print(check(version))
    return version


def _print_how_to_serve(run: Run, dataset: PreparedDataset, version: Path, request: Path) -> None:
    """Writes a request for a real user, and prints the commands that serve the model and send the request."""
    write_json(request, example_request(run, dataset))
    models = version.parent if version.is_absolute() else f"$PWD/{version.parent}"
    print(
        f"\nServe the model, then send it a request:\n"
        f"  docker run -p 8501:8501 -v {models}:/models/{MODEL_NAME} -e MODEL_NAME={MODEL_NAME} {SERVER_IMAGE}\n"
        f"  curl -d @{request} http://localhost:8501/v1/models/{MODEL_NAME}:predict"
    )


def example_request(run: Run, dataset: PreparedDataset) -> dict[str, Any]:
    """Body of a REST request to `recommend` with the newest events of the first user, padded with ""."""
    histories, lengths = dataset.histories(), run.config.export
    length = lengths.history_length or run.model.memory_history
    end = int(histories.offsets[1])
    start = max(int(histories.offsets[0]), end - length)
    items = [str(dataset.item_ids[item]) for item in histories.items[start:end]]
    events = [dataset.event_kinds[kind] for kind in histories.events[start:end]]
    padding = [""] * (length - len(items))
    return {
        "signature_name": SIGNATURE_RECOMMEND,
        "inputs": {
            HISTORY_ITEM_IDS: [items + padding],
            HISTORY_EVENTS: [events + padding],
            EXCLUDE_ITEM_IDS: [[""] * lengths.exclude_length],
        },
    }
