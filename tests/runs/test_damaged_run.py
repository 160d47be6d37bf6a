"""A run is loaded whole, or refused with its path and what to do. Its model is built and never fitted."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import shutil  # isort: skip

import numpy as np
import polars as pl
import pytest

from tests.damage import emptied, outcomes, passed, truncated, without_checksums
from tests.unfitted_run import ITEMS, unfitted
from tfrec.errors import InvalidInput
from tfrec.models.next_item.family import NextItemFamily
from tfrec.runs import Run, train


@pytest.fixture
def folder(small_run):
    return small_run


def load(path):
    """What `recommend` and `export` read of a run, but for its encoder."""
    run = Run(path)
    return run.items, run.segments, run.text_vectors, run.untuned_text_vectors, run.model


QUICK = ["config.yaml", "items.parquet", "manifest.json", "segments.parquet", "weights/text_vectors.npy"]
"""Files that are read before the model is built, which takes a second."""


@pytest.mark.slow
def test_every_damaged_file_is_refused_with_its_path_and_a_cure(folder, tmp_path):
    assert load(folder)[-1] is not None
    found = outcomes(folder, load, tmp_path, names=[*QUICK, "weights/model.weights.h5"])
    assert passed(found) == []
    for (name, _), message in found.items():
        assert name in message and "Restore the run from a copy, or train again" in message, (name, message)


@pytest.mark.slow
def test_an_older_run_without_hashes_loads_and_its_damaged_files_are_refused(folder, tmp_path, capsys):
    older = without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json")
    load(older)
    assert "recorded no hashes" in capsys.readouterr().err
    assert passed(outcomes(older, load, tmp_path, names=QUICK)) == []
    weights = outcomes(older, load, tmp_path, (truncated, emptied), ["weights/model.weights.h5"])
    assert passed(weights) == [] and all("train again" in message for message in weights.values())


@pytest.mark.nightly
@pytest.mark.parametrize("recorded", [True, False])
def test_every_file_of_a_run_and_every_damage(folder, tmp_path, recorded):
    if not recorded:
        folder = without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json")
    read_by_nobody = {"metrics_valid.json"}
    assert {name for name, _ in passed(outcomes(folder, load, tmp_path))} == read_by_nobody


def test_items_in_another_order_are_refused(folder, tmp_path):
    changed = shutil.copytree(folder, tmp_path / "changed")
    pl.read_parquet(changed / "items.parquet").reverse().write_parquet(changed / "items.parquet")
    with pytest.raises(InvalidInput, match=r"items.parquet has changed since it was written"):
        load(changed)


def test_a_file_put_into_a_run_is_not_taken_for_its_own(folder, tiny_encoder, tmp_path):
    changed = shutil.copytree(folder, tmp_path / "changed")
    np.save(changed / "weights/text_vectors_untuned.npy", np.zeros((ITEMS, 32), np.float32))
    shutil.copytree(tiny_encoder, changed / "encoder")
    run = Run(changed)
    assert np.array_equal(run.untuned_text_vectors, run.text_vectors)
    assert run.encoder().encoder_handle == str(tiny_encoder / "encoder")


@pytest.mark.parametrize("shape", [(ITEMS - 1, 32), (ITEMS,)])
def test_text_vectors_of_other_items_are_refused(folder, tmp_path, shape):
    older = without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json")
    np.save(older / "weights/text_vectors.npy", np.zeros(shape, np.float32))
    with pytest.raises(InvalidInput, match=f"a vector for each of {ITEMS} items"):
        _ = Run(older).text_vectors


@pytest.mark.slow
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused_at_the_end_of_training_and_at_loading(
    small_data,
    small_config,
    folder,
    tmp_path,
    monkeypatch,
    value,
):
    def spoil(model):
        weight = next(weight for weight in model.weights if "float" in weight.dtype.name and weight.shape.rank)
        weight.assign(np.full(weight.shape, value, np.float32))

    monkeypatch.setattr(NextItemFamily, "fit", unfitted(spoil))
    with pytest.raises(InvalidInput, match=r"The trained model: \d+ of \d+ values .* not finite.*learning_rate"):
        train(small_data, tmp_path / "run", small_config)
    assert not (tmp_path / "run").exists()

    run = Run(without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json"))
    model = run.model
    spoil(model)
    model.save_weights(str(run.path / "weights/model.weights.h5"))
    with pytest.raises(InvalidInput, match=r"model.weights.h5: \d+ of \d+ values .* not finite. Train again"):
        _ = Run(run.path).model


def test_a_run_of_an_older_version_knows_its_encoder_by_the_recorded_hash(folder, tmp_path):
    older = Run(without_checksums(shutil.copytree(folder, tmp_path / "older"), "manifest.json"))
    encoder = older.encoder()
    del older.manifest["encoder_weights_hash"]
    older.manifest["encoder_hash"] = encoder.recorded_hash
    assert older.encoder().hash == encoder.hash
    older.manifest["encoder_hash"] = "0" * 64
    with pytest.raises(InvalidInput, match="is not the one this run was trained with"):
        older.encoder()


def test_an_encoder_that_was_converted_again_is_still_that_of_the_run(folder):
    run = Run(folder)
    run.manifest["encoder_hash"] = "0" * 64  # as a conversion in another process gives other names to functions
    assert run.encoder().weights_hash == run.manifest["encoder_weights_hash"]
    run.manifest["encoder_weights_hash"] = "0" * 64
    with pytest.raises(InvalidInput, match="is not the one this run was trained with"):
        run.encoder()
