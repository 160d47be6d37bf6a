"""The fit of BehaviourTextModel: its examples, its two stages, resume, and the sigmoid head's metrics."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from tfrec.config import RunConfig
from tfrec.data import Histories, Queries, prepare
from tfrec.errors import InvalidInput
from tfrec.models.behaviour_text import fit as module
from tfrec.models.behaviour_text.evaluate import evaluate_behaviour_text_sigmoid
from tfrec.models.behaviour_text.examples import Examples
from tfrec.models.behaviour_text.fit import fit_behaviour_text
from tfrec.training.callbacks import History
from tfrec.training.sampled_negatives import Impressions, Negatives

WORDS = ["tea", "coffee", "cake", "soap", "brush", "lamp", "chair", "table", "phone", "cable"]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """30 users who walk round a ring of 10 items with a word each: the next item is the one after."""
    rng = np.random.default_rng(5)
    rows = [
        (f"u{u}", f"i{(start + step) % 10}", "view", step)
        for u, start in enumerate(rng.integers(0, 10, 30))
        for step in range(7)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(10)], "title": WORDS})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture
def config(tiny_encoder):
    small = ["model.kind=behaviour-text", "model.mlp_units=[16]", "model.text_tokens=24", "model.text_history=2"]
    fit = ["training.epochs=3", "training.batch_size=32", "training.encoder_epochs=2", "encoder.batch_size=32"]
    return RunConfig().with_values([*small, *fit, "training.learning_rate=0.01", f"encoder.name={tiny_encoder}"])


def log(*users, targets=None):
    """Histories of the given item lists."""
    items = np.concatenate([np.array(user, np.int32) for user in users])
    return Histories(
        user_ids=np.array([f"u{i}" for i in range(len(users))], object),
        offsets=np.concatenate([[0], np.cumsum([len(user) for user in users])]),
        items=items,
        events=np.zeros(len(items), np.int16),
        timestamps=np.arange(len(items)),
        values=np.full(len(items), np.nan, np.float32),
        is_target=np.ones(len(items), bool) if targets is None else np.array(targets, bool),
    )


def pairs(histories, examples):
    """Every (text as item list, target), the slow way."""
    found = []
    for text, item in zip(examples.pair_texts, examples.pair_items, strict=True):
        start = histories.offsets[examples.rows[text]]
        found.append((tuple(histories.items[start : examples.stops[text]].tolist()), int(item)))
    return sorted(found)


def test_every_position_with_a_past_is_an_example_of_what_followed():
    histories = log([4, 5, 6], [7], [8, 9])
    found = pairs(histories, Examples.sample(histories, None, seed=0))
    assert found == [((4,), 5), ((4, 5), 6), ((8,), 9)]


def test_events_that_are_no_target_are_read_but_not_predicted():
    histories = log([4, 5, 6], targets=[1, 0, 1])
    assert pairs(histories, Examples.sample(histories, None, seed=0)) == [((4, 5), 6)]


def test_a_cap_on_texts_takes_more_targets_of_each_within_the_users_own_events():
    histories = log(range(9), range(9, 18))  # sixteen positions; four texts, so four targets each
    examples = Examples.sample(histories, 4, seed=1)
    assert len(examples) == 4
    for text, (row, stop) in enumerate(zip(examples.rows, examples.stops)):
        last = histories.offsets[row + 1]
        assert_array_equal(examples.pair_items[examples.pair_texts == text], np.arange(stop, min(stop + 4, last)))
    again = Examples.sample(histories, 4, seed=1)
    assert_array_equal(again.stops, examples.stops)
    drawn = examples.one_pair_each(np.random.default_rng(0))
    assert_array_equal(examples.pair_texts[drawn], np.arange(4))


def test_nothing_to_learn_from_is_said():
    with pytest.raises(InvalidInput, match="nothing to learn"):
        Examples.sample(log([1], [2]), None, seed=0)


def test_negatives_are_never_what_the_user_took():
    taken = Negatives(6, np.array([0, 0, 1, 2]), np.array([0, 1, 5, 3]))
    drawn = taken.draw(np.repeat([0, 1, 2], 200), 3, np.random.default_rng(0))
    by_user = [set(part.ravel().tolist()) for part in np.split(drawn, 3)]
    assert by_user == [{2, 3, 4, 5}, {0, 1, 2, 3, 4}, {0, 1, 2, 4, 5}]


def test_who_took_nearly_everything_gets_what_is_left():
    drawn = Negatives(50, np.repeat([0, 1], [49, 48]), np.r_[0:49, 0:48]).draw(
        np.repeat([0, 1], 100), 3, np.random.default_rng(0)
    )
    assert set(drawn[:100].ravel().tolist()) == {49} and set(drawn[100:].ravel().tolist()) == {48, 49}


def test_a_user_who_took_everything_still_gets_items():
    drawn = Negatives(2, np.array([0, 0]), np.array([0, 1])).draw(np.array([0]), 3, np.random.default_rng(0))
    assert drawn.shape == (1, 3) and set(drawn.ravel().tolist()) <= {0, 1}


def test_impressions_are_each_target_with_unseen_items():
    queries = Queries(log([0, 1], [2]), np.array([0, 2, 3]), np.array([3, 4, 0], np.int32))
    found = Impressions.sample(queries, num_items=7, negatives=2, seed=0)
    assert found.rows.tolist() == [0] * 6 + [1] * 3
    assert found.labels.tolist() == [1, 0, 0] * 3
    assert found.items[found.labels == 1].tolist() == [3, 4, 0]
    assert not set(found.items[[1, 2, 4, 5]].tolist()) & {0, 1, 3, 4}
    assert not set(found.items[[7, 8]].tolist()) & {0, 2}


@pytest.mark.parametrize("head, metric, floor", [("softmax", "ndcg@10", 0.9), ("sigmoid", "auc", 0.95)])
@pytest.mark.slow
def test_the_ring_is_learnt_from_text_with_a_frozen_encoder(dataset, config, tmp_path, head, metric, floor):
    config = config.with_values(
        [
            f"model.head={head}",
            "training.epochs=30",
            "training.batch_size=8",
            "training.patience=30",
            "model.mlp_units=[64]",
            "model.dropout=0",
        ]
    )
    result = fit_behaviour_text(dataset, config, workdir=tmp_path)
    assert result.metrics_valid[metric] > floor
    assert [row["epoch"] for row in result.history] == list(range(1, len(result.history) + 1))
    if head == "sigmoid":
        metrics = evaluate_behaviour_text_sigmoid(result.model, dataset, "test", config)
        assert metrics["auc"] > floor > 0.8 > metrics["baselines"]["popularity"]["auc"]
        assert metrics["users"] == 30 and metrics["protocol"]["negatives"] == 4
        assert {"log_loss", "brier", "ece", "calibration"} < metrics.keys()


def weights(result):
    return [weight.numpy() for weight in result.model.weights]


CASES = [
    ("softmax", "tower", False),
    pytest.param("softmax", "tower", True, marks=pytest.mark.nightly),
    pytest.param("sigmoid", "tower", True, marks=pytest.mark.nightly),
    pytest.param("sigmoid", "segment", True, marks=pytest.mark.nightly),
]


@pytest.mark.slow
@pytest.mark.parametrize("head, candidate, trainable", CASES)
def test_a_killed_and_resumed_fit_equals_an_uninterrupted_one(
    dataset, config, tmp_path, monkeypatch, head, candidate, trainable
):
    values = [f"model.head={head}", f"model.candidate={candidate}", f"encoder.trainable={trainable}"]
    config = config.with_values([*values, "training.max_examples=60", "training.patience=9"])
    whole = fit_behaviour_text(dataset, config, workdir=tmp_path / "whole")

    class Killed(BaseException):
        pass

    on_epoch_end = History.on_epoch_end
    last = whole.history[-1]["epoch"]

    def killed(self, epoch, logs=None):  # in the last epoch, whichever stage it belongs to
        if epoch + 1 == last:
            raise Killed
        on_epoch_end(self, epoch, logs)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(History, "on_epoch_end", killed)
        fit_behaviour_text(dataset, config, workdir=tmp_path / "parts")
    monkeypatch.setattr(module, "encode_texts", None)  # texts encoded before the kill are not encoded again
    resumed = fit_behaviour_text(dataset, config, workdir=tmp_path / "parts", resume=True)
    for found, expected in zip(weights(resumed), weights(whole), strict=True):
        assert_allclose(found, expected, atol=1e-5)
    assert [row["epoch"] for row in resumed.history] == [row["epoch"] for row in whole.history]
    assert resumed.metrics_valid == pytest.approx(whole.metrics_valid, abs=1e-5)


@pytest.mark.slow
def test_joint_training_starts_from_the_fitted_head_and_keeps_the_better(dataset, config, tmp_path):
    config = config.with_values(["encoder.trainable=true", "training.encoder_learning_rate=10.0"])  # ruins the encoder
    result = fit_behaviour_text(dataset, config, workdir=tmp_path)
    head_epochs = config.training.epochs
    best_head = max(row["valid_ndcg@10"] for row in result.history[:head_epochs] if "valid_ndcg@10" in row)
    assert result.metrics_valid["ndcg@10"] >= best_head
    assert len(result.history) == head_epochs + config.training.encoder_epochs


@pytest.mark.slow
def test_the_time_budget_ends_the_fit_with_the_best_weights(dataset, config, tmp_path):
    result = fit_behaviour_text(dataset, config.with_values(["training.time_budget=0.0001"]), workdir=tmp_path)
    assert len(result.history) == 1 and result.metrics_valid


@pytest.mark.slow
def test_the_loss_can_choose(dataset, config, tmp_path, traces):
    result = fit_behaviour_text(dataset, config.with_values(["training.monitor=loss"]), workdir=tmp_path)
    assert result.metrics_valid["loss"] == min(row["valid_loss"] for row in result.history if "valid_loss" in row)
    assert len(traces) == 1
