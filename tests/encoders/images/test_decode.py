"""Every image file has a defined result, and one that is broken leaves the others of its batch alone."""

import numpy as np
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from tests.encoders.images.pictures import encoded, stripes
from tfrec.encoders.images import decode
from tfrec.encoders.images.decode import decode_images

SIZE = 9


def half_transparent(image):
    image.putalpha(128)
    return image


DECODED = {
    "jpeg": encoded(stripes(), "JPEG", quality=95),
    "progressive": encoded(stripes(), "JPEG", quality=95, progressive=True),
    "cmyk": encoded(stripes().convert("CMYK"), "JPEG", quality=95),
    "png": encoded(stripes(), "PNG"),
    "transparent": encoded(stripes().convert("RGBA"), "PNG"),
    "palette": encoded(stripes().convert("P"), "PNG"),
    "gif": encoded(stripes(), "GIF"),
    "animated": encoded(stripes(), "GIF", save_all=True, append_images=[stripes().rotate(180)]),
    "animated webp": encoded(stripes(), "WEBP", save_all=True, append_images=[stripes().rotate(180)], lossless=True),
    "bmp": encoded(stripes(), "BMP"),
    "webp": encoded(stripes(), "WEBP", lossless=True),
    "lossy webp": encoded(stripes(), "WEBP", quality=95),
    "transparent webp": encoded(half_transparent(stripes()), "WEBP", lossless=True),
}
GREY = {
    "grey jpeg": encoded(Image.new("L", (9, 5), 130), "JPEG"),
    "grey png": encoded(Image.new("L", (9, 5), 130), "PNG"),
    "16 bits": encoded(Image.fromarray(np.full((5, 9), 130 * 257, np.uint16)), "PNG"),
    "one pixel": encoded(Image.new("L", (1, 1), 130), "PNG"),
}
NOT_DECODED = {
    "empty": b"",
    "words": b"no image",
    "beginning of a JPEG": DECODED["jpeg"][:20],
    "half a PNG": DECODED["png"][:60],
    "TIFF": encoded(stripes(), "TIFF"),
    "60 million pixels, PNG": encoded(Image.new("1", (10_000, 6_000)), "PNG"),
    "60 million pixels, GIF": b"GIF89a" + (10_000).to_bytes(2, "little") + (6_000).to_bytes(2, "little") + bytes(9),
}


@pytest.fixture(scope="module")
def results():
    files = {**DECODED, **GREY, **NOT_DECODED}
    images, decoded = decode_images(tf.constant(list(files.values())), SIZE)
    return dict(zip(files, zip(images.numpy(), decoded.numpy().tolist(), strict=True), strict=True))


@pytest.mark.parametrize("name", DECODED)
def test_every_format_gives_the_same_picture(results, name):
    image, decoded = results[name]
    assert decoded and image.dtype == np.uint8 and image.shape == (SIZE, SIZE, 3)
    assert_allclose(image[[1, 4, 7], 2].astype(int), [[255, 0, 0], [0, 255, 0], [0, 0, 255]], atol=25)


@pytest.mark.parametrize("name", GREY)
def test_grey_images_become_rgb(results, name):
    image, decoded = results[name]
    assert decoded
    assert_allclose(image.astype(int), 130, atol=1)


@pytest.mark.parametrize("name", NOT_DECODED)
def test_what_cannot_be_decoded_is_black_and_said_to_be_so(results, name):
    image, decoded = results[name]
    assert not decoded
    assert_array_equal(image, 0)


def test_a_truncated_jpeg_is_decoded_as_far_as_it_goes():
    whole = encoded(stripes(240, 360), "JPEG", quality=95)
    images, decoded = decode_images(tf.constant([whole[: len(whole) * 2 // 3]]), SIZE)
    assert decoded.numpy().tolist() == [True]
    assert_allclose(images[0, 0, 2].numpy().astype(int), [255, 0, 0], atol=25)


def test_a_batch_of_nothing_gives_nothing():
    images, decoded = decode_images(tf.zeros([0], tf.string), SIZE)
    assert images.shape == (0, SIZE, SIZE, 3) and decoded.shape == (0,)


def test_images_are_refused_by_the_size_that_their_header_says(monkeypatch):
    files = tf.constant([DECODED[name] for name in ("jpeg", "png", "gif", "webp", "lossy webp", "transparent webp")])
    monkeypatch.setattr(decode, "MAX_PIXELS", 40 * 60 - 1)
    assert not decode_images(files, SIZE)[1].numpy().any()
    monkeypatch.setattr(decode, "MAX_PIXELS", 40 * 60)
    assert decode_images(files, SIZE)[1].numpy().all()
