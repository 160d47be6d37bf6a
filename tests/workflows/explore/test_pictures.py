"""Pictures of a catalogue: which column, and what is shown. Nothing is fetched or read from outside the folder."""

import base64
import io

import numpy as np
import polars as pl
import pytest
from PIL import Image

from tfrec.data.picture_columns import picture_column
from tfrec.workflows.explore.pictures import SENT_AS_IT_IS, Pictures


def picture(kind="PNG", size=(4, 6), noise=False):
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (size[1], size[0], 3)) if noise else np.full((size[1], size[0], 3), 90)
    content = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(content, kind)
    return content.getvalue()


def items(**columns):
    number = len(next(iter(columns.values())))
    return pl.DataFrame({"item_id": [str(i) for i in range(number)], **columns})


def shown(values, folder, web=False):
    found = Pictures(items(cover=values), folder)
    return [found.source(place, web) for place in range(len(values))]


def decoded(uri):
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.mark.parametrize(
    "values",
    [
        [picture(), None],
        ["data:image/png;base64,AAAA", "data:image/gif;base64,AAAA"],
        ["pictures/1.jpg", "/somewhere/2.PNG"],
        ["https://shop.example/1.webp?size=large", ""],
        [["https://shop.example/1.jpg", "https://shop.example/2.jpg"], []],
    ],
    ids=["bytes", "data URIs", "files", "web addresses", "lists"],
)
def test_a_column_of_pictures_is_found(values):
    assert picture_column(items(title=["a.jpg is a file name", "b"], picked=values)) == "picked"


def test_a_column_counts_by_most_of_its_values_and_by_its_name():
    assert picture_column(items(note=["a.jpg", "text", "more text"], year=[1, 2, 3])) is None
    assert picture_column(items(blob=[b"not a picture", b"nor this"])) is None
    assert picture_column(items(link=["https://shop.example/item/1"])) is None  # a page, not a picture
    assert picture_column(items(image_url=["https://shop.example/item/1"])) == "image_url"
    assert picture_column(items(file=["a.jpg"], poster=["b.jpg"])) == "poster"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_bytes_and_data_uris_are_shown_as_they_are(tmp_path, kind):
    content = picture(kind)
    uri = f"data:image/{kind.lower()};base64,{base64.b64encode(content).decode()}"
    assert shown([content], tmp_path) == [uri] and shown([uri], tmp_path) == [uri]


def test_what_only_claims_to_be_a_picture_is_not_shown(tmp_path):
    page = base64.b64encode(b"<svg onload=alert(1)>").decode()
    (tmp_path / "secret.png").write_text("password")
    values = [f"data:image/png;base64,{page}", "data:image/png;base64,A", "secret.png", "x\0.png", None]
    assert shown(values, tmp_path) == [None] * 5
    assert shown([picture(), b"<svg onload=alert(1)>", None], tmp_path)[1:] == [None] * 2
    assert picture_column(items(cover=["data:text/html,x", "data:image/svg+xml;base64,AAAA"])) is None


def test_files_are_read_from_the_folder_alone(tmp_path):
    inside, outside = tmp_path / "pictures", tmp_path / "outside.png"
    inside.mkdir()
    (inside / "a b.png").write_bytes(picture())
    outside.write_bytes(picture())
    (inside / "link.png").symlink_to(outside)
    values = ["a b.png", str(inside / "a b.png"), (inside / "a b.png").as_uri()]
    hidden = ["../outside.png", str(outside), outside.as_uri(), "link.png", "none.png", "."]
    found = shown([*values, *hidden], inside)
    assert all(uri and decoded(uri).size == (4, 6) for uri in found[:3]) and found[3:] == [None] * 6


def test_large_pictures_are_made_small_and_keep_their_shape(tmp_path):
    content = picture(size=(900, 450), noise=True)
    assert len(content) > SENT_AS_IT_IS
    (uri,) = shown([content], tmp_path)
    assert decoded(uri).size == (240, 120) and len(uri) < len(content)
    assert shown([content[: len(content) // 2]], tmp_path) == [None]  # broken off


def test_web_addresses_are_shown_only_where_that_was_asked_for(tmp_path):
    values = ["https://shop.example/1.jpg", "data:image/png;base64,AAAA"]
    assert shown(values, tmp_path)[0] is None and shown(values, tmp_path, web=True)[0] == values[0]
    assert Pictures(items(cover=values[:1]), tmp_path).on_the_web
    assert not Pictures(items(cover=values[1:]), tmp_path).on_the_web


def test_a_catalogue_without_pictures_shows_none(tmp_path):
    found = Pictures(items(year=[1999]), tmp_path)
    assert found.column is None and found.source(0) is None and not found.on_the_web
