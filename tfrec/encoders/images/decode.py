"""Decodes image files in TensorFlow, so that a served model takes them as they are."""

from __future__ import annotations

from typing import Final

import tensorflow as tf

MAX_PIXELS: Final = 50_000_000
"""Larger images are not decoded: a small file can hold one that fills the memory."""

VERSION: Final = 2
"""Increase it when the same file would give other pixels, as stored vectors are looked up by it."""


def decode_images(contents: tf.Tensor, size: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Decodes JPEG, PNG, GIF, BMP and WebP files and scales them to a square; usable inside a graph.

    The whole image is scaled, without regard to its proportions, by averaging (antialiasing). Grey, CMYK and palette
    images become RGB, transparency is dropped, 16 bits become 8, and of an animation the first frame is taken. A
    truncated JPEG is decoded as far as it goes.

    Args:
        contents: string `[batch]`, contents of image files.
        size: int. Height and width of the result.

    Returns:
        images: uint8 `[batch, size, size, 3]`, black where a file cannot be decoded. decoded: bool `[batch]`, false for
        content that is empty, damaged, no image, or an image of more than `MAX_PIXELS` pixels.

    Example:
        >>> red = tf.io.encode_png(tf.constant([[[255, 0, 0]]], tf.uint8))
        >>> images, decoded = decode_images(tf.stack([red, tf.constant("no image")]), size=2)
        >>> decoded.numpy().tolist(), images[0, 1, 1].numpy().tolist()
        ([True, False], [255, 0, 0])
    """
    count = tf.size(contents)
    # A graph cannot catch errors, but a dataset can leave out the elements that fail. The last element stands for none.
    elements = tf.data.Dataset.from_tensor_slices((tf.range(count), contents))
    elements = elements.map(lambda row, content: (row, _decode(content, size)), tf.data.AUTOTUNE)
    none = tf.data.Dataset.from_tensors((count, tf.zeros([size, size, 3], tf.uint8)))
    batch = elements.ignore_errors().concatenate(none).batch(tf.cast(count, tf.int64) + 1)
    rows, images = batch.get_single_element()
    rows, images = rows[:-1, None], images[:-1]
    decoded = tf.scatter_nd(rows, tf.ones_like(rows[:, 0], tf.bool), [count])
    return tf.ensure_shape(tf.scatter_nd(rows, images, [count, size, size, 3]), [None, size, size, 3]), decoded


def _decode(content: tf.Tensor, size: int) -> tf.Tensor:
    """uint8 `[size, size, 3]`; an error for content that is no image, or one that is too large."""
    with tf.control_dependencies([tf.debugging.assert_less_equal(_pixels(content), tf.constant(MAX_PIXELS, tf.int64))]):
        content = tf.identity(content)
    decoders = [
        (_is_jpeg(content), lambda: _decode_jpeg(content)),
        (_begins(content, b"RIFF"), lambda: _decode_webp(content)),
    ]
    image = tf.case(decoders, default=lambda: _decode_other(content))
    scaled = tf.image.resize(image, [size, size], antialias=True)
    return tf.cast(tf.round(tf.clip_by_value(scaled, 0, 255)), tf.uint8)


def _decode_jpeg(content: tf.Tensor) -> tf.Tensor:
    return tf.io.decode_jpeg(content, channels=3, try_recover_truncated=True, acceptable_fraction=0.1)


def _decode_other(content: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_image(content, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def _decode_webp(content: tf.Tensor) -> tf.Tensor:
    """Without its transparency: asked for three channels, TensorFlow refuses a WebP file of four."""
    image = tf.io.decode_image(content, expand_animations=False)
    return tf.ensure_shape(image[..., :3], [None, None, 3])


def _is_jpeg(content: tf.Tensor) -> tf.Tensor:
    return _begins(content, b"\xff\xd8\xff")


def _begins(content: tf.Tensor, start: bytes) -> tf.Tensor:
    return tf.strings.substr(content, 0, len(start)) == start


def _pixels(content: tf.Tensor) -> tf.Tensor:
    """Height times width, int64, as the header says; 0 for formats whose size bounds that of their content."""

    def sides(at: int, dtype: tf.DType, little_endian: bool) -> tf.Tensor:
        header = tf.strings.substr(content, at, 2 * dtype.size)
        return tf.cast(tf.io.decode_raw(header, dtype, little_endian), tf.int64)

    known = [
        (_is_jpeg(content), lambda: tf.cast(tf.io.extract_jpeg_shape(content)[:2], tf.int64)),
        (_begins(content, b"\x89PNG"), lambda: sides(16, tf.int32, False)),
        (_begins(content, b"GIF8"), lambda: sides(6, tf.uint16, True)),
        (_begins(content, b"RIFF"), lambda: _webp_sides(content)),
    ]
    return tf.reduce_prod(tf.case(known, default=lambda: tf.zeros([1], tf.int64)))


def _webp_sides(content: tf.Tensor) -> tf.Tensor:
    """Width and height of a WebP file, int64 `[2]`, by the kind of its first chunk; 0 for another file in RIFF."""

    def bits(first: int, count: int) -> tf.Tensor:
        """Some bits of those that begin with byte 20, which hold the sizes in all three kinds."""
        data = tf.cast(tf.io.decode_raw(tf.strings.substr(content, 20 + first // 8, 4), tf.uint8), tf.int64)
        number = tf.reduce_sum(data * tf.constant([1, 2**8, 2**16, 2**24], tf.int64))
        return number // 2 ** (first % 8) % 2**count

    chunk = tf.strings.substr(content, 8, 8)
    lossy, lossless, extended = (chunk == b"WEBP" + kind for kind in (b"VP8 ", b"VP8L", b"VP8X"))
    known = [
        (lossy, lambda: tf.stack([bits(48, 14), bits(64, 14)])),
        (lossless, lambda: 1 + tf.stack([bits(8, 14), bits(22, 14)])),
        (extended, lambda: 1 + tf.stack([bits(32, 24), bits(56, 24)])),
    ]
    return tf.case(known, default=lambda: tf.zeros([2], tf.int64))
