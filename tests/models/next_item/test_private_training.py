"""Private training of NextItemModel: what may read events, what is refused, and what a run may keep and hold."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import json  # isort: skip
import re  # isort: skip
from functools import partial

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.models import NextItemModel
from tfrec.models.next_item import fit_private
from tfrec.models.next_item.private_settings import _NEEDED, _OFF, private_settings
from tfrec.models.next_item.private_starts import copy_of, public_start, start_with_counts
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.validation import measured
from tfrec.privacy import Ledger, Mechanism
from tfrec.privacy.budget import COUNTS, GRADIENTS, NEIGHBOURS, SELECTION
from tfrec.privacy.noise_source import KEY_FILE, NoiseSource
from tfrec.privacy.selection import surely_better, validation_queries
from tfrec.runs import Run, train
from tfrec.workflows.retrain import retrain
from tfrec.workflows.tune import tune

pytest.importorskip("cryptography")
SOURCE = NoiseSource(bytes(32))


def ring(folder, seed, users=40):
    """People who walk round a ring of 12 items, from places that depend on the seed."""
    rng = np.random.default_rng(seed)
    rows = [
        (f"u{u}", f"i{(start + step * (1 + seed)) % 12}", step)
        for u, start in enumerate(rng.integers(0, 12, users))
        for step in range(rng.integers(3, 9))
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": [f"red {i}" for i in range(12)]})
    return prepare(events, items, folder, split="leave-one-out")


@pytest.fixture(scope="module")
def rings(tmp_path_factory):
    return [ring(tmp_path_factory.mktemp("data") / "ring", seed) for seed in (0, 1)]


@pytest.fixture
def config(tiny_encoder):
    small = [
        "model.dim=16",
        "model.heads=2",
        "model.layers=0",
        "model.max_history=8",
        "training.epochs=2",
        "training.batch_size=40",
    ]
    budget = ["privacy.epsilon=6", "privacy.delta=1e-3"]
    return RunConfig().with_values([*small, *budget, f"encoder.name={tiny_encoder}", "tracking.projector=3"])


# Settings


HARMLESS = """
model: kind head dim layers block heads max_history memory_history read_impressions temperature use_text use_id id_rate
repeat_bias repeat_kinds neighbours text_neighbours popular text_history text_tokens mlp_units negatives candidate
neighbour_window popularity_half_life modality_dropout modality_weight
training: epochs batch_size learning_rate weight_decay ema warmup time_budget seed max_examples
sample patience monitor validate_from encoder_learning_rate encoder_epochs encoder_batch_size encoder_layer_decay
encoder_unfreeze encoder_memory encoder_negatives encoder_sample encoder_examples memory_in_loss domain_temperature
teachers_weight
"""
"""Options that read no event, or that have no effect in private training, because what they are about is off, refused
(pictures) or, as `neighbours` and `popular`, gets noise."""


@pytest.mark.parametrize("section", ["model", "training"])
def test_of_every_option_it_is_known_whether_it_may_read_events(section):
    """Whoever adds an option decides: off (`_OFF`), refused (`_NEEDED`), or harmless, above."""
    found = re.search(rf"^{section}:(.*?)(?=^\w+:|\Z)", HARMLESS, re.MULTILINE | re.DOTALL)
    words = found[1].split()
    decided = {option.partition(".")[2] for option in {**_OFF, **_NEEDED} if option.startswith(f"{section}.")}
    options = set(type(getattr(RunConfig(), section)).model_fields)
    assert not decided & set(words)
    assert options == decided | set(words)


def test_everything_that_reads_events_without_noise_is_off():
    config = private_settings(RunConfig().with_values(["privacy.epsilon=8"]))
    assert not config.training.balance and config.training.negatives == "all"
    assert config.model.memory_history == config.model.max_history  # not by the lengths of the log
    assert config.retrieval.exclude_seen == "true"
    assert not config.model.use_id and config.model.text_neighbours == RunConfig().model.text_neighbours
    assert private_settings(RunConfig().with_values(["privacy.epsilon=8", "privacy.ids=true"])).model.use_id
    off = ["privacy.epsilon=8", "privacy.neighbours=0", "privacy.counts=0"]
    without, plain = private_settings(RunConfig().with_values(off)).model, RunConfig().model
    assert (config.model.neighbours, config.model.popular) == (plain.neighbours, plain.popular)
    assert (without.neighbours, without.popular) == (0, 0)


@pytest.mark.parametrize(
    "option, reason",
    [
        ("encoder.trainable=true", "without noise"),
        ("training.start_from=runs/one", "ε is not counted"),
        ("training.teachers=[runs/one]", r"ε is not counted. Set training.teachers=\[\]"),
        ("training.loss=bpr", "no gradient for each person"),
        ("training.contrastive=0.1", "compares people"),
        ("training.augmentation.drop=0.1", "co-occurrences"),
        ("training.behaviour_weights={view: 2}", "each person"),
        ("retrieval.segment=country", "counted without noise"),
        ("model.use_text=false", "privacy.ids=true"),
    ],
)
def test_what_cannot_be_private_is_refused_with_the_reason(option, reason):
    with pytest.raises(InvalidInput, match=reason):
        private_settings(RunConfig().with_values(["privacy.epsilon=8", option]))


def test_families_that_shuffle_their_batches_get_no_epsilon_and_say_why(rings, tmp_path):
    with pytest.raises(InvalidInput, match="shuffled batches.*no bound"):
        train(rings[0], tmp_path / "run", {"model.kind": "click-ranker", "privacy.epsilon": 8})
    assert list(tmp_path.iterdir()) == []


def test_jobs_that_train_or_compare_again_are_refused(rings, tmp_path):
    with pytest.raises(InvalidInput, match="each of its trials spends privacy.epsilon again"):
        tune(rings[0], {"training.epochs": {"choices": [1]}}, tmp_path / "study", {"privacy.epsilon": 8})
    with pytest.raises(InvalidInput, match="retrain would spend privacy.epsilon again"):
        retrain("events.csv", None, tmp_path / "home", tmp_path / "served", config={"privacy.epsilon": 8})
    assert list(tmp_path.iterdir()) == []


# What the events may change


def test_the_public_start_does_not_depend_on_the_events(rings, config):
    texts = np.random.default_rng(0).normal(size=(12, 32)).astype(np.float32)
    config = private_settings(config)
    one, other = (public_start(data, texts, config).get_weights() for data in rings)
    assert rings[0].items["train_count"].to_list() != rings[1].items["train_count"].to_list()
    for left, right in zip(one, other, strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_model_is_better_when_the_noisy_gain_is_above_what_noise_alone_gives(rings, config):
    queries, rng = validation_queries(rings[0]), np.random.default_rng(0)
    assert len(queries) == len(set(queries.user_ids)) > 30  # one a person, whom the noise is for
    models = [NextItemModel(12, 1, 0, 8, 0, 2, 8, neighbours=0, repeat_bias=False) for _ in range(2)]
    for model in models:
        model.items.ids.assign(rng.normal(size=(12, 8)))
    gain, noise = summed_gain(models, queries), SOURCE.gaussian("selection", 3, 1)[0]
    assert abs(gain) > 0.5
    worst, best = models if gain > 0 else models[::-1]

    def better(model, other, multiplier, number=0):
        values = [measured(NextItemScorer(one), queries, rings[0], config)[1] for one in (model, other)]
        return surely_better(values[0] - values[1], multiplier, SOURCE, number)

    assert better(best, worst, multiplier=1e-6) and not better(worst, best, multiplier=1e-6)
    assert not better(best, best, multiplier=1e-6, number=3)
    # gain + noise · multiplier > 1.645 · multiplier
    limit = abs(gain) / (1.645 - noise)
    assert better(best, worst, multiplier=0.99 * limit, number=3)
    assert not better(best, worst, multiplier=1.01 * limit, number=3)


@pytest.mark.parametrize("better", ["start", "start with counts", "trained weights"])
def test_a_run_keeps_what_is_best_on_validation_and_says_so(better, rings, config, tmp_path, monkeypatch, capsys):
    """With next to no noise, and a training that is the copy of its start."""
    texts, config = np.random.default_rng(0).normal(size=(12, 32)).astype(np.float32), private_settings(config)
    quiet = [Mechanism(GRADIENTS, 1.0, 1.0, 2), Mechanism(NEIGHBOURS, 1e-3), Mechanism(SELECTION, 1e-6, times=2)]
    monkeypatch.setattr(
        "tfrec.models.shared.private_fit.planned_mechanisms", lambda *given, **more: {one.name: one for one in quiet}
    )
    monkeypatch.setattr("tfrec.privacy.ledger.epsilon_of", lambda *given: 1.0)
    start = public_start(rings[0], texts, config)
    trained, bases = copy_of(start), []

    def good(fit, model):
        kind = "start" if model is start else "trained weights" if model is trained else "start with counts"
        return np.full(len(fit.queries), 0.9 if kind == better else 0.1 if kind == "start" else 0.2)

    monkeypatch.setattr(fit_private, "public_start", lambda *given: start)
    fit = fit_private.NextItemPrivateFit
    monkeypatch.setattr(fit, "trained", lambda self, base: bases.append(base) or (trained, []))
    monkeypatch.setattr(fit, "ndcg", good)
    result = fit_private.fit_private(rings[0], texts, config, workdir=tmp_path)
    assert result.ledger.details["kept"] == better
    assert (result.model is start) == (better == "start") and (result.model is trained) == (better == "trained weights")
    assert (bases[0] is start) == (better == "start")  # it trains from the better start
    assert (f"keeps the untrained {better}:" in capsys.readouterr().err) == (better != "trained weights")


def test_the_start_with_counts_has_what_noise_does_not_hide(rings, config):
    """Of popularity: a weight of .15 on the log over the noise; of neighbours: those of the noisy sums."""
    texts, config = np.random.default_rng(0).normal(size=(12, 32)).astype(np.float32), private_settings(config)
    start, counts = public_start(rings[0], texts, config), np.array([8.0, 0, 2, 1, *[0.5] * 8])
    informed = partial(start_with_counts, start, rings[0], source=SOURCE)
    model = informed(counts, {COUNTS: Mechanism(COUNTS, 2.0), NEIGHBOURS: Mechanism(NEIGHBOURS, 1e-3)})
    biases = (model.popularity.weight * model.popularity.catalogue_log_popularity(12)).numpy()
    np.testing.assert_allclose(biases, [0.15 * np.log(8 / 2), *[0] * 11], atol=1e-6)
    near, walked = model.memory.near.numpy(), rings[0].training()
    following = {*zip(walked.items[:-1], walked.items[1:], strict=True)}
    assert all((item, near[item][0]) in following or (near[item][0], item) in following for item in range(12))
    hidden = informed(counts, {COUNTS: Mechanism(COUNTS, 1e3), NEIGHBOURS: Mechanism(NEIGHBOURS, 1e3)})
    assert (hidden.memory.near.numpy() < 0).all() and not hidden.popularity.raised.numpy().any()
    assert informed(None, {}) is None


def summed_gain(models, queries):
    """The gain in NDCG@10 of the second model over the first, summed over people with one target each."""
    values = []
    for model in models:
        scores = NextItemScorer(model).scores(queries.history, np.arange(len(queries)))
        target = scores[np.arange(len(queries)), queries.target_items]
        rank = (scores >= target[:, None]).sum(axis=1)
        values.append(np.where(rank <= 10, 1 / np.log2(rank + 1), 0).sum())
    return values[1] - values[0]


@pytest.mark.slow
def test_a_private_run_holds_its_ledger_and_no_number_of_the_log(rings, config, tmp_path, dp_accounting, capsys):
    run = train(rings[0], tmp_path / "run", config)
    said = capsys.readouterr().err
    assert "ε = " in said and "add-or-remove-one" in said
    sealed = run.manifest["privacy"]
    assert sealed["epsilon"]["add-or-remove-one"] <= 6 < sealed["epsilon"]["replace-one"]
    names = [mechanism["name"] for mechanism in sealed["mechanisms"]]
    assert names == ["gradients", "item counts", "co-occurrence neighbours", "start or trained weights"]
    assert sealed["mechanisms"][3]["times"] == 2  # of the starts, and of the better of them with the trained weights
    assert sealed["mechanisms"][0]["times"] == 2 and sealed["details"]["people"] == 34
    kept = sealed["details"]["kept"]
    assert kept in ("start", "start with counts", "trained weights") and sealed["public"] and sealed["uncovered"]
    assert (kept != "trained weights") == (f"keeps the untrained {kept}" in said)

    assert json.loads((run.path / "metrics_valid.json").read_text()) == {}
    assert "loss" not in (run.path / "history.csv").read_text()
    assert run.item_counts.tolist() != rings[0].items["train_count"].to_list()
    assert not list(tmp_path.rglob(KEY_FILE)) and run.manifest["exclude_seen"] is True
    assert float(run.model.unseen.numpy().min()) == 0
    assert isinstance(run.ledger, Ledger)

    manifest = run.path / "manifest.json"
    written = manifest.read_text()
    manifest.write_text(written.replace('"delta": 0.001', '"delta": 1e-09'))
    with pytest.raises(InvalidInput, match="ledger of this run was changed"):
        Run(run.path)
    manifest.write_text(json.dumps({name: value for name, value in json.loads(written).items() if name != "privacy"}))
    with pytest.raises(InvalidInput, match="has no privacy ledger"):
        Run(run.path)


@pytest.mark.slow
def test_with_neighbours_alone_nothing_is_trained(rings, config, tmp_path, dp_accounting, capsys):
    run = train(rings[0], tmp_path / "run", config.with_values({"privacy.neighbours": 1}))
    assert "Nothing is trained, as privacy.neighbours is 1; the run is the start" in capsys.readouterr().err
    sealed = run.manifest["privacy"]
    names = [mechanism["name"] for mechanism in sealed["mechanisms"]]
    assert names == ["co-occurrence neighbours", "item counts", "start or trained weights"]
    assert sealed["details"]["person_adds"].keys() == set(names) and sealed["details"]["kept"].startswith("start")
    assert 5.9 < sealed["epsilon"]["add-or-remove-one"] <= 6 and run.manifest["epochs"] == 0


@pytest.mark.nightly
def test_a_resumed_private_run_equals_an_uninterrupted_one_and_keeps_its_settings(
    rings, config, tmp_path, dp_accounting, dies_at, monkeypatch
):
    monkeypatch.setattr("tfrec.privacy.noise_source.secrets.token_bytes", lambda count: bytes(range(count)))
    config = config.with_values(["privacy.selection=0", "training.epochs=3"])
    whole = train(rings[0], tmp_path / "whole", config)
    with dies_at(1):
        train(rings[0], tmp_path / "parts", config)
    monkeypatch.setattr("tfrec.privacy.noise_source.secrets.token_bytes", lambda count: bytes(count))
    for other in ({"privacy.epsilon": 3}, {"privacy.epsilon": 6, "privacy.delta": 1e-3, "privacy.clip": 1.0}):
        with pytest.raises(InvalidInput, match="other privacy settings"):
            train(rings[0], tmp_path / "parts", other, resume=True)
    resumed = train(rings[0], tmp_path / "parts", resume=True)
    for one, other in zip(whole.model.get_weights(), resumed.model.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert resumed.manifest["privacy"]["epsilon"] == whole.manifest["privacy"]["epsilon"]


def test_items_that_are_known_from_events_alone_are_refused(config, tmp_path):
    events = pl.DataFrame(
        {"user_id": ["a", "a", "b", "b"], "item_id": ["i", "secret", "i", "i"], "timestamp": [1, 2, 3, 4]}
    )
    data = prepare(events, pl.DataFrame({"item_id": ["i"], "title": ["red"]}), tmp_path / "data", split="leave-one-out")
    with pytest.raises(InvalidInput, match="1 items, such as 'secret', are known from events alone"):
        fit_private.fit_private(data, None, private_settings(config), workdir=tmp_path)
