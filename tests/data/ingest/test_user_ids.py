"""Reading lists of user ids."""

import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.data.ingest.user_ids import read_users


@pytest.mark.parametrize("text", ["b\na\n", "user_id\nb\na", " b \n\na\nb\n"])
def test_each_user_of_a_text_file_is_read_once_in_order(tmp_path, text):
    (tmp_path / "users.txt").write_text(text)
    assert read_users(tmp_path / "users.txt") == ["b", "a"]


def test_users_of_a_parquet_file_come_from_the_column_user_id(tmp_path):
    pl.DataFrame({"user_id": [2, 1, None, 2]}).write_parquet(tmp_path / "users.parquet")
    assert read_users(tmp_path / "users.parquet") == ["2", "1"]
    pl.DataFrame({"user": [2]}).write_parquet(tmp_path / "users.parquet")
    with pytest.raises(InvalidInput, match="user_id"):
        read_users(tmp_path / "users.parquet")


def test_a_file_without_users_is_refused(tmp_path):
    (tmp_path / "users.txt").write_text("user_id\n\n")
    with pytest.raises(InvalidInput, match="no user ids"):
        read_users(tmp_path / "users.txt")
