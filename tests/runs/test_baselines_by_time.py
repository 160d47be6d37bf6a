"""Baselines that fade with time: present in splits by time alone, their settings chosen on validation."""

from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from tfrec import RunConfig, prepare
from tfrec.evaluation import evaluate_ranking
from tfrec.runs.evaluate import _headlines, _untrained_baselines, measure_baselines

RUN = SimpleNamespace(config=RunConfig.from_dict({"evaluation": {"bootstrap": 0}}))


@pytest.fixture(scope="module")
def log():
    """40 users over 100 days; what is popular changes every ten days."""
    rng = np.random.default_rng(0)
    days = np.sort(rng.uniform(0, 100, 800))
    items = (days // 10).astype(int) * 3 + rng.integers(0, 6, 800)
    times = 1_600_000_000 + (days * 86_400).astype(int)
    users = rng.integers(0, 40, 800)
    return pl.DataFrame({"user_id": users.astype(str), "item_id": items.astype(str), "timestamp": times})


@pytest.fixture(scope="module")
def measured(log, tmp_path_factory):
    data = prepare(log, None, tmp_path_factory.mktemp("data") / "data", split="global-time")
    fitted = _untrained_baselines(data, None)
    return data, fitted, measure_baselines(fitted, data.queries("test"), data, RUN)


def test_half_life_and_mask_are_the_best_on_validation(measured):
    data, fitted, found = measured
    for name in ("popularity_recent", "cooccurrence_recent", "popularity"):
        by_setting = {
            (getattr(scorer, "half_life", None), mask): evaluate_ranking(
                scorer, data.queries("valid"), num_items=data.num_items, exclude_seen=mask, ks=(10,), bootstrap=0
            ).metrics["ndcg@10"]
            for scorer in fitted[name]
            for mask in (False, True)
        }
        assert len(by_setting) == (2 if name == "popularity" else 8)
        chosen = found[name].settings
        assert (chosen.get("half_life_days"), chosen["exclude_seen"]) == max(by_setting, key=by_setting.get)
        assert found[name].valid_ndcg == pytest.approx(max(by_setting.values()))


def test_where_popularity_changes_counts_that_fade_are_better(measured):
    headlines = _headlines(measured[2])
    assert headlines["popularity_recent"]["ndcg@10"] > 1.5 * headlines["popularity"]["ndcg@10"]
    assert headlines["popularity_recent"]["half_life_days"] < 30
    assert "half_life_days" not in headlines["popularity"]


def test_without_a_split_by_time_nothing_fades(log, tmp_path):
    data = prepare(log, None, tmp_path / "data", split="leave-one-out")
    assert set(_untrained_baselines(data, None)) == {"popularity", "cooccurrence"}
