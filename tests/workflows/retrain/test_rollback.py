"""Rollback, and champions whose files are damaged."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import shutil  # isort: skip

import pytest

from tfrec.errors import InvalidInput
from tfrec.workflows.retrain import releases as release
from tfrec.workflows.retrain import rollback


@pytest.mark.slow
def test_rollback_serves_the_previous_version_and_the_next_run_starts_from_it(quick):
    quick.retrain(12)
    assert rollback(quick.home) == {"status": "rolled_back", "version": 1, "from": 2}
    assert quick.served() == 1
    with pytest.raises(InvalidInput, match="no promoted version older"):
        rollback(quick.home)
    outcome = quick.retrain(14, "retrain.keep=2")
    assert outcome["version"] == 3 and outcome["previous"] == 1 and outcome["deleted_versions"] == [2]
    assert quick.versions() == [1, 3]
    assert rollback(quick.home)["version"] == 1
    assert sorted(path.name for path in (quick.home / "nights").iterdir()) == ["0001", "0003"]
    assert not (quick.home / "nights" / "0001" / "data").exists()


@pytest.mark.slow
def test_other_labels_and_their_versions_are_kept(quick):
    from tfrec.serving.exporting.server_config_files import label_versions

    label_versions(quick.out, {"stable": 1, "canary": 1})
    quick.retrain(12, "retrain.keep=2")
    assert release.labels(quick.out) == {"canary": 1, "stable": 2}
    quick.retrain(14, "retrain.keep=2")
    assert quick.retrain(16, "retrain.keep=2")["deleted_versions"] == [2]
    assert quick.versions() == [1, 3, 4]


@pytest.mark.slow
def test_a_damaged_champion_is_reported_before_any_work_and_rollback_helps(quick):
    quick.retrain(12)
    weights = quick.home / "nights" / "0002" / "run" / "weights" / "model.weights.h5"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidInput, match=r"0002/run \(version 2\) is not what was promoted.*--rollback"):
        quick.retrain(14)
    assert rollback(quick.home)["version"] == 1
    assert quick.retrain(14)["status"] == "promoted"


@pytest.mark.slow
def test_a_missing_champion_is_reported_too(quick):
    shutil.rmtree(quick.home / "nights" / "0001" / "run")
    with pytest.raises(InvalidInput, match=r"0001/run \(version 1\) is not what was promoted"):
        quick.retrain(12)
    assert quick.served() == 1 and quick.versions() == [1]
