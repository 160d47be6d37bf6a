"""Folds in time against windows cut by hand."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from tfrec.cli.main import app
from tfrec.data import check_leakage, load_dataset, prepare, prepare_folds
from tfrec.errors import InvalidInput

START = 1_600_000_000


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, 6, 200), rng.integers(0, 9, 200)
    times = START + rng.permutation(200)
    return pl.DataFrame({"user_id": [f"u{u}" for u in users], "item_id": [f"i{i}" for i in items], "timestamp": times})


@pytest.fixture(scope="module")
def folds(log, tmp_path_factory):
    return prepare_folds(log, None, tmp_path_factory.mktemp("folds") / "data", folds=3)


def windows(log, shares):
    """The (user, item) pairs of the events between two shares of the log in order of time."""
    rows = log.sort("timestamp").rows()
    return {(user, item) for user, item, _ in rows[round(shares[0] * len(rows)) : round(shares[1] * len(rows))]}


def targets(fold, part):
    """The pairs of the targets of a part, of all slices that there are."""
    found = set()
    for slice in ("warm", "cold_items", "cold_users"):
        queries = fold.queries(part, slice)
        users = queries.user_ids[queries.target_rows]
        found |= set(zip(users.tolist(), fold.item_ids[queries.target_items].tolist(), strict=True))
    return found


def test_the_windows_of_the_folds_are_adjacent_and_end_with_the_log(log, folds):
    for number, fold in enumerate(folds):
        begin = 0.6 + 0.1 * number
        assert targets(fold, "valid") == windows(log, (begin, begin + 0.1))
        assert targets(fold, "test") == windows(log, (begin + 0.1, begin + 0.2))
        assert len(fold.training().items) == round(begin * 200)
        check_leakage(fold)


def test_all_targets_are_those_of_warm_and_cold_items_together_in_one_query_a_user(tmp_path):
    rows = [(f"u{time % 10}", f"i{time // 8 if time % 3 else 0}", time) for time in range(200)]  # ever new items
    log = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    data = prepare(log, None, tmp_path / "data", split="global-time", config={"data.timestamp_unit": "s"})
    for part in ("valid", "test"):
        pairs = {}
        for slice in ("warm", "cold_items", "all_targets"):
            queries = data.queries(part, slice)
            assert len(set(queries.user_ids)) == len(queries)
            users = queries.user_ids[queries.target_rows].tolist()
            pairs[slice] = sorted(zip(users, queries.target_items.tolist(), strict=True))
        assert pairs["warm"] and pairs["cold_items"]
        assert pairs["all_targets"] == sorted(pairs["warm"] + pairs["cold_items"])


def test_the_last_fold_is_the_split_by_time(log, folds, tmp_path):
    alone = prepare(log, None, tmp_path / "data", split="global-time")
    assert alone.manifest["fingerprint"] == folds[-1].manifest["fingerprint"]


def test_a_fold_knows_nothing_of_what_comes_after_it(log, folds):
    cut = log.sort("timestamp")["timestamp"][160] * 1_000_000
    assert folds[0].histories().timestamps.max() < cut == folds[0].histories().timestamps.max() + 1_000_000
    assert folds[0].manifest["cuts"]["test"] == folds[1].manifest["cuts"]["valid"]


def test_the_command_writes_the_folds_and_says_what_is_in_each(log, folds, tmp_path):
    log.write_parquet(tmp_path / "log.parquet")
    command = ["prepare", "--events", str(tmp_path / "log.parquet"), "--out", str(tmp_path / "data"), "--folds", "3"]
    found = CliRunner().invoke(app, command, catch_exceptions=False)
    assert found.exit_code == 0 and "fold-2:" in found.stdout
    for fold in folds:
        written = load_dataset(tmp_path / "data" / fold.path.name)
        assert written.histories().timestamps.tolist() == fold.histories().timestamps.tolist()
    with pytest.raises(InvalidInput, match="--split global-time"):
        CliRunner().invoke(app, [*command, "--split", "leave-one-out"], catch_exceptions=False)


@pytest.mark.parametrize(("count", "words"), [(0, "at least 1 fold"), (9, "at most 8")])
def test_folds_that_leave_nothing_to_train_on_are_refused(log, tmp_path, count, words):
    with pytest.raises(InvalidInput, match=words):
        prepare_folds(log, None, tmp_path / "data", folds=count)
    assert not (tmp_path / "data").exists()


def test_the_log_ends_where_it_is_told_to(log, tmp_path):
    end = datetime.fromtimestamp(START + 50, UTC)
    for number, until in enumerate((end, end.replace(tzinfo=None), end.isoformat())):
        data = prepare(log, None, tmp_path / str(number), split="leave-one-out", config={"data.until": until})
        assert len(data.histories().items) == 50
    ordered = log.with_columns(pl.col("timestamp") - START)
    with pytest.raises(InvalidInput, match="needs a clock"):
        prepare(ordered, None, tmp_path / "ordered", config={"data.until": end})
