"""Nothing reaches TensorFlow's loaders but what the guard let through."""

import ast
from pathlib import Path

import pytest
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.guard.guarded import guarded_model
from tfrec.guard.servable_ops import read_saved_model
from tfrec.guard.unsafe_ops import refuse_unsafe

SOURCES = Path(__file__).resolve().parents[2] / "tfrec"
LOADERS = {"hub.load", "hub.KerasLayer", "loader.load", "saved_model.load", "keras.models.load_model"}
GUARDS = {"resolve_handle(", "guarded_model(", "guarded_export("}
AFTER_CHECK = "serving/checking/python_loader.py"
"""A script in a process without tfrec, which `check` starts once the guard has passed."""


def with_method(function, folder, *specs):
    """A SavedModel without signatures, whose method is `function`: what a loader gives to Python."""
    module = tf.Module()
    module.tokenize = tf.function(function, input_signature=list(specs))
    tf.saved_model.save(module, str(folder))
    return folder


PATH = tf.TensorSpec([], tf.string)


@pytest.mark.parametrize(
    ("op", "function"),
    [
        ("EagerPyFunc", lambda text: tf.py_function(lambda value: value, [text], tf.string)),
        ("ReadFile", lambda text: tf.io.read_file(text)),
        (
            r"RestoreV2 \(reached by the method tokenize\)",
            lambda text: tf.raw_ops.RestoreV2(
                prefix=text, tensor_names=["v"], shape_and_slices=[""], dtypes=[tf.string]
            ),
        ),
    ],
)  # fmt: skip
def test_a_method_that_reads_files_or_runs_python_is_refused(tmp_path, op, function):
    folder = with_method(function, tmp_path / "model", PATH)
    with pytest.raises(InvalidInput, match=op):
        guarded_model(folder)


def test_a_vocabulary_is_read_while_loading_and_not_by_a_method(tmp_path):
    (tmp_path / "words.txt").write_text("red\nblue\n")
    initializer = tf.lookup.TextFileInitializer(
        str(tmp_path / "words.txt"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64,
        tf.lookup.TextFileIndex.LINE_NUMBER,
    )  # fmt: skip
    module = tf.Module()
    module.table = tf.lookup.StaticHashTable(initializer, -1)
    module.tokenize = tf.function(lambda text: module.table.lookup(text), input_signature=[PATH])
    tf.saved_model.save(module, str(tmp_path / "good"))
    loaded = tf.saved_model.load(str(guarded_model(tmp_path / "good")))
    assert loaded.tokenize(tf.constant("blue")).numpy() == 1

    model = read_saved_model(tmp_path / "good")
    nodes = model.meta_graphs[0].object_graph_def.nodes
    (initialize,) = {child.node_id for node in nodes for child in node.children if child.local_name == "_initialize"}
    nodes[0].children.add(node_id=initialize, local_name="tokenize_otherwise")
    with pytest.raises(InvalidInput, match="reached by the method _initialize or tokenize_otherwise"):
        refuse_unsafe(model, "changed")


@pytest.mark.parametrize("name", ["../words.txt", "/words.txt", "a/../../words.txt"])
def test_an_asset_outside_its_folder_is_refused(tmp_path, name):
    model = read_saved_model(with_method(tf.identity, tmp_path / "model", PATH))
    refuse_unsafe(model, "as it was")
    model.meta_graphs[0].asset_file_def.add(filename=name)
    with pytest.raises(InvalidInput, match="outside assets/"):
        refuse_unsafe(model, "changed")


def test_a_graph_that_has_changed_is_inspected_again(tmp_path):
    folder = with_method(tf.identity, tmp_path / "model", PATH)
    assert guarded_model(folder) == folder
    other = with_method(lambda text: tf.io.read_file(text), tmp_path / "other", PATH)
    (folder / "saved_model.pb").write_bytes((other / "saved_model.pb").read_bytes())
    with pytest.raises(InvalidInput, match="ReadFile"):
        guarded_model(folder)


def test_every_call_of_a_loader_is_behind_the_guard():
    """Independent of what the modules do: their source is searched for the calls that load a SavedModel."""
    unguarded, found = [], 0
    for path in SOURCES.rglob("*.py"):
        source = path.read_text(encoding="utf-8")
        if not any(loader in source for loader in LOADERS):
            continue
        for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
            name = ast.unparse(call.func)
            if any(name == loader or name.endswith(f".{loader}") for loader in LOADERS):
                found += 1
                if not any(guard in source for guard in GUARDS):
                    unguarded.append(path.relative_to(SOURCES).as_posix())
    assert found >= 4 and unguarded == [AFTER_CHECK]
