"""`check` passes an export only if it serves the way TensorFlow Serving would."""

import json
import shutil

import pytest

from tests.damage import without_checksums
from tfrec.errors import InvalidInput
from tfrec.serving import check
from tfrec.serving.checking import c_loader as native
from tfrec.serving.checking.check import C_API, CLEAN_PYTHON

compiler = native.find_compiler()
needs_compiler = pytest.mark.skipif(not compiler, reason="no C compiler here")


@pytest.fixture(scope="session")
def program(tmp_path_factory):
    return native.compile_loader(compiler)


@needs_compiler
@pytest.mark.slow
def test_a_good_export_passes_through_the_c_api(exported):
    report = check(exported)
    assert report.loader == C_API and report.note == "" and report.examples == 9
    assert "recommend_from_text" in report.signatures
    assert "without Python" in str(report)


@pytest.mark.slow
def test_without_a_compiler_a_clean_python_process_checks_and_the_report_says_so(exported):
    report = check(exported, compiler="")
    assert report.loader == CLEAN_PYTHON and report.examples == 9
    assert "No C compiler was found" in str(report)


@needs_compiler
def test_text_ops_come_from_the_libraries_alone(exported, program):
    with pytest.raises(InvalidInput, match="CaseFoldUTF8"):
        native.run_native(program, exported, [], libraries=[])


@needs_compiler
@pytest.mark.parametrize(
    ("output", "change", "message"),
    [
        ("scores", lambda values: [values[0] + 1.0, *values[1:]], "scores: 1 of"),
        pytest.param("item_ids", lambda values: values[::-1], "item_ids: ", marks=pytest.mark.nightly),
        pytest.param(
            "count", lambda values: [v + 1 for v in values], "count: 5 of 5 differ", marks=pytest.mark.nightly
        ),
    ],
)
def test_an_answer_that_changed_is_reported(exported, tmp_path, output, change, message):
    copy = without_checksums(shutil.copytree(exported, tmp_path / "1"), "tfrec.json")
    path = copy / "assets.extra/examples.json"
    examples = json.loads(path.read_text())
    examples[0]["outputs"][output]["values"] = change(examples[0]["outputs"][output]["values"])
    path.write_text(json.dumps(examples[:1]))
    with pytest.raises(InvalidInput, match=f"serving_default .request 1.: {message}"):
        check(copy)


def test_a_folder_that_is_no_export_is_refused(tmp_path):
    with pytest.raises(InvalidInput, match="saved_model.pb"):
        check(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff not a model")
    with pytest.raises(InvalidInput, match="not a SavedModel"):
        check(tmp_path)


def test_a_model_that_calls_python_is_refused(tmp_path):
    import tensorflow as tf

    class Calls(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x):
            return tf.numpy_function(lambda v: v, [x], tf.float32)

    tf.saved_model.save(Calls(), str(tmp_path))
    with pytest.raises(InvalidInput, match="PyFunc"):
        check(tmp_path)


@needs_compiler
def test_a_foreign_saved_model_without_examples_is_loaded(tmp_path):
    import tensorflow as tf

    class Twice(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([None], tf.float32)])
        def __call__(self, x):
            return 2 * x

    tf.saved_model.save(Twice(), str(tmp_path))
    report = check(tmp_path)
    assert report.examples == 0 and "No answers were compared" in str(report)


@needs_compiler
def test_calls_are_timed_one_by_one_through_the_c_api(exported, program):
    from tfrec.guard.servable_ops import read_saved_model

    about = read_saved_model(exported).meta_graphs[0].signature_def["similar_items"]
    call = {
        "feeds": {about.inputs["item_ids"].name: {"dtype": "string", "shape": [1], "values": ["i0"]}},
        "fetches": {name: output.name for name, output in about.outputs.items()},
    }
    seconds = native.time_native(program, exported, call, times=4)
    assert len(seconds) == 4 and all(0 < second < 60 for second in seconds)
    assert native.run_native(program, exported, [call])[0]["count"]["values"] == [11]
