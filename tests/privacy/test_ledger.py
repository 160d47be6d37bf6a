"""The ledger: what it holds, and that an edited one is refused."""

import copy
import json

import pytest

from tfrec.errors import InvalidInput
from tfrec.privacy import Ledger, Mechanism

FILES = {"weights/model.weights.h5": "a" * 64, "config.yaml": "b" * 64}


@pytest.fixture(scope="module")
def ledger(dp_accounting):
    mechanisms = (Mechanism("sums", 4.0, times=2), Mechanism("counts", 9.0, noise="laplace"))
    return Ledger(1e-5, mechanisms, {"clip": 0.5}, public=("texts",), off=("memory",), uncovered=("metrics",))


@pytest.fixture(scope="module")
def manifest(ledger):
    return json.loads(json.dumps({"files": FILES, "privacy": ledger.seal(FILES)}))


def test_what_is_sealed_reads_back(ledger, manifest):
    assert Ledger.read(manifest) == ledger
    assert Ledger.read({"files": FILES}) is None


def test_a_sealed_ledger_has_epsilon_under_both_relations_and_of_each_mechanism_alone(ledger, manifest):
    sealed = manifest["privacy"]
    assert sealed["epsilon"] == ledger.epsilons()
    assert 0 < sealed["epsilon"]["add-or-remove-one"] < sealed["epsilon"]["replace-one"]
    alone = [mechanism["epsilon_alone"] for mechanism in sealed["mechanisms"]]
    assert 0 < alone[1] < alone[0] < sealed["epsilon"]["add-or-remove-one"]


@pytest.mark.parametrize(
    "edit",
    [
        lambda sealed: sealed["epsilon"].update({"add-or-remove-one": 0.1}),
        lambda sealed: sealed["mechanisms"].pop(),
        lambda sealed: sealed["mechanisms"][0].update(times=1),
        lambda sealed: sealed.update(delta=1e-9),
        lambda sealed: sealed["uncovered"].clear(),
        lambda sealed: sealed.pop("sha256"),
    ],
)
def test_an_edited_ledger_is_refused(manifest, edit):
    edited = copy.deepcopy(manifest)
    edit(edited["privacy"])
    with pytest.raises(InvalidInput, match="was changed after training.*train again"):
        Ledger.read(edited)


def test_the_ledger_of_other_weights_is_refused(manifest):
    other = {**manifest, "files": {**FILES, "weights/model.weights.h5": "c" * 64}}
    with pytest.raises(InvalidInput, match="other weights"):
        Ledger.read(other)
    assert Ledger.read({**manifest, "files": {**FILES, "config.yaml": "c" * 64}}) is not None


@pytest.mark.parametrize("wrong", [{"multiplier": 0}, {"sampling": 0}, {"sampling": 1.5}, {"times": 0}, {"noise": "x"}])
def test_a_mechanism_out_of_range_is_refused(wrong):
    with pytest.raises(InvalidInput, match="A mechanism needs"):
        Mechanism(**{"name": "sums", "multiplier": 1.0, **wrong})


def test_sampled_laplace_noise_is_refused():
    with pytest.raises(InvalidInput, match="Laplace"):
        Mechanism("sums", 1.0, 0.5, noise="laplace")


@pytest.mark.parametrize("batches", ["shuffled", "fixed"])
def test_batches_that_are_not_poisson_samples_have_no_epsilon_and_it_is_said_why(batches):
    with pytest.raises(InvalidInput, match=f"{batches} batches.*no bound.*3.5.*8 at least.*independently"):
        Mechanism("gradients", 0.8, 0.01, 1000, batches=batches)
