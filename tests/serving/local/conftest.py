"""A model small enough to export in a moment: version N multiplies by N."""

import http.client
import json
from types import SimpleNamespace

import numpy as np
import pytest

import tfrec  # noqa: F401  the Keras guard, before TensorFlow

pytest.importorskip("aiohttp")
pytest.importorskip("tensorflow_serving.apis.predict_pb2")


def save_toy(folder, factor):
    """Writes a version; `serving_default` has two inputs, `one` has one, `busy` counts to n."""
    import tensorflow as tf

    def positive(a):
        with tf.control_dependencies([tf.debugging.assert_positive(a)]):
            return {"a": tf.identity(a)}

    module = tf.Module()
    module.factor = tf.Variable(float(factor))
    functions = {
        "serving_default": (
            lambda x, s: {"y": x * module.factor, "t": s + "!", "code_bytes": s},
            {"x": tf.TensorSpec([None, 2], tf.float32, "x"), "s": tf.TensorSpec([None], tf.string, "s")},
        ),
        "one": (lambda n: {"m": n + 1}, {"n": tf.TensorSpec([None], tf.int64, "n")}),
        "explain": (lambda n: {"why": n * 2}, {"n": tf.TensorSpec([None], tf.int64, "n")}),
        "flags": (lambda b: {"no": ~b}, {"b": tf.TensorSpec([None], tf.bool, "b")}),
        "ratio": (lambda a: {"q": a / (a - 1.0)}, {"a": tf.TensorSpec([None], tf.float32, "a")}),
        "busy": (
            lambda n: {"done": tf.while_loop(lambda i: tf.reduce_any(i < n), lambda i: (i + 1,), (n * 0,))[0]},
            {"n": tf.TensorSpec([None], tf.int32, "n")},
        ),
        "positive": (positive, {"a": tf.TensorSpec([None], tf.float32, "a")}),
        "mean": (lambda a: {"mean": tf.reduce_mean(a)}, {"a": tf.TensorSpec([None], tf.float32, "a")}),
    }
    module.keep = [tf.function(f).get_concrete_function(**specs) for f, specs in functions.values()]
    tf.saved_model.save(module, str(folder), signatures=dict(zip(functions, module.keep, strict=True)))
    return folder


@pytest.fixture(scope="session")
def toy(tmp_path_factory):
    """Versions to copy from: `toy(3)` is the folder of version 3."""
    root = tmp_path_factory.mktemp("toy")

    def version(number):
        folder = root / str(number)
        return folder if folder.exists() else save_toy(folder, number)

    return version


@pytest.fixture(scope="session")
def server(toy, tmp_path_factory):
    """Versions 1 (stable) and 2 (canary) of the model `m`. Tests must not change it."""
    import shutil

    from tfrec.serving import LocalServer, label_versions

    folder = tmp_path_factory.mktemp("models") / "m"
    for number in (1, 2):
        shutil.copytree(toy(number), folder / str(number))
    label_versions(folder, {"stable": 1, "canary": 2})
    with LocalServer(folder) as running:
        yield running


def ask(server, method, path, body=None, headers=None):
    """Status, parsed JSON (or text) and headers of a REST request; a str or bytes body goes as it is."""
    host, port = server.rest.removeprefix("http://").split(":")
    connection = http.client.HTTPConnection(host, int(port), timeout=30)
    data = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
    connection.request(method, path, data.encode() if isinstance(data, str) else data, headers or {})
    response = connection.getresponse()
    text = response.read()
    connection.close()
    try:
        parsed = json.loads(text)
    except ValueError:
        parsed = text.decode("utf-8", "replace")
    return SimpleNamespace(status=response.status, body=parsed, type=response.headers.get("Content-Type", ""))


@pytest.fixture
def rest(server):
    """`rest("POST", "/v1/models/m:predict", {...})`."""
    return lambda *arguments, **more: ask(server, *arguments, **more)


@pytest.fixture(scope="session")
def ask_server():
    """`ask` for a server of the test's own."""
    return ask


@pytest.fixture
def tensors():
    """Inputs of `serving_default` as arrays."""
    return {"x": np.array([[1, 2], [3, 4]], np.float32), "s": np.array(["a", "é"], object)}
