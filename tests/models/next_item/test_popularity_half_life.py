"""The popularity bias fades with time where validation, in a split by time, says so."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import numpy as np  # isort: skip
import polars as pl
import pytest

from tfrec import RunConfig, prepare
from tfrec.models.next_item.build import build_next_item_model
from tfrec.models.next_item.fading_popularity import half_lives_to_compare
from tfrec.models.next_item.score_weights.choice import choose_score_weights
from tfrec.models.next_item.score_weights.weights import ScoreWeights
from tfrec.models.shared.recent_counts import half_lives, recent_counts

SMALL = ["model.dim=4", "model.heads=1", "model.layers=0", "model.neighbours=0", "model.popular=8"]


@pytest.fixture(scope="module")
def log():
    """90 users over 100 days; what is popular changes every ten days."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.uniform(0, 100, 3000))
    items = (days // 10).astype(int) * 4 + rng.integers(0, 8, 3000)
    times, users = 1_600_000_000 + (days * 86_400).astype(int), rng.integers(0, 90, 3000)
    return pl.DataFrame({"user_id": users.astype(str), "item_id": items.astype(str), "timestamp": times})


def chosen(log, folder, split, option):
    data = prepare(log, None, folder, split=split)
    config = RunConfig().with_values([*SMALL, f"model.popularity_half_life={option}"])
    model = build_next_item_model(data, None, config)
    kept, _ = choose_score_weights(model, data, config)
    return data, model, kept.metrics["ndcg@10"]


def popular(counts):
    return np.argsort(-counts, kind="stable")[:8].tolist()


@pytest.mark.slow
def test_recent_popularity_is_chosen_where_tastes_change(log, tmp_path, monkeypatch):
    monkeypatch.setattr("tfrec.models.shared.recent_counts.SPAN_SHARES", (0.03,))  # each half-life is a search
    monkeypatch.setattr("tfrec.models.next_item.score_weights.search.NETWORK_FACTORS", (0.1,))
    data, model, ndcg = chosen(log, tmp_path / "auto", "global-time", "auto")
    training = data.training()
    (days,) = half_lives(training)
    assert model.popularity.popular.numpy().tolist() == popular(recent_counts(training, data.num_items, days))
    assert popular(recent_counts(training, data.num_items, days)) != popular(
        recent_counts(training, data.num_items, None)
    )
    assert ScoreWeights.from_model(model).popularity > 0
    assert ndcg > 1.3 * chosen(log, tmp_path / "null", "global-time", "null")[2]


@pytest.mark.slow
def test_days_are_taken_as_given(log, tmp_path):
    data, model, _ = chosen(log, tmp_path / "data", "global-time", 3)
    assert model.popularity.popular.numpy().tolist() == popular(recent_counts(data.training(), data.num_items, 3.0))


def test_in_other_splits_all_events_count_alike(log, tmp_path):
    data, model, _ = chosen(log, tmp_path / "data", "leave-one-out", "auto")
    assert model.popularity.popular.numpy().tolist() == popular(recent_counts(data.training(), data.num_items, None))


def test_auto_compares_plain_counts_with_the_half_life_of_which_popularity_alone_is_best(log, tmp_path):
    data = prepare(log, None, tmp_path / "data", split="global-time")
    plain, chosen = half_lives_to_compare(data, data.queries("valid"), RunConfig())
    assert plain is None and chosen in half_lives(data.training())[2:]  # tastes change every ten of 80 days
    nobody = data.queries("valid").sample(0, 0)
    assert half_lives_to_compare(data, nobody, RunConfig()) == []
