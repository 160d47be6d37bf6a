"""Tables as files: the ending says the form, and nothing is written where it may not be."""

import csv
import os

import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.reporting.table_files import check_output, write_frame


@pytest.mark.parametrize(
    "name, read", [("r.parquet", pl.read_parquet), ("r.csv", pl.read_csv), ("r.jsonl", pl.read_ndjson)]
)
def test_the_ending_says_the_form(tmp_path, name, read):
    frame = pl.DataFrame({"user_id": ["a"], "item_id": ["ü"], "rank": [1], "score": [0.5]})
    check_output(tmp_path / name)
    write_frame(frame, tmp_path / name)
    assert read(tmp_path / name).equals(frame)
    assert os.listdir(tmp_path) == [name]
    with pytest.raises(InvalidInput, match="--force"):
        check_output(tmp_path / name)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("=HYPERLINK(0)", "'=HYPERLINK(0)"),
        ("+1+1", "'+1+1"),
        ("-2-cmd", "'-2-cmd"),
        ("@SUM(1)", "'@SUM(1)"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("-5", "-5"),
        ("+4.5e-3", "+4.5e-3"),
        ("a=1", "a=1"),
        ("", ""),
        ('"quoted", =1', '"quoted", =1'),
    ],
)
def test_a_spreadsheet_runs_no_cell_of_a_csv(tmp_path, text, written):
    """Oracle: the csv module of Python, as a spreadsheet would read the file."""
    frame = pl.DataFrame({"item_id": [text, "i"], "score": [-0.5, 1.0]})
    write_frame(frame, tmp_path / "r.csv")
    with open(tmp_path / "r.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == [["item_id", "score"], [written, "-0.5"], ["i", "1.0"]]
    assert frame["item_id"][0] == text  # the caller's frame is never changed
    write_frame(frame, tmp_path / "r.jsonl")
    assert pl.read_ndjson(tmp_path / "r.jsonl").equals(frame)


def test_names_of_columns_and_categories_are_cells_too_and_what_changed_is_said(tmp_path, capsys):
    frame = pl.DataFrame({"=1": ["a"], "kind": pl.Series(["@b"], dtype=pl.Categorical), "none": [None]})
    write_frame(frame, tmp_path / "r.csv")
    assert (tmp_path / "r.csv").read_text() == "'=1,kind,none\na,'@b,\n"
    assert "2 cells begin with" in capsys.readouterr().err
    write_frame(pl.DataFrame({"item_id": ["i1"]}), tmp_path / "s.csv")
    assert capsys.readouterr().err == ""
