"""A prepared dataset is loaded whole, or refused with its path and what to do."""

import shutil

import polars as pl
import pytest

from tests.damage import outcomes, passed, without_checksums
from tfrec.data import PreparedDataset, prepare
from tfrec.errors import InvalidInput


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = [(f"u{u}", f"i{(u + step) % 5}", step) for u in range(6) for step in range(4)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(5)], "title": ["red", "blue", "green", "old", "new"]})
    users = pl.DataFrame({"user_id": [f"u{u}" for u in range(6)], "country": list("abcabc")})
    return prepare(events, items, tmp_path_factory.mktemp("d") / "data", users=users, split="leave-one-out").path


def load(path):
    """Everything that models and reports read."""
    data = PreparedDataset(path)
    _ = data.items, data.users, data.report, data.histories(), data.training()
    return [data.queries(split) for split in ("valid", "test")]


def test_every_damaged_file_is_refused_with_its_path_and_a_cure(folder, tmp_path):
    found = outcomes(folder, load, tmp_path)
    # a person's page of the same report, which nothing reads back
    assert {name for name, _ in passed(found)} == {"report.html"}
    for (name, _), message in found.items():
        assert message is None or (name in message and "Prepare the data again" in message), (name, message)


def test_an_older_dataset_without_hashes_loads_and_says_so_and_its_damaged_files_are_refused(folder, tmp_path, capsys):
    older = without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json")
    load(older)
    load(older)
    assert capsys.readouterr().err.count("recorded no hashes") == 1
    assert {name for name, _ in passed(outcomes(older, load, tmp_path))} == {"report.html", "report.json"}


def test_items_in_another_order_are_refused(folder, tmp_path):
    changed = shutil.copytree(folder, tmp_path / "changed")
    pl.read_parquet(changed / "items.parquet").reverse().write_parquet(changed / "items.parquet")
    with pytest.raises(InvalidInput, match=r"items.parquet has changed since it was written.*Prepare the data again"):
        load(changed)


def test_a_file_that_did_not_come_with_the_folder_is_not_taken_for_its_own(folder, tmp_path):
    users = (folder / "users.parquet").read_bytes()
    rows = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "timestamp": [0, 1, 2]})
    data = prepare(rows, None, tmp_path / "data", split="leave-one-out")
    (data.path / "users.parquet").write_bytes(users)
    assert PreparedDataset(data.path).users is None


OUT_OF_RANGE = {
    "items": ("sequences.parquet", pl.col("items").list.eval(pl.element() + 5)),
    "negative items": ("sequences.parquet", pl.col("items").list.eval(pl.element().cast(pl.Int64) - 1)),
    "event kinds": ("sequences.parquet", pl.col("events").list.eval(pl.element() + 1)),
    "users": ("splits/train.parquet", pl.col("user") + 1),
    "history lengths": ("splits/valid.parquet", pl.col("history_length") + 9),
    "targets": ("splits/test.parquet", pl.col("target_items").list.eval(pl.element() + 5)),
}


@pytest.mark.parametrize("case", OUT_OF_RANGE)
def test_numbers_out_of_range_are_refused_also_in_older_datasets(folder, tmp_path, case):
    file, changed = OUT_OF_RANGE[case]
    older = without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json")
    pl.read_parquet(older / file).with_columns(changed).write_parquet(older / file)
    with pytest.raises(InvalidInput, match=rf"{file} is damaged: \d+ .* are out of range. Prepare the data again"):
        load(older)
