"""Contents of small image files for tests."""

import io

import numpy as np
from PIL import Image


def encoded(image, kind, **options):
    """The content of an image file in a format of Pillow."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def stripes(width=40, height=60):
    """Red above, green in the middle and blue below."""
    colours = np.repeat(np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8), height // 3, axis=0)
    return Image.fromarray(np.repeat(colours[:, None], width, axis=1))
