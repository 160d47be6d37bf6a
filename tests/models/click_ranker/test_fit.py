"""The fit of ClickRanker: what it learns, its calibration, resume, and the metrics of its heads."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest
from numpy.testing import assert_allclose

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.models import ClickRankerPredictor
from tfrec.models.click_ranker import fit as module
from tfrec.models.click_ranker.calibration import head_metrics, platt
from tfrec.models.click_ranker.evaluate import evaluate_click_ranker, mean_over_heads
from tfrec.runs import Run, evaluate, train

SMALL = ["model.kind=click-ranker", "ranker.dim=8", "model.mlp_units=[8]", "model.max_history=6", "model.dropout=0.1"]
WORDS = ["tea", "coffee", "cake", "soap", "brush", "lamp", "chair", "table"]


def shop(seed=0, users=60):
    """Everyone walks round a ring of 12 items; on the even ones, and only by phone, they buy what they see."""
    rng = np.random.default_rng(seed)
    rows = []
    for u, start in enumerate(rng.integers(0, 12, users)):
        device = "phone" if u % 2 else "desktop"
        for step in range(8):
            item, time = (start + step) % 12, 1_700_000_000 + 1000 * step + u
            rows.append((f"u{u}", f"i{item}", "view", time, device))
            if item % 2 == 0 and device == "phone":
                rows.append((f"u{u}", f"i{item}", "purchase", time + 100, device))
    events = pl.DataFrame(rows, ["user_id", "item_id", "event", "timestamp", "context_device"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(12)], "title": [WORDS[i % 8] for i in range(12)]})
    return events, items


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return prepare(*shop(), tmp_path_factory.mktemp("shop") / "data", split="global-time")


@pytest.fixture
def config(tiny_encoder):
    fit = ["training.epochs=3", "training.batch_size=64", "training.learning_rate=0.01", "evaluation.bootstrap=0"]
    return RunConfig().with_values([*SMALL, *fit, f"encoder.name={tiny_encoder}"])


@pytest.mark.slow
def test_it_learns_who_buys_what_and_says_how_sure_it_is(dataset, config, tmp_path):
    run = train(dataset, tmp_path / "run", config.with_values(["training.epochs=12"]))
    metrics = evaluate(run, dataset)
    heads, popularity = metrics["behaviours"], metrics["baselines"]["popularity"]["behaviours"]
    assert list(heads) == ["view", "purchase"]
    for name in heads:
        assert heads[name]["auc"] > popularity[name]["auc"] + 0.1
        assert heads[name]["log_loss"] < popularity[name]["log_loss"]
    assert heads["purchase"]["auc"] > 0.9
    calibration = Run.load(run.path).manifest, (run.path / "metrics_valid.json").read_text()
    assert calibration[0]["kind"] == "click-ranker" and "log_loss_after" in calibration[1]
    again = Run.load(run.path)
    assert again.model.behaviours == ["view", "purchase"]
    device = {"context_device": np.array(["phone", "desktop"], object)}
    predictor = ClickRankerPredictor(again.model)
    bought = predictor.probabilities(dataset.histories(), [0, 0], np.array([[4], [4]]), context=device)[:, 0, 1]
    assert bought[0] > 2 * bought[1]  # the same user and item, by phone and not
    with pytest.raises(InvalidInput, match="--ranker"):
        again.scorer(dataset)


@pytest.mark.slow
@pytest.mark.nightly
def test_a_killed_and_resumed_ranker_equals_an_uninterrupted_one(dataset, config, tmp_path, dies_at):
    whole = train(dataset, tmp_path / "whole", config)

    with dies_at(1):
        train(dataset, tmp_path / "parts", config)
    resumed = train(dataset, tmp_path / "parts", config, resume=True)
    for one, other in zip(whole.model.weights, resumed.model.weights, strict=True):
        assert_allclose(other.numpy(), one.numpy(), atol=1e-5, err_msg=one.name)


@pytest.mark.slow
def test_given_impressions_are_what_it_learns_from(config, tmp_path):
    events, items = shop(users=30)
    shown = events.filter(pl.col("event") == "view").with_columns(
        pl.lit("impression").alias("event"), pl.col("timestamp") - 10
    )
    vain = shown.with_columns(pl.lit("i11").alias("item_id"), pl.col("timestamp") - 1)
    dataset = prepare(pl.concat([events, shown, vain]), items, tmp_path / "data", split="global-time")
    config = config.with_values(["model.use_text=false", "training.epochs=2"])
    result = module.fit_click_ranker(dataset, None, config, workdir=tmp_path)
    assert result.model.behaviours == ["view", "purchase"]
    found = evaluate_click_ranker(result.model, dataset, "test", config)
    assert found["protocol"]["candidates"] == "given impressions" and found["protocol"]["negatives"] is None
    assert found["behaviours"]["view"]["auc"] > 0.6


@pytest.mark.slow
def test_another_catalogue_is_refused(dataset, config, tmp_path):
    run = train(dataset, tmp_path / "run", config.with_values(["training.epochs=1", "model.use_text=false"]))
    events, items = shop()
    other = prepare(events, items.reverse(), tmp_path / "other", split="global-time")
    with pytest.raises(InvalidInput, match="another catalogue"):
        evaluate(run, other)
    assert not (run.path / "metrics.json").exists()


@pytest.mark.slow
def test_what_cannot_be_learnt_is_refused_before_anything_is_written(dataset, config, tmp_path):
    for setting, message in (
        ("ranker.behaviours=[view, like]", "'like'"),
        ("training.behaviour_weights={like: 2}", "behaviour_weights"),
        ("training.monitor=ndcg@10", "auc or loss"),
    ):
        with pytest.raises(InvalidInput, match=message):
            train(dataset, tmp_path / "run", config.with_values([setting]))
    assert not list(tmp_path.glob("run*"))


@pytest.mark.slow
def test_a_head_of_weight_zero_learns_nothing_of_its_own(dataset, config, tmp_path, traces):
    config = config.with_values(["training.behaviour_weights={purchase: 0}", "training.epochs=1"])
    result = module.fit_click_ranker(dataset, None, config, workdir=tmp_path)
    kernel = result.model.body.get_layer("logits").kernel.numpy()
    assert abs(kernel[0]).max() > 0 and abs(kernel[1]).max() == 0
    assert len(traces) == 1


def test_platt_scaling_has_the_least_log_loss():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=4000) * 3
    labels = (rng.random(4000) < 1 / (1 + np.exp(-(0.4 * logits - 1.5)))).astype(float)

    def log_loss(slope, shift):
        return np.logaddexp(0, -(2 * labels - 1) * (slope * logits + shift)).mean()

    slope, shift = platt(logits, labels)
    around = [(a, b) for a in (-1e-3, 0, 1e-3) for b in (-1e-3, 0, 1e-3) if (a, b) != (0, 0)]
    # the log loss is convex: what is lower than all around it is the lowest
    assert all(log_loss(slope, shift) < log_loss(slope + a, shift + b) for a, b in around)
    assert 0.35 < slope < 0.45 and -1.7 < shift < -1.3
    padded = platt(np.append(logits, 9.0), np.append(labels, -1))
    assert_allclose(padded, platt(logits, labels))
    slope, shift = platt(-logits, labels)
    assert slope == 0 and abs(1 / (1 + np.exp(-shift)) - labels.mean()) < 1e-9
    assert platt(logits, np.ones(4000)) == (1.0, 0.0)
    separable = platt(np.array([-1.0, 1.0]), np.array([0.0, 1.0]))
    assert np.isfinite(separable).all()


def test_metrics_of_heads_leave_padding_out():
    labels = np.array([[[1, 0], [0, 0], [-1, -1]]], float)
    given = np.array([[[0.8, 0.2], [0.3, 0.1], [0.9, 0.9]]])
    found = head_metrics(labels, given, ["view", "purchase"])
    assert found["view"]["auc"] == 1.0 and found["view"]["positives"] == 1
    assert_allclose(found["view"]["log_loss"], -(np.log(0.8) + np.log(0.7)) / 2)
    assert found["purchase"]["auc"] is None
    assert mean_over_heads(found)["auc"] == 1.0


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        [
            "training.mixed_bfloat16=true",
            "training.strategy=mirrored",
            "ranker.multi_task=ple",
            "ranker.history_negatives=2",
        ],
        ["ranker.negatives=0", "ranker.cross_layers=0", "ranker.multi_task=shared"],
    ],
    ids=["reduced precision on replicas", "no negatives, no cross network"],
)
def test_other_settings_are_fitted_too(dataset, config, tmp_path, settings):
    config = config.with_values([*settings, "training.epochs=1", "model.use_text=false"])
    result = module.fit_click_ranker(dataset, None, config, workdir=tmp_path)
    assert np.isfinite([row["loss"] for row in result.history]).all()
    found = evaluate_click_ranker(result.model, dataset, "test", config)
    assert 0 <= found["auc"] <= 1 and np.isfinite(found["log_loss"])


@pytest.mark.slow
@pytest.mark.parametrize("items", [1, pytest.param(2, marks=pytest.mark.nightly)])
def test_a_catalogue_of_next_to_nothing_is_fitted(items, config, tmp_path):
    rows = [(f"u{u}", f"i{(u + step) % items}", "view", step, None) for u in range(6) for step in range(5)]
    events = pl.DataFrame(
        rows,
        {"user_id": str, "item_id": str, "event": str, "timestamp": int, "context_nothing": pl.Float64},
        orient="row",
    )
    catalogue = pl.DataFrame({"item_id": [f"i{i}" for i in range(items)], "title": ["the same"] * items})
    dataset = prepare(events, catalogue, tmp_path / "data", split="leave-one-out")
    run = train(dataset, tmp_path / "run", config.with_values(["training.epochs=1"]))
    assert np.isfinite(evaluate(run, dataset)["log_loss"])


@pytest.mark.slow
def test_users_of_one_event_give_nothing_to_learn_from(config, tmp_path):
    events = pl.DataFrame({"user_id": ["a", "b"], "item_id": ["x", "y"], "timestamp": [1, 2]})
    dataset = prepare(events, pl.DataFrame({"item_id": ["x", "y"]}), tmp_path / "data", split="leave-one-out")
    with pytest.raises(InvalidInput, match="nothing to learn from"):
        module.fit_click_ranker(dataset, None, config, workdir=tmp_path)
