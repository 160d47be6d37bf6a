"""Does what `c_loader.c` does, in a Python process that imports only tensorflow and tensorflow_text.

`check` runs this file by its path when there is no C compiler. It reads `[folder, calls]` as JSON from standard input
and writes the answers as JSON to the file given as its argument.
"""

import base64
import json
import sys

import numpy as np
import tensorflow as tf
import tensorflow_text  # noqa: F401  registers the ops


def main() -> None:
    """Loads the SavedModel, makes the calls and writes the answers."""
    folder, calls = json.load(sys.stdin)
    answers = []
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        tf.compat.v1.saved_model.loader.load(session, ["serve"], folder)
        for call in calls:
            feeds = {
                name: np.array(
                    list(map(decoded, t["values"])), object if t["dtype"] == "string" else t["dtype"]
                ).reshape(t["shape"])
                for name, t in call["feeds"].items()
            }
            results = session.run(list(call["fetches"].values()), feeds)
            answers.append({name: describe(value) for name, value in zip(call["fetches"], results, strict=True)})
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(answers, file)


def decoded(value: object) -> object:
    """A value of JSON; bytes where it is {"b64": …}."""
    return base64.b64decode(value["b64"]) if isinstance(value, dict) else value


def describe(value: np.ndarray) -> dict[str, object]:
    """An array as a dict that can be written as JSON."""
    if value.dtype == object:
        flat = [v.decode("utf-8", "replace") for v in value.ravel().tolist()]
        return {"dtype": "string", "shape": list(value.shape), "values": flat}
    return {"dtype": value.dtype.name, "shape": list(value.shape), "values": value.ravel().tolist()}


if __name__ == "__main__":
    main()
