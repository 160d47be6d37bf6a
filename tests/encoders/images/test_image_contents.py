"""A column of images may hold bytes, file names or data URIs; what is none of them is counted by its reason."""

import base64

import pytest

from tfrec.encoders.images import image_contents
from tfrec.encoders.images.image_contents import ImageContents, describe_problems
from tfrec.errors import InvalidInput


def test_bytes_files_and_data_uris_are_read(tmp_path):
    (tmp_path / "a b.png").write_bytes(b"file")
    uri = "data:image/png;base64," + base64.b64encode(b"uri").decode()
    values = [b"bytes", "a b.png", "file:///a%20b.png".replace("///", f"//{tmp_path}/"), [uri, "other"], f" {uri} "]
    contents = ImageContents(values, tmp_path)
    assert list(contents) == contents[:] == [b"bytes", b"file", b"file", b"uri", b"uri"]
    assert contents[1:3] == [b"file", b"file"]
    assert [contents.problem(row) for row in range(5)] == [None] * 5


def test_what_cannot_be_read_is_counted_by_its_reason(tmp_path, monkeypatch):
    monkeypatch.setattr(image_contents, "LARGEST_FILE", 3)
    (tmp_path / "large").write_bytes(b"four")
    values = [
        None,
        "",
        b"",
        [],
        "gone.jpg",
        "large",
        "https://a.b/c.jpg",
        "//a.b/c",
        "data:image/png;base64,?",
        b"ok",
        b"x",
    ]
    contents = ImageContents(values, tmp_path)
    assert list(contents) == [b""] * 9 + [b"ok", b"x"]
    assert describe_problems(contents, [False] * 9 + [True, False]) == {
        "images": 1,
        "none": 4,
        "web address": 2,
        "no such file": 1,
        "larger than 0 MB": 1,
        "damaged data URI": 1,
        "damaged, too large or no image": 1,
    }


def test_a_column_of_numbers_is_no_column_of_images():
    with pytest.raises(InvalidInput, match="received a int: 7. Name another column with encoder.image_column"):
        ImageContents([7])[0]
