"""Tables as files: the ending says the form, and nothing is written where it may not be."""

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
