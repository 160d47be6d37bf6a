"""Files of users in, files of recommendations out."""

import os

import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.runs.recommend import check_output, read_users, write_frame


@pytest.mark.parametrize("text", ["b\na\n", "user_id\nb\na", " b \n\na\nb\n"])
def test_users_are_read_one_a_line_in_order_and_once(tmp_path, text):
    (tmp_path / "users.txt").write_text(text)
    assert read_users(tmp_path / "users.txt") == ["b", "a"]


def test_users_of_a_parquet_file_are_its_user_id_column(tmp_path):
    pl.DataFrame({"user_id": [2, 1, None, 2]}).write_parquet(tmp_path / "users.parquet")
    assert read_users(tmp_path / "users.parquet") == ["2", "1"]
    pl.DataFrame({"user": [2]}).write_parquet(tmp_path / "users.parquet")
    with pytest.raises(InvalidInput, match="user_id"):
        read_users(tmp_path / "users.parquet")


def test_a_file_without_users_is_refused(tmp_path):
    (tmp_path / "users.txt").write_text("user_id\n\n")
    with pytest.raises(InvalidInput, match="no user ids"):
        read_users(tmp_path / "users.txt")


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
