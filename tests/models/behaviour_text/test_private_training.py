"""Private training of the softmax head: what may read events, what is refused, and what a run may keep and hold."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.models.behaviour_text.fit_private import BehaviourTextPrivateFit
from tfrec.models.behaviour_text.heads import softmax_head
from tfrec.models.behaviour_text.private_settings import _NEEDED, private_settings
from tfrec.models.behaviour_text.private_starts import start_with_counts
from tfrec.privacy import Mechanism, noisy_counts, noisy_neighbours, private_trainer, selection
from tfrec.privacy.budget import COUNTS, NEIGHBOURS
from tfrec.privacy.noise_source import KEY_FILE, NoiseSource
from tfrec.runs import train

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))
WORDS = ["tea", "coffee", "cake", "soap", "brush", "lamp", "chair", "table", "phone", "cable"]


def ring(folder, stride, users=36):
    """People who walk round a ring of 10 items, six steps of some stride each."""
    rows = [(f"u{u}", f"i{(u + step * stride) % 10}", step) for u in range(users) for step in range(6)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(10)], "title": WORDS})
    return prepare(events, items, folder, split="leave-one-out")


@pytest.fixture(scope="module")
def rings(tmp_path_factory):
    return [ring(tmp_path_factory.mktemp("data") / "ring", stride) for stride in (1, 3)]


@pytest.fixture
def asked():
    small = ["model.mlp_units=[16]", "model.text_tokens=24", "model.neighbours=4", "training.epochs=1"]
    kind = ["model.kind=behaviour-text", "model.head=softmax", "tracking.projector=3"]
    budget = ["privacy.epsilon=6", "privacy.delta=1e-3", "training.batch_size=18"]
    return RunConfig().with_values([*small, *kind, *budget])


@pytest.fixture
def config(asked, tiny_encoder):
    return asked.with_values([f"encoder.name={tiny_encoder}"])


# Settings


@pytest.mark.parametrize(
    "option, reason",
    [
        ("model.head=sigmoid", "the sigmoid head has no gradient for each person yet. Set model.head=softmax"),
        ("privacy.ids=true", "which are public. Set privacy.ids=false"),
        ("encoder.trainable=true", "without noise. Set encoder.trainable=false"),
        ("training.start_from=runs/one", "ε is not counted. Set training.start_from=null"),
        ("training.strategy=mirrored", "noise of its own"),
        ("training.mixed_bfloat16=true", "norms need float32"),
        ("retrieval.segment=country", "counted without noise"),
    ],
)
def test_what_cannot_be_private_is_refused_with_the_reason(asked, option, reason):
    assert option.partition("=")[0] in _NEEDED
    with pytest.raises(InvalidInput, match=f"does not go with privacy.epsilon: .*{reason}"):
        private_settings(asked.with_values([option]))


def test_what_reads_events_without_noise_is_off(asked):
    private = private_settings(asked)
    assert private.model.dropout == 0 and private.retrieval.exclude_seen == "true"
    assert private.model.neighbours == 4
    assert private_settings(asked.with_values(["privacy.neighbours=0"])).model.neighbours == 0
    given = asked.with_values(["retrieval.exclude_seen=false"])
    assert private_settings(given).retrieval.exclude_seen == "false"


# What the events may change


def test_the_start_with_counts_has_what_noise_does_not_hide(rings):
    """Of popularity: the logarithm, from the noise on; of what followed: the noisy neighbours."""
    mlp = softmax_head(4, np.arange(10), 10, 3, (6,), 0.0, 0, "float32")
    model = SimpleNamespace(mlp=mlp, transitions=mlp.get_layer("transitions"))
    start, counts = mlp.get_weights(), np.array([8.0, 0, 2, 1, *[0.5] * 6])
    given = (model, start, rings[1], counts)
    quiet = {COUNTS: Mechanism(COUNTS, 2.0), NEIGHBOURS: Mechanism(NEIGHBOURS, 1e-3)}
    mlp.set_weights(start_with_counts(*given, quiet, SOURCE))
    known = np.array([8.0, *[2.0] * 9])
    np.testing.assert_allclose(mlp.get_layer("logits").bias, np.log(known / 26), rtol=1e-6)
    near = model.transitions.near.numpy()
    assert all((near[item][0] - item) % 10 in (3, 7) for item in range(10))  # they walk three steps at a time
    assert float(model.transitions.share) == pytest.approx(0.75)
    loud = {COUNTS: Mechanism(COUNTS, 1e3), NEIGHBOURS: Mechanism(NEIGHBOURS, 1e3)}
    mlp.set_weights(start_with_counts(*given, loud, SOURCE))
    assert (model.transitions.near.numpy() < 0).all() and np.ptp(mlp.get_layer("logits").bias) == 0
    assert start_with_counts(model, start, rings[1], None, {}, SOURCE) is None
    for one, other in zip(mlp.get_weights(), start, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.nightly
def test_events_come_into_a_run_through_noisy_sums_alone(rings, config, tmp_path, dp_accounting, monkeypatch):
    """Where the noise is kept and every sum is lost, runs on two logs have the same weights, catalogue and ledger."""
    monkeypatch.setattr("tfrec.privacy.noise_source.secrets.token_bytes", lambda count: bytes(count))
    asked, weights, results = set(), [], []
    for module in (noisy_counts, noisy_neighbours, private_trainer, selection):

        def lost(sums, noise, deviation, module=module):
            asked.add(module)
            return deviation * noise

        monkeypatch.setattr(module, "with_noise", lost)

    class Recorded(BehaviourTextPrivateFit):
        def start_with_counts(self, start, counts):
            weights.append([*start, *super().start_with_counts(start, counts)])
            return weights[-1][len(start) :]

        def trained(self, start):
            trained, rows = super().trained(start)
            weights[-1] += trained
            return trained, rows

    assert rings[0].training().items.tolist() != rings[1].training().items.tolist()
    for number, data in enumerate(rings):
        (tmp_path / str(number)).mkdir()
        results.append(Recorded(data, private_settings(config), tmp_path / str(number)).result())
    assert asked == {noisy_counts, noisy_neighbours, private_trainer, selection}
    one, other = results
    assert one.ledger == other.ledger and not one.metrics_valid and "loss" not in one.history[0]
    assert one.items.equals(other.items)
    for left, right in zip(*weights, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.slow
@pytest.mark.nightly
def test_a_private_run_holds_its_ledger_and_no_number_of_the_log(rings, config, tmp_path, dp_accounting, capsys):
    from dp_accounting import ComposedDpEvent, GaussianDpEvent, PoissonSampledDpEvent, SelfComposedDpEvent
    from dp_accounting.pld import PLDAccountant

    run = train(rings[0], tmp_path / "run", config)
    sealed = run.manifest["privacy"]
    mechanisms = {mechanism["name"]: mechanism for mechanism in sealed["mechanisms"]}
    gradients, *others = mechanisms.values()
    assert [one["name"] for one in others] == ["item counts", "co-occurrence neighbours", "start or trained weights"]
    assert (gradients["sampling"], gradients["times"]) == (0.5, 2) and sealed["details"]["people"] == 36
    accountant = PLDAccountant()
    step = PoissonSampledDpEvent(gradients["sampling"], GaussianDpEvent(gradients["multiplier"]))
    released = [SelfComposedDpEvent(GaussianDpEvent(one["multiplier"]), one["times"]) for one in others]
    accountant.compose(ComposedDpEvent([SelfComposedDpEvent(step, gradients["times"]), *released]))
    epsilon = sealed["epsilon"]["add-or-remove-one"]
    assert epsilon == pytest.approx(accountant.get_epsilon(1e-3), rel=0.01) and epsilon <= 6
    assert "16 texts of a person" in sealed["details"]["person_adds"]["gradients"]
    assert "learned vectors of items: class vectors stay those of their texts" in sealed["off"]

    kept = sealed["details"]["kept"]
    assert kept in ("start", "start with counts", "trained weights")
    assert (kept != "trained weights") == (f"keeps the untrained {kept}" in capsys.readouterr().err)
    assert json.loads((run.path / "metrics_valid.json").read_text()) == {}
    assert run.item_counts.tolist() != rings[0].items["train_count"].to_list()
    assert not list(tmp_path.rglob(KEY_FILE)) and not list(tmp_path.rglob("read.npz"))
    assert "differential privacy" in (run.path / "model_card.md").read_text()

    queries = rings[0].queries("test")
    scores = run.scorer(rings[0]).scores(queries.history, np.arange(4))
    assert scores.shape == (4, 10) and np.isfinite(scores).all()
    for row, one in enumerate(scores):  # what a text names is never listed
        seen = queries.history.items[queries.history.row(row)]
        assert one[seen].max() < np.delete(one, seen).min()


@pytest.mark.nightly
def test_a_resumed_private_run_equals_an_uninterrupted_one(
    rings, config, tmp_path, dp_accounting, dies_at, monkeypatch
):
    monkeypatch.setattr("tfrec.privacy.noise_source.secrets.token_bytes", lambda count: bytes(range(count)))
    config = config.with_values(["privacy.selection=0", "training.epochs=3"])
    whole = train(rings[0], tmp_path / "whole", config)
    with dies_at(1):
        train(rings[0], tmp_path / "parts", config)
    monkeypatch.setattr("tfrec.privacy.noise_source.secrets.token_bytes", lambda count: bytes(count))
    resumed = train(rings[0], tmp_path / "parts", resume=True)
    for one, other in zip(whole.model.mlp.get_weights(), resumed.model.mlp.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert resumed.manifest["privacy"]["epsilon"] == whole.manifest["privacy"]["epsilon"]
