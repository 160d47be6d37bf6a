"""An export is loaded whole, or refused with its path and what to do."""

import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.damage import emptied, files_of, outcomes, passed, truncated, without_checksums
from tfrec.errors import InvalidInput
from tfrec.serving import check, export
from tfrec.serving.exporting.servable import Servable
from tfrec.serving.saved_model.guarded_export import guarded_export


def test_every_damaged_file_is_refused_with_its_path_and_a_cure(exported, tmp_path):
    guarded_export(exported)
    found = outcomes(exported, guarded_export, tmp_path, (truncated, emptied))
    assert passed(found) == [] and len(found) == 2 * len(files_of(exported))
    for (name, _), message in found.items():
        assert name in message and ("Copy the version again" in message or "Export it again" in message), (
            name,
            message,
        )


def test_a_manifest_of_another_type_is_refused(exported, tmp_path):
    copy = shutil.copytree(exported, tmp_path / "1")
    (copy / "tfrec.json").write_text("[]")
    with pytest.raises(
        InvalidInput, match=r"tfrec.json must hold a JSON object, received a list. Copy the version again"
    ):
        guarded_export(copy)


def test_an_older_export_without_hashes_loads_and_its_damaged_variables_are_refused(exported, tmp_path, capsys):
    older = without_checksums(shutil.copytree(exported, tmp_path / "1"), "tfrec.json")
    guarded_export(older)
    assert "recorded no hashes" in capsys.readouterr().err
    names = [name for name in files_of(older) if name.startswith("variables/") or name == "saved_model.pb"]
    assert passed(outcomes(older, guarded_export, tmp_path, (truncated, emptied), names)) == []


@pytest.mark.nightly
@pytest.mark.parametrize("recorded", [True, False])
def test_check_refuses_every_damage_of_every_file(exported, tmp_path, recorded):
    folder = exported
    if not recorded:
        folder = without_checksums(shutil.copytree(exported, tmp_path / "older"), "tfrec.json")
    read_by_nobody = set() if recorded else {"fingerprint.pb", "tfrec.json"}
    assert {name for name, _ in passed(outcomes(folder, check, tmp_path))} <= read_by_nobody


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_not_finite_are_refused_when_exporting_and_when_loading(run, tmp_path, monkeypatch, value):
    module = tf.Module()
    module.scale = tf.Variable([1.0, 2.0, 3.0], name="scale")
    call = tf.function(lambda x: {"y": x * module.scale}, input_signature=[tf.TensorSpec([3], tf.float32)])
    module.functions = {"serving_default": call.get_concrete_function()}
    tf.saved_model.save(module, str(tmp_path / "good"), signatures=module.functions)
    guarded_export(tmp_path / "good")
    module.scale.assign([1.0, value, 3.0])
    tf.saved_model.save(module, str(tmp_path / "bad"), signatures=module.functions)
    with pytest.raises(InvalidInput, match=r"bad: 1 of 3 values of 'scale/.*' are not finite"):
        guarded_export(tmp_path / "bad")
    monkeypatch.setattr("tfrec.serving.exporting.export._servable", lambda *_: Servable(module, {}, []))
    with pytest.raises(InvalidInput, match=r"The export of shop: 1 of 3 values of 'scale:0' are not finite"):
        export(run, tmp_path / "shop")
    assert not list((tmp_path / "shop").iterdir())
