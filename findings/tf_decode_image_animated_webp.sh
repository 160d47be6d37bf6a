#!/usr/bin/env bash
# TensorFlow 2.21.0: tf.io.decode_image refuses an animated WebP that it was asked to read as one picture.
#
# Guess: expand_animations=False gives the first frame of an animated WebP, as its documentation says of GIF.
# Seen: GIF gives its first frame; WebP raises InvalidArgumentError, so a catalogue with one such picture stops a pipeline.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow==2.21.0 pillow==13.0.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>/dev/null <<'PYTHON'
import io

import tensorflow as tf
from PIL import Image

frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]


def decoded(form):
    """The shape of an animation of two frames, read as one picture; the name of the error if there is one."""
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:], duration=100)
    try:
        return tuple(tf.io.decode_image(file.getvalue(), channels=3, expand_animations=False).shape)
    except tf.errors.OpError as error:
        return type(error).__name__


found = {form: decoded(form) for form in ("GIF", "WEBP")}
print(found)
if found != {"GIF": (8, 8, 3), "WEBP": "InvalidArgumentError"}:
    raise SystemExit("CHANGED")
print("as found")
PYTHON
