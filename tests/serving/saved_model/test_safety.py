"""A SavedModel is a program: what `check` refuses to load, and that ordinary models pass."""

import shutil

import pytest

import tfrec  # noqa: F401  the Keras guard, before TensorFlow
from tests.damage import without_checksums
from tfrec.errors import InvalidInput, Unavailable
from tfrec.files import cache_dir
from tfrec.guard.servable_ops import read_saved_model
from tfrec.guard.unsafe_ops import ASSET_OPS, REFUSED_OPS, SAVER_OPS, refuse_unsafe
from tfrec.serving import check
from tfrec.serving.checking import c_loader as native
from tfrec.serving.saved_model.warmup import read_warmup, write_warmup


def save(function, folder, *specs):
    """A SavedModel whose default signature is `function`."""
    import tensorflow as tf

    module = tf.Module()
    module.f = tf.function(lambda *values: {"y": function(*values)}, input_signature=list(specs))
    tf.saved_model.save(module, str(folder), signatures=module.f)
    return folder


def path_input():
    import tensorflow as tf

    return tf.TensorSpec([], tf.string, "path")


def test_reading_and_writing_files_is_refused_wherever_it_hides(tmp_path):
    import tensorflow as tf

    def nested(path):
        return tf.cond(tf.strings.length(path) > 0, lambda: tf.io.read_file(path), lambda: path)

    save(nested, tmp_path / "1", path_input())
    with pytest.raises(InvalidInput, match="ReadFile"):
        check(tmp_path / "1")

    def writes(path):
        with tf.control_dependencies([tf.raw_ops.WriteFile(filename=path, contents="x")]):
            return tf.identity(path)

    save(writes, tmp_path / "2", path_input())
    with pytest.raises(InvalidInput, match="WriteFile"):
        check(tmp_path / "2")


@pytest.mark.parametrize("op", ["PrintV2", "TextLineDataset"])
def test_less_known_ways_to_files_are_refused(tmp_path, op):
    import tensorflow as tf

    def prints(path):
        tf.print(path, output_stream="file:///tmp/x")
        return path

    def dataset(path):
        return tf.data.TextLineDataset(path).reduce("", lambda _, line: line)

    save({"PrintV2": prints, "TextLineDataset": dataset}[op], tmp_path / "1", path_input())
    with pytest.raises(InvalidInput, match=op):
        check(tmp_path / "1")


def test_saver_ops_are_allowed_for_loading_but_not_for_requests(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.v = tf.Variable([1.0, 2.0])
    module.f = tf.function(lambda x: {"y": x + module.v}, input_signature=[tf.TensorSpec([2], tf.float32)])
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.f)
    good = read_saved_model(tmp_path / "1")
    assert "RestoreV2" in str(good)
    refuse_unsafe(good, "good")

    def steals(path):
        return tf.raw_ops.RestoreV2(prefix=path, tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.float32])[0]

    save(steals, tmp_path / "2", path_input())
    with pytest.raises(InvalidInput, match=r"RestoreV2 \(reached by the signature 'serving_default'\)"):
        check(tmp_path / "2")


def test_vocabularies_come_from_the_assets_alone(tmp_path):
    import tensorflow as tf

    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("a\nb\n")

    class Looks(tf.Module):
        def __init__(self):
            super().__init__()
            # one line a value, the line number the key: a request could read the file line by line
            file = tf.lookup.TextFileInitializer(
                str(vocabulary), tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER, tf.string,
                tf.lookup.TextFileIndex.WHOLE_LINE,
            )  # fmt: skip
            self.table = tf.lookup.StaticHashTable(file, "")

        @tf.function(input_signature=[tf.TensorSpec([None], tf.int64, "line")])
        def __call__(self, line):
            return {"text": self.table.lookup(line)}

    module = Looks()
    tf.saved_model.save(module, str(tmp_path / "1"), signatures=module.__call__)
    good = read_saved_model(tmp_path / "1")
    assert len(good.meta_graphs[0].asset_file_def) == 1
    refuse_unsafe(good, "good")
    del good.meta_graphs[0].asset_file_def[:]  # the same graph, reading a path of its own
    with pytest.raises(InvalidInput, match="a table from a file outside assets"):
        refuse_unsafe(good, "bad")


def test_every_refused_op_is_an_op_that_exists():
    import tensorflow as tf

    assert [op for op in REFUSED_OPS | SAVER_OPS | ASSET_OPS if not hasattr(tf.raw_ops, op)] == []


def test_every_op_with_a_file_name_is_refused_or_known_to_be_harmless():
    """Oracle: TensorFlow's own op definitions. A new release that brings such an op makes this fail."""
    import re

    import tensorflow as tf
    from tensorflow.python.framework import op_def_registry

    named = re.compile(r"^(file|filenames?|file_pattern|path|logdir|db_uri|address|debug_urls|vocab_file|ckpt_path)$")
    found = set()
    for name in dir(tf.raw_ops):
        definition = op_def_registry.get(name)
        if definition and any(named.match(a.name) for a in [*definition.input_arg, *definition.attr]):
            found.add(name)
    assert len(found) > 30 and found - REFUSED_OPS - ASSET_OPS == set()


