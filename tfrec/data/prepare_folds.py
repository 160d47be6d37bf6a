"""`prepare_folds`: one log as several prepared data sets, whose windows slide over time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from tfrec import schema
from tfrec.config import ConfigSource, RunConfig, as_run_config
from tfrec.data.dataset import PreparedDataset
from tfrec.data.prepare import prepare
from tfrec.data.reading import Source
from tfrec.errors import InvalidInput
from tfrec.files import OutputKind, atomic_folder, check_output_folder, write_json
from tfrec.progress import say

FOLDS_FILE = "folds.json"
FOLDS_OUTPUT = OutputKind("folds of prepared data", {FOLDS_FILE: ("folds",)})


def prepare_folds(
    events: Source,
    items: Source | None,
    out: str | Path,
    *,
    folds: int,
    users: Source | None = None,
    config: ConfigSource = None,
    reader: str | None = None,
    force: bool = False,
) -> list[PreparedDataset]:
    """Prepares a log as it was at several times, so that a model can be evaluated in sliding windows.

    A single test window says how good a model is in one week, which may be the week of a sale. The last fold is what
    `prepare` with `split="global-time"` writes. Each fold before it ends where the test window of the next begins, with
    windows of the same share of the events, so that the test windows are adjacent. A fold knows nothing of what comes
    after it: its log is cut first (`data.until`), and then cleaned and split.

    Args:
        events, items, users, reader: As for `prepare`.
        out: Folder to write, atomically, with the prepared data in `fold-1`, the oldest, to `fold-N`.
        folds: int. Number of folds, at least 1.
        config: A RunConfig, a mapping of options or a YAML file; only the section `data` is used. None for the
            defaults.
        force: Whether to replace existing folds.

    Returns:
        The folds, oldest first.

    Raises:
        InvalidInput: As for `prepare`, or the first fold would have nothing to train on.

    Example:
        >>> import tempfile
        >>> import polars as pl
        >>> log = pl.DataFrame({"user_id": ["u", "v"] * 50, "item_id": list("abcde") * 20,
        ...                     "timestamp": range(1_600_000_000, 1_600_000_100)})
        >>> folds = prepare_folds(log, None, tempfile.mkdtemp() + "/data", folds=2)
        >>> [len(fold.histories().items) for fold in folds], [len(fold.training().items) for fold in folds]
        ([90, 100], [70, 80])
    """
    config = as_run_config(config)
    check_output_folder(out, FOLDS_OUTPUT, force)
    cuts = _window_quantiles(folds, config)
    with atomic_folder(out, FOLDS_OUTPUT, force) as folder:

        def write(number: int, settings: RunConfig) -> PreparedDataset:
            say(f"Fold {number} of {folds}")
            place = folder / f"fold-{number}"
            return prepare(events, items, place, users=users, split=schema.GLOBAL_TIME, config=settings, reader=reader)

        times = write(folds, config).histories().timestamps
        for number, (valid, test, end) in enumerate(cuts[:-1], start=1):
            until = _EPOCH + timedelta(microseconds=int(np.quantile(times, end, method="higher")))
            earlier = {"data.until": until, "data.valid_quantile": valid / end, "data.test_quantile": test / end}
            write(number, config.with_values(earlier))
        write_json(folder / FOLDS_FILE, {"folds": folds})
    return [PreparedDataset.load(Path(out) / f"fold-{number}") for number in range(1, folds + 1)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _window_quantiles(folds: int, config: RunConfig) -> list[tuple[float, float, float]]:
    """Where validation and test of each fold begin and where the fold ends, as shares of all events, oldest first."""
    valid, test = config.data.valid_quantile, config.data.test_quantile
    if folds < 1:
        raise InvalidInput(f"Expected at least 1 fold, received {folds}.")
    most = max(1, int(np.ceil(valid / (1 - test) - 1e-9)))
    if folds > most:
        raise InvalidInput(
            f"{folds} folds leave nothing to train on in the first. Take at most {most}, or shorter test windows "
            "(data.test_quantile nearer to 1)."
        )
    earlier = [(1 - test) * (folds - number) for number in range(1, folds + 1)]
    return [(valid - by, test - by, 1 - by) for by in earlier]
