"""What `export` writes, and that it writes nothing when it fails."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tfrec.errors import InvalidInput
from tfrec.files import file_sha256, read_json, write_json
from tfrec.guard import servable_ops as ops_module
from tfrec.serving import export, next_version

export_module = import_module("tfrec.serving.exporting.export")  # the package has a function of that name


def test_the_folder_holds_what_a_server_needs(exported):
    names = {p.relative_to(exported.parent).as_posix() for p in exported.parent.rglob("*") if p.is_file()}
    assert {
        "1/saved_model.pb",
        "1/tfrec.json",
        "1/assets.extra/tf_serving_warmup_requests",
        "1/assets.extra/examples.json",
        "serving/models.config",
        "serving/batching.config",
        "serving/monitoring.config",
        "docker-compose.yaml",
        "kubernetes.yaml",
    } <= names
    assert exported.name == "1" and not [name for name in names if ".tmp" in name]


def test_tfrec_json_says_what_was_exported(exported):
    about = read_json(exported / "tfrec.json")
    assert (about["name"], about["version"], about["kind"], about["exclude_seen"]) == ("shop", 1, "next-item", True)
    assert about["sizes"] == {
        "max_k": 12, "history_length": 6, "exclude_length": 4, "candidates_length": 3, "explain_length": 3,
        "allow_length": 2,
    }  # fmt: skip
    assert about["catalogue"]["items"] == 12 and len(about["catalogue"]["sha256"]) == 64
    assert "CaseFoldUTF8" in about["text_ops"] and "MatMul" in about["ops"]
    assert sorted(about["signatures"]) == [
        "embed", "explain", "rank", "recommend", "recommend_filtered", "recommend_from_text", "recommend_from_vectors",
        "serving_default", "similar_items",
    ]  # fmt: skip


def test_tfrec_json_says_how_large_the_vectors_of_a_request_are(exported):
    inputs = read_json(exported / "tfrec.json")["signatures"]["recommend_from_vectors"]["inputs"]
    vectors = {"name": "history_vectors", "dtype": "float32", "width": 4, "dim": 6}
    assert vectors in inputs and {"name": "history_mask", "dtype": "int32", "width": 4} in inputs


def test_the_catalogue_hash_moves_with_ids_texts_and_order():
    from tfrec.serving.modules.item_index import Catalogue

    hashes = {
        Catalogue(ids, texts, np.zeros(2)).sha256()
        for ids, texts in [(["a", "b"], ["x", "y"]), (["b", "a"], ["y", "x"]), (["a", "b"], ["x", "z"])]
    }
    assert len(hashes) == 3


def test_versions_count_up_as_numbers(tmp_path):
    assert next_version(tmp_path / "none") == 1
    for name in ("2", "10", "serving", ".11.tmp-x"):
        (tmp_path / name).mkdir()
    assert next_version(tmp_path) == 11


@pytest.mark.parametrize("version", [0, -3])
def test_a_version_that_is_no_positive_integer_is_refused(run, tmp_path, version):
    with pytest.raises(InvalidInput, match="positive integer"):
        export(run, tmp_path / "shop", version=version)


def test_an_existing_version_is_not_overwritten(run, exported):
    before = (exported / "saved_model.pb").read_bytes()
    with pytest.raises(InvalidInput, match="exists already"):
        export(run, exported.parent, version=1)
    assert (exported / "saved_model.pb").read_bytes() == before


def test_a_file_as_target_is_refused(run, tmp_path):
    (tmp_path / "shop").write_text("mine")
    with pytest.raises(InvalidInput, match="is a file"):
        export(run, tmp_path / "shop")


@pytest.fixture
def without_model(monkeypatch):
    """`export` writes no SavedModel; `rivals` is called when it would."""
    rivals = []
    monkeypatch.setattr(export_module, "_servable", lambda run, options: SimpleNamespace(facts={}))
    monkeypatch.setattr(export_module, "_write", lambda *arguments: [rival() for rival in rivals])
    monkeypatch.setattr(export_module, "used_ops", lambda folder: [])
    return rivals


def written(version):
    version.mkdir(parents=True)
    write_json(version / "tfrec.json", {"name": "theirs", "version": 0})


def test_an_export_that_is_overtaken_takes_the_next_version(run, tmp_path, without_model):
    shop = tmp_path / "shop"
    without_model.append(lambda: written(shop / str(next_version(shop))))
    (shop / "1").mkdir(parents=True)
    (shop / "2").mkdir()
    (shop / ".1.tmp-01234567").mkdir()  # of a killed export
    assert export(run, shop) == shop / "4"
    assert read_json(shop / "3" / "tfrec.json") == {"name": "theirs", "version": 0}
    about = read_json(shop / "4" / "tfrec.json")
    assert about["version"] == 4 and export_module.is_export_of(shop / "4", run)
    assert sorted(path.name for path in shop.glob("[.0-9]*")) == ["1", "2", "3", "4"]


def test_a_version_that_was_asked_for_is_not_taken_from_another_export(run, tmp_path, without_model):
    rival = tmp_path / "shop" / "7" / "tfrec.json"
    without_model.append(lambda: written(rival.parent))
    with pytest.raises(InvalidInput, match="exists already"):
        export(run, tmp_path / "shop", version=7)
    assert read_json(rival) == {"name": "theirs", "version": 0}
    without_model.clear()
    assert export(run, tmp_path / "shop", version=7, force=True).is_dir() and "run" in read_json(rival)


def test_a_version_that_is_not_ours_is_not_replaced_by_force(run, tmp_path, without_model):
    (tmp_path / "shop" / "3").mkdir(parents=True)
    (tmp_path / "shop" / "3" / "saved_model.pb").write_bytes(b"theirs")
    without_model.append(lambda: pytest.fail("the work began"))
    with pytest.raises(InvalidInput, match="--force replaces an exported version"):
        export(run, tmp_path / "shop", version=3, force=True)


@pytest.mark.parametrize("name", ["50%off", "a:b", "..", ". ."])
def test_a_name_that_serving_cannot_hold_is_refused_before_the_work(run, tmp_path, without_model, name):
    without_model.append(lambda: pytest.fail("the work began"))
    with pytest.raises(InvalidInput, match="model name"):
        export(run, tmp_path / name)
    assert not any(tmp_path.iterdir())


def test_a_filter_attribute_that_is_no_column_is_refused(rebuilt, tmp_path):
    with pytest.raises(InvalidInput, match="'colour', but the items have only item_id, text, train_count, genre"):
        export(rebuilt("export.filter_attribute=colour"), tmp_path / "shop")
    assert not (tmp_path / "shop").exists()


@pytest.mark.slow
def test_an_op_the_server_lacks_leaves_nothing(run, tmp_path, monkeypatch):
    monkeypatch.setattr(ops_module, "TEXT_OPS", ())
    with pytest.raises(InvalidInput, match="CaseFoldUTF8"):
        export(run, tmp_path / "shop")
    assert list(tmp_path.rglob("*.pb")) == [] and list((tmp_path / "shop").iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "manifest", "expected"),
    [
        (["retrieval.exclude_seen=false"], {}, False),
        (["retrieval.exclude_seen=true"], {"exclude_seen": False}, True),
        ([], {"exclude_seen": False}, False),
        ([], {}, True),
    ],
)
def test_exclude_seen_follows_the_option_then_the_training(rebuilt, settings, manifest, expected):
    from tfrec.serving.exporting.export import _exclude_seen

    run = rebuilt(*settings)
    run.manifest.update(manifest)
    assert _exclude_seen(run) is expected


def test_single_values_and_lists_are_attributes():
    import polars as pl

    from tfrec.serving.exporting.servable import attribute_values

    items = pl.DataFrame({"year": [1999, None], "tags": [["x", "y"], None]})
    assert attribute_values(items, "year") == [["1999"], []]
    assert attribute_values(items, "tags") == [["x", "y"], []]


@pytest.mark.slow
def test_the_same_run_exports_the_same_bytes_in_another_process(tmp_path):
    code = (
        "import sys, runpy; sys.path.insert(0, sys.argv[1]); import tfrec\n"
        "make_run = runpy.run_path(sys.argv[2])['make_run']\n"
        "from tfrec.serving import export; export(make_run(), sys.argv[3])"
    )
    conftest = Path(__file__).parents[1] / "conftest.py"
    hashes = []
    for seed in ("1", "2"):
        out = tmp_path / seed / "shop"
        command = [sys.executable, "-c", code, str(conftest.parents[2]), str(conftest), str(out)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed})
        files = sorted(p for p in (out / "1").rglob("*") if p.is_file())
        hashes.append({p.relative_to(out).as_posix(): file_sha256(p) for p in files})
    assert hashes[0] == hashes[1] and len(hashes[0]) >= 6


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment",
    [
        "write_warmup",
        pytest.param("write_json", marks=pytest.mark.nightly),
        pytest.param("used_ops", marks=pytest.mark.nightly),
    ],
)
def test_a_kill_during_the_export_leaves_nothing_that_looks_like_a_version(tmp_path, moment):
    """SIGKILL, as the system does it: no handler runs. `moment` is the step that never comes back."""
    code = (
        "import os, signal, sys, runpy; sys.path.insert(0, sys.argv[1]); import tfrec\n"
        "make_run = runpy.run_path(sys.argv[2])['make_run']\n"
        "import importlib; module = importlib.import_module('tfrec.serving.exporting.export')\n"
        "setattr(module, sys.argv[4], lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL))\n"
        "module.export(make_run(), sys.argv[3])"
    )
    conftest = Path(__file__).parents[1] / "conftest.py"
    out = tmp_path / "shop"
    command = [sys.executable, "-c", code, str(conftest.parents[2]), str(conftest), str(out), moment]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == -9, done.stderr
    left = [path.name for path in out.iterdir()]
    # What is left is hidden, and not a number: no server and no `next_version` takes it for a version.
    assert len(left) == 1 and left[0].startswith(".1.tmp-") and next_version(out) == 1
    assert not (out / "serving").exists()
