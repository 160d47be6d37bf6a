"""Runs that learn from runs: the manifest names them, and what cannot teach is refused."""

from importlib import import_module
from types import SimpleNamespace

import pytest

from tfrec.errors import InvalidInput
from tfrec.models.next_item.learn_from_runs import teachers_of
from tfrec.runs import Run, train


@pytest.mark.nightly
def test_a_run_learns_from_a_run_and_names_it(small_data, small_config, small_run, tmp_path):
    values = {"training.teachers": [str(small_run)], "training.epochs": 1, "training.batch_size": 8}
    taught = train(small_data, tmp_path / "taught", small_config.with_values(values))
    assert taught.manifest["teachers"] == [
        {"run": str(small_run), "weights": Run(small_run).manifest["files"]["weights/model.weights.h5"]}
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"training.negatives": "uniform"}, "needs the whole catalogue"),
        ({"model.max_history": 300}, "reads histories of 50 events"),
        ({"training.start_from": "runs/one"}, "not with encoder.trainable, privacy or training.start_from"),
        ({"model.kind": "click-ranker"}, "only next-item models learn from other runs"),
    ],
)
def test_what_cannot_learn_from_runs_is_refused(small_data, small_config, small_run, tmp_path, values, message):
    if "training.start_from" in values:
        values = {"training.start_from": str(small_run)}
    with pytest.raises(InvalidInput, match=message):
        train(small_data, tmp_path / "run", small_config.with_values({**values, "training.teachers": [str(small_run)]}))


def test_a_teacher_of_other_items_is_refused(small_data, small_config, tmp_path):
    class Other:
        path, config, event_kinds, manifest = tmp_path, small_config, small_data.event_kinds, {}
        item_ids = small_data.item_ids[::-1]

    with pytest.raises(InvalidInput, match="items of .* are not those of the dataset"):
        teachers_of([Other()], small_data, small_config)


def test_a_teacher_of_an_older_version_is_named_without_the_hash_of_its_weights():
    named, run = import_module("tfrec.runs.train")._named, SimpleNamespace(path="runs/old", manifest={})
    assert named(run) == {"run": "runs/old", "weights": None}
    run.manifest["files"] = {"weights/model.weights.h5": "ab"}
    assert named(run) == {"run": "runs/old", "weights": "ab"}