def test_an_export_passes_and_its_size_is_reported(exported):
    report = check(exported)
    files = {p: p.stat().st_size for p in exported.rglob("*") if p.is_file()}
    assert report.size.total == sum(files.values())
    assert report.size.graph == files[exported / "saved_model.pb"]
    assert report.size.largest[0][1] >= report.size.largest[-1][1] > 0
    assert report.warmup == 18 and "18 warm-up requests replayed" in str(report)
    assert "MB on disk" in str(report)


@pytest.mark.slow
def test_a_warmup_request_that_would_fail_is_found(exported, tmp_path):
    import numpy as np

    copy = tmp_path / "shop" / "1"
    without_checksums(shutil.copytree(exported, copy), "tfrec.json")
    warmup = copy / "assets.extra/tf_serving_warmup_requests"
    write_warmup(warmup, "shop", [("embed", {"texts": np.array([1], np.int64)})])
    with pytest.raises(InvalidInput, match="cannot serve"):
        check(copy)
    write_warmup(warmup, "shop", [("embed", {"words": np.array(["a"], object)})])
    with pytest.raises(InvalidInput, match=r"Expected the inputs \['texts'\]"):
        check(copy)
    warmup.write_bytes(b"not records")
    with pytest.raises(InvalidInput, match="Expected warm-up requests"):
        check(copy)


def test_warmup_requests_read_back_as_written(tmp_path):
    import numpy as np

    inputs = {"texts": np.array(["a" * 300, "é"], object), "n": np.array([[1.5]], np.float32)}
    write_warmup(tmp_path / "w", "shop", [("embed", inputs)])
    ((name, signature, got),) = read_warmup(tmp_path / "w")
    assert (name, signature, sorted(got)) == ("shop", "embed", ["n", "texts"])
    assert got["texts"].tolist() == [b"a" * 300, "é".encode()] and got["n"].tolist() == [[1.5]]


def test_only_the_oldest_server_can_be_requested(exported):
    with pytest.raises(InvalidInput, match="Expected 2.20"):
        check(exported, tensorflow="1.15")
    with pytest.raises(Unavailable, match="needs a C compiler"):
        check(exported, compiler="", tensorflow="2.20")


@pytest.mark.slow
@pytest.mark.skipif(
    not native.find_compiler() or not list(cache_dir().glob("assets/tensorflow-text-2.20-*")),
    reason="needs a C compiler, and TensorFlow 2.20 (320 MB) in the cache: `tfrec check FOLDER --tensorflow 2.20`",
)
def test_the_oldest_server_gives_the_same_answers(exported):
    report = check(exported, tensorflow="2.20")
    assert "2.20" in report.loader and report.examples == 8


@pytest.mark.parametrize("place", ["init", "main", "restore"])
def test_a_model_that_would_write_while_it_loads_is_refused(tmp_path, place):
    import tensorflow as tf

    def touched(path):
        return tf.strings.join([path, "!"])

    model = read_saved_model(save(touched, tmp_path / "1", path_input()))
    refuse_unsafe(model, "as it was")
    (graph,) = model.meta_graphs
    for name, value in (("prefix", b"/tmp/of-another"), ("names", b"v"), ("slices", b"")):
        node = graph.graph_def.node.add(name=f"evil_{name}", op="Const")
        node.attr["dtype"].type, node.attr["value"].tensor.dtype = 7, 7
        node.attr["value"].tensor.string_val.append(value)
    graph.graph_def.node.add(name="evil", op="SaveV2", input=["evil_prefix", "evil_names", "evil_slices", "evil_names"])
    graph.graph_def.node.add(name="all", op="NoOp", input=["^evil"])
    if place == "init":
        graph.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = "all"
    elif place == "main":
        graph.collection_def["saved_model_main_op"].node_list.value.append("all")
    else:
        graph.saver_def.restore_op_name = "all"
    with pytest.raises(InvalidInput, match="SaveV2"):
        refuse_unsafe(model, "changed")


def test_a_warm_up_request_without_a_signature_calls_the_default_one(tmp_path):
    from tensorflow_serving.apis import prediction_log_pb2

    import tensorflow as tf  # isort: skip

    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.model_spec.name = "m"
    log.predict_log.request.inputs["x"].CopyFrom(tf.make_tensor_proto([1.0]))
    with tf.io.TFRecordWriter(str(tmp_path / "file")) as writer:
        writer.write(log.SerializeToString())
    ((name, signature, inputs),) = read_warmup(tmp_path / "file")
    assert (name, signature, inputs["x"].tolist()) == ("m", "serving_default", [1.0])
