#!/usr/bin/env bash
# tf_keras 2.21.0: a .weights.h5 file keeps layers under their classes and places, not under the names they were given.
#
# Guess: weights come back to the layer of the same name, whatever the order of the layers or the name of their class.
# Seen: two named layers of one shape in the other order silently get each other's weights. A layer with its old name
# whose class is a subclass of the old one is not found in the file, and loading ends in a ValueError.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet tensorflow==2.21.0 tf_keras==2.21.0
TF_CPP_MIN_LOG_LEVEL=3 venv/bin/python - 2>/dev/null <<'PYTHON'
import numpy as np
import tf_keras as keras


class Tower(keras.layers.Dense):
    """A Dense under another class name."""


def model(*names, layer=keras.layers.Dense):
    made = keras.Sequential([layer(3, use_bias=False, name=name) for name in names])
    made.build((None, 3))
    return made


saved = model("users", "items")
saved.save_weights("model.weights.h5")
kernel = saved.get_layer("users").kernel.numpy()

swapped = model("items", "users")
swapped.load_weights("model.weights.h5")
found = {
    "users got users": np.array_equal(swapped.get_layer("users").kernel.numpy(), kernel),
    "items got users": np.array_equal(swapped.get_layer("items").kernel.numpy(), kernel),
}
try:
    model("users", "items", layer=Tower).load_weights("model.weights.h5")
    found["subclass"] = "loaded"
except ValueError as error:
    found["subclass"] = str(error).split(" during")[0]
print(found)
if found != {
    "users got users": False,
    "items got users": True,
    "subclass": "Layer 'users' expected 1 variables, but received 0 variables",
}:
    raise SystemExit("CHANGED")
print("as found")
PYTHON
