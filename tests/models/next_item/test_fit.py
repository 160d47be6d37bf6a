"""Training a NextItemModel: initial values, learning rate, validation, score weights, large catalogues."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import math  # isort: skip
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
import tensorflow as tf
from numpy.testing import assert_allclose

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.evaluation import evaluate_ranking
from tfrec.models import NextItemModel
from tfrec.models.next_item import build as next_item_build
from tfrec.models.next_item import validation as next_item_validation
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.fit import fit_next_item
from tfrec.models.next_item.score_weights import choice
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.models.next_item.scorer import NextItemScorer
from tfrec.models.next_item.trainer import NextItemTrainer
from tfrec.models.shared.history_statistics import memory_length
from tfrec.models.shared.neighbours import text_neighbours

ITEMS = 24


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """50 users who walk round a ring of 24 items."""
    starts = np.random.default_rng(5).integers(0, ITEMS, 50)
    rows = [(f"u{u}", f"i{(start + step) % ITEMS}", step) for u, start in enumerate(starts) for step in range(9)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)], "title": [f"thing {i}" for i in range(ITEMS)]})
    return prepare(events, items, tmp_path_factory.mktemp("data") / "ring", split="leave-one-out")


@pytest.fixture
def config():
    return RunConfig().with_values(["model.dim=16", "model.heads=2", "model.layers=1", "model.neighbours=4"])


@pytest.fixture
def vectors():
    return np.random.default_rng(2).normal(size=(ITEMS, 20)).astype(np.float32)


def test_items_without_a_training_event_are_no_negatives(config, vectors, tmp_path):
    """i19 is seen once; i20 and i21 are in the catalogue alone, i22 is validated with and i23 tested with."""
    rows = [(f"u{u}", f"i{(u + step) % 19}", step) for u in range(20) for step in range(1, 6)]
    rows += [("u2", "i19", 0), ("u0", "i22", 7), ("u0", "i23", 8), ("u1", "i3", 7), ("u1", "i23", 8)]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)]})
    dataset = prepare(events, items, tmp_path / "data", split="leave-one-out")
    model = build_next_item_model(dataset, vectors, config)

    never = np.isin(dataset.item_ids, ["i20", "i21", "i22", "i23"])
    one = {"history_items": tf.constant([[0, 5, 9]]), "history_events": tf.zeros([1, 3], tf.int32)}
    one["history_gaps"] = tf.zeros([1, 3])
    with tf.GradientTape() as tape:
        loss = NextItemTrainer(model).batch_loss(one, tf.constant([[5, 9, 1]]), training=False)
    moved = np.abs(tf.convert_to_tensor(tape.gradient(loss, model.items.ids))).max(axis=1)
    assert dataset.item_ids[moved == 0].tolist() == dataset.item_ids[never].tolist()


def test_the_learning_rate_has_warm_up_and_cosine_decay_and_weights_are_averaged(
    dataset, config, monkeypatch, tmp_path
):
    found = []
    monkeypatch.setattr(NextItemTrainer, "fit", lambda model, *arguments, **options: found.append(model))
    monkeypatch.setattr(NextItemModel, "load_weights", lambda *arguments: None)
    options = ["batch_size=10", "epochs=4", "warmup=0.5", "learning_rate=0.02", "ema=0.75"]
    config = config.with_values([f"training.{option}" for option in options])
    fit_next_item(dataset, None, config, workdir=tmp_path)
    (trainer,) = found
    optimizer, rates = trainer.optimizer, []
    for step in (0, 5, 10, 15, 20):  # 50 sequences: 5 steps an epoch, of which 10 are half
        optimizer.iterations.assign(step)
        optimizer.apply_gradients([(tf.constant(0.0), trainer.backbone.log_temperature)])
        rates.append(float(optimizer.learning_rate))
    assert_allclose(rates, [0, 0.01, 0.02, 0.01, 0], atol=1e-6)
    assert optimizer.use_ema and optimizer.ema_momentum == 0.75


REPEATING = [
    # user, item, kind, times as often
    *[("a", "x", "view", 3), ("a", "y", "buy", 1), ("a", "x", "view", 2), ("a", "y", "view", 2)],
    *[("b", "y", "buy", 2), ("b", "z", "view", 1), ("b", "y", "view", 1), ("b", "w", "buy", 1)],
]


def test_a_model_is_initialised_with_the_statistics_of_the_training_data(dataset, config, tmp_path):
    """Repeats never start above 0, popularity counts targets alone, and the memory knows how rare an item is."""
    rows, step = [], 0
    for user, item, kind, times in REPEATING:
        for _ in range(times):
            step += 1
            rows.append((user, item, kind, step, "train"))
    rows += [("a", "z", "buy", 98, "valid"), ("a", "z", "buy", 99, "test")]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp", "split"], orient="row")
    items = pl.DataFrame({"item_id": list("vwxyz")})
    shop = RunConfig().with_values(["data.targets=[buy]"])
    repeating = prepare(events, items, tmp_path / "shop", split="given", config=shop)
    model = build_next_item_model(repeating, None, config.with_values(["model.popular=3"]))

    assert model.repeats.coefficients[:2].numpy().tolist() == [0, 0]
    ids = repeating.item_ids.tolist()
    popular = dict(zip([ids[i] for i in model.popularity.popular.numpy()], model.popularity.raised.numpy()))
    assert popular == pytest.approx({"y": math.log(3), "w": 0, ids[min(ids.index(i) for i in "vxz")]: 0}, abs=1e-6)
    often = {"x": 5, "y": 6, "z": 1, "w": 1}
    typical = sum(n * math.log(n) for n in often.values()) / 13
    expected = [typical - math.log(often[item]) if item in often else 0 for item in ids]
    assert_allclose(model.memory.rarity, expected, atol=1e-6)

    # 50 people walk 7 steps of a ring of 24 without ever coming back; by chance the k-th step would be a repeat k in 24
    never = math.log(0.5 / (50 * sum(range(7)) / 24 + 0.5))
    once_each = build_next_item_model(dataset, None, config)
    assert_allclose(once_each.repeats.coefficients[:2], [never, never], rtol=1e-5)


def ndcg(model, queries):
    return evaluate_ranking(NextItemScorer(model), queries, num_items=ITEMS, ks=(10,), bootstrap=0).metrics["ndcg@10"]


@pytest.mark.slow
@pytest.mark.parametrize("wrong_first", [True, False])
def test_the_score_weights_that_are_best_over_all_queries_are_kept(dataset, config, vectors, monkeypatch, wrong_first):
    model = build_next_item_model(dataset, vectors, config)
    before = ScoreWeights.from_model(model)
    good, wrong = replace(before, weight=20.0), replace(before, weight=-20.0)
    found = [wrong, before, good] if wrong_first else [good, wrong]
    monkeypatch.setattr(choice, "score_weight_candidates", lambda *arguments, **options: found)
    monkeypatch.setattr(choice, "worth_its_training", lambda *given: True)
    start = ndcg(model, dataset.queries("valid"))
    metrics = choice.choose_score_weights(model, dataset, config)[0].metrics
    assert float(model.memory.weight) == pytest.approx(20.0)
    assert metrics["ndcg@10"] == pytest.approx(ndcg(model, dataset.queries("valid"))) and metrics["ndcg@10"] > start


@pytest.mark.slow
def test_score_weights_that_are_no_better_leave_the_model_unchanged(dataset, config, vectors, monkeypatch):
    model = build_next_item_model(dataset, vectors, config)
    before = ScoreWeights.from_model(model)
    monkeypatch.setattr(choice, "score_weight_candidates", lambda *a, **options: [replace(before, weight=-20.0)])
    monkeypatch.setattr(choice, "worth_its_training", lambda *given: True)
    metrics = choice.choose_score_weights(model, dataset, config)[0].metrics
    assert ScoreWeights.from_model(model) == before
    assert metrics["ndcg@10"] == pytest.approx(ndcg(model, dataset.queries("valid")))


@pytest.mark.slow
def test_a_validation_of_a_large_catalogue_uses_a_sample_of_the_queries(dataset, config, vectors, monkeypatch):
    monkeypatch.setattr(next_item_validation, "MAX_SCORES", 10 * ITEMS + 5)
    monkeypatch.setattr(next_item_validation, "search_score_weights", None)  # without balance nothing is searched
    config = config.with_values(["training.balance=false", "training.seed=4"])
    model = build_next_item_model(dataset, vectors, config)
    some = next_item_validation.validation(model, dataset, config)()
    queries = dataset.queries("valid")
    rows = np.sort(np.random.default_rng(4).choice(len(queries), 10, replace=False))
    whole = evaluate_ranking(NextItemScorer(model), queries, num_items=ITEMS, ks=(10,), bootstrap=0).per_user
    assert some["ndcg@10"] == pytest.approx(whole["ndcg@10"].to_numpy()[rows].mean())


def test_texts_of_large_catalogues_are_compared_within_near_clusters(dataset, config, vectors, monkeypatch):
    monkeypatch.setattr(next_item_build, "MAX_EXACT_ITEMS", ITEMS - 1)
    asked = []

    def near(given):
        asked.append(given)
        return iter([(np.arange(0, 12), np.arange(0, 12)), (np.arange(12, ITEMS), np.arange(12, ITEMS))])

    monkeypatch.setattr(next_item_build, "neighbourhoods", near)
    memory = build_next_item_model(dataset, vectors, config.with_values(["model.text_neighbours=3"])).memory
    (texts,) = asked
    first, kernel = text_neighbours(texts[:12], 3)
    assert memory.alike.numpy()[:12].tolist() == first.tolist()
    assert_allclose(memory.kernel.numpy()[:12], kernel, rtol=1e-5)
    assert (memory.alike.numpy()[12:] >= 12).all()


def test_the_memory_reads_as_many_events_as_most_histories_have():
    lengths = np.array([120] * 95 + [5000] * 5)
    assert memory_length(lengths, at_least=50) == 200  # one in twenty is longer
    lengths[80:] = 5000
    assert memory_length(lengths, at_least=50) == 500
    assert memory_length(lengths, at_least=50, at_most=200) == 200
    assert memory_length(lengths[:80], at_least=800) == 800
    assert memory_length(np.empty(0), at_least=50) == 50


@pytest.mark.parametrize(("before", "data", "expected"), [(-1000, -2, -2), (-5, -1000, -1000), (-5, -2, -5)])
def test_whether_repeats_are_masked_depends_on_the_data_not_on_the_earlier_run(
    dataset, config, vectors, monkeypatch, before, data, expected
):
    monkeypatch.setattr(next_item_build, "repeat_log_odds", lambda *arguments: data)
    monkeypatch.setattr(
        next_item_build, "copy_earlier_weights", lambda model, *arguments: model.repeats.start_at(before)
    )
    model = build_next_item_model(dataset, vectors, config, earlier=object())
    assert model.repeats.coefficients.numpy()[:2].tolist() == [expected, expected]


@pytest.mark.slow
def test_biases_by_kind_learn_that_viewed_items_are_bought_and_bought_ones_are_not(tmp_path):
    """Two views, then one of the two is bought and another thing viewed, and so on."""
    rng, rows = np.random.default_rng(0), []
    for user in range(150):
        open_views, fresh = [], list(rng.permutation(ITEMS))
        for step in range(12):
            if len(open_views) == 2:
                rows.append((f"u{user}", f"i{open_views.pop(int(rng.integers(2)))}", step, "purchase"))
            else:
                open_views.append(fresh.pop())
                rows.append((f"u{user}", f"i{open_views[-1]}", step, "view"))
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event"], orient="row")
    items = pl.DataFrame({"item_id": [f"i{i}" for i in range(ITEMS)]})
    dataset = prepare(events, items, tmp_path / "shop", split="leave-one-out")
    config = RunConfig().with_values(
        ["model.dim=16", "model.heads=2", "model.neighbours=0", "training.epochs=4", "training.batch_size=16"]
    )
    fitted = fit_next_item(dataset, None, config, workdir=tmp_path / "fit")
    kind_bias = dict(zip(dataset.event_kinds, fitted.model.repeats.coefficients.numpy()[3:], strict=True))
    assert kind_bias["view"] > kind_bias["purchase"] + 1
