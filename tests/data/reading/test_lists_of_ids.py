"""Files of user ids."""

import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.data.reading import read_ids


@pytest.mark.parametrize("text", ["b\na\n", "user_id\nb\na", " b \n\na\nb\n"])
def test_users_are_read_one_a_line_in_order_and_once(tmp_path, text):
    (tmp_path / "users.txt").write_text(text)
    assert read_ids(tmp_path / "users.txt", "--users") == ["b", "a"]


def test_users_of_a_parquet_file_are_its_user_id_column(tmp_path):
    pl.DataFrame({"user_id": [2, 1, None, 2]}).write_parquet(tmp_path / "users.parquet")
    assert read_ids(tmp_path / "users.parquet", "--users") == ["2", "1"]
    pl.DataFrame({"user": [2]}).write_parquet(tmp_path / "users.parquet")
    with pytest.raises(InvalidInput, match="user_id"):
        read_ids(tmp_path / "users.parquet", "--users")


def test_a_file_without_users_is_refused(tmp_path):
    (tmp_path / "users.txt").write_text("user_id\n\n")
    with pytest.raises(InvalidInput, match="no user ids"):
        read_ids(tmp_path / "users.txt", "--users")


def test_users_of_a_table_are_its_user_column_whatever_the_form(tmp_path):
    (tmp_path / "u.csv").write_text("\ufeffname,user_id\nAnn,b\nBo,007\n", encoding="utf-8")
    assert read_ids(tmp_path / "u.csv", "--users") == ["b", "007"]
    pl.DataFrame({"user_id": [1.0, 2.0, None]}).write_parquet(tmp_path / "u.parquet")
    assert read_ids(tmp_path / "u.parquet", "--users") == ["1", "2"]
    (tmp_path / "two.csv").write_text("name,age\nAnn,3\n")
    with pytest.raises(InvalidInput, match="no column 'user_id'; found 'name', 'age'"):
        read_ids(tmp_path / "two.csv", "--users")
    (tmp_path / "bare.csv").write_text("Ann,3\nBo,4\n")
    with pytest.raises(InvalidInput, match="no header"):
        read_ids(tmp_path / "bare.csv", "--users")
