"""The simulated shop: probabilities as documented, all output marked, and one whole loop from logs to a decision."""

import itertools
import math

import numpy as np
import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.experiments import (
    ExperimentSpec,
    Simulator,
    analyse,
    decide,
    draw_lists,
    epsilon_greedy_policy,
    experiment_report,
    list_propensities,
    slate_off_policy,
    softmax_policy,
)

SPEC = ExperimentSpec.from_dict(
    {
        "name": "sim",
        "simulated": True,
        "planned_users": 1500,
        "metrics": [
            {"name": "clicks", "event": "click", "role": "primary", "covariate": False},
            {"name": "ctr", "event": "click", "per": "impression", "role": "primary", "covariate": False},
        ],
    }
)
ONE = ExperimentSpec.from_dict({**SPEC.model_dump(), "arms": {"a": 0.999999, "b": 0.000001}})


def test_lists_are_drawn_with_the_logged_propensities():
    chances = np.tile([0.5, 0.3, 0.2, 0.0], (30_000, 1))
    lists, propensities = draw_lists(chances, 2, np.random.default_rng(0))
    assert (propensities == list_propensities(chances, lists)).all()
    for first, second in itertools.permutations(range(3), 2):
        drawn = (lists == [first, second]).all(axis=1).mean()
        p = [0.5, 0.3, 0.2]
        exact = p[first] * p[second] / (1 - p[first])
        assert abs(drawn - exact) < 4 * math.sqrt(exact * (1 - exact) / 30_000)
        assert list_propensities(chances[:1], np.array([[first, second]])).prod() == pytest.approx(exact)


def test_clicks_depend_on_taste_position_and_fatigue():
    shop = Simulator(4000, 6, places=3, position_decay=0.5, fatigue=0.6, visits_a_day=0.6, seed=1)
    uniform = np.full((4000, 6), 1 / 6)
    logs = shop.run(ONE, {"a": uniform, "b": uniform}, days=4, seed=2)
    table = logs.impressions.with_columns(
        before=pl.int_range(pl.len()).over("user_id", "item_id", order_by="timestamp"),
        u=pl.col("user_id").str.slice(5).cast(pl.Int64),
        i=pl.col("item_id").str.slice(5).cast(pl.Int64),
    )
    truth = shop.appeal()[table["u"], table["i"]]
    expected = truth * 0.5 ** table["place"].to_numpy() * 0.6 ** table["before"].to_numpy()
    error = math.sqrt((expected * (1 - expected)).sum()) / len(expected)
    for place in range(3):
        for before in range(2):
            chosen = ((table["place"] == place) & (table["before"] == before)).to_numpy()
            gap = table["click"].to_numpy()[chosen].mean() - expected[chosen].mean()
            error = math.sqrt((expected[chosen] * (1 - expected[chosen])).sum()) / chosen.sum()
            assert abs(gap) < 4 * error
    assert shop.shown.sum() == table.height
    shop.reset()
    assert not shop.shown.any()


def test_all_output_is_marked_and_depends_on_the_seed():
    shops = [Simulator(60, 12, seed=3) for _ in range(2)]
    logs = [shop.run(SPEC, dict.fromkeys(SPEC.arms, np.full((60, 12), 1 / 12)), 3, seed=4) for shop in shops]
    for first, second in zip(vars(logs[0]).values(), vars(logs[1]).values()):
        assert first["simulated"].all() and first.equals(second)
        assert first["user_id"].str.starts_with("sim-").all()
    assert shops[0].items["simulated"].all()
    assert logs[0].outcomes.filter(pl.col("event") == "click").height == logs[0].impressions["click"].sum()
    assert logs[0].exposures.height * 3 == logs[0].impressions.height


def test_a_whole_loop_deploy_log_evaluate_test_decide():
    shop = Simulator(1500, 12, places=2, fatigue=0.9, visits_a_day=0.4, seed=5)
    # A knows only overall popularity; B knows a lot about each user.
    a = softmax_policy(np.tile(shop.appeal().mean(axis=0), (1500, 1)), 0.3)
    guess = shop.appeal() + np.random.default_rng(6).normal(0, 0.1, a.shape)
    b = epsilon_greedy_policy(guess, 0.4)

    log = shop.run(ONE, {"a": a, "b": a}, days=2, seed=7).impressions
    users = log["user_id"].str.slice(5).cast(pl.Int64).to_numpy().reshape(-1, 2)[:, 0]
    lists = log["item_id"].str.slice(5).cast(pl.Int64).to_numpy().reshape(-1, 2)
    clicks, logged = (log[name].cast(pl.Float64).to_numpy().reshape(-1, 2) for name in ("click", "propensity"))
    assert np.allclose(logged, list_propensities(a[users], lists))
    promised = slate_off_policy(
        clicks, logged, list_propensities(b[users], lists), interaction="reward-interaction", self_normalised=True
    )
    today = clicks.sum(axis=1).mean()
    truth = shop.clicks_a_visit(b, draws=50)
    assert promised.low > today  # B is worth a test
    assert abs(promised.value - truth) < 5 * promised.standard_error

    shop.reset()
    logs = shop.run(SPEC, {"control": a, "treatment": b}, days=7, seed=8)
    result = analyse(SPEC, logs.exposures, logs.outcomes)
    decision = decide(result)[0]
    assert decision.verdict in ("ship", "continue") and "better" in " ".join(decision.reasons)
    assert "SIMULATED" in experiment_report(result)
    effect = result.effects.filter(pl.col("metric") == "ctr").row(0, named=True)
    assert effect["low"] > 0


def test_invalid_arguments_are_refused():
    for change, message in (({"num_items": 2}, "items"), ({"fatigue": 0}, "fatigue"), ({"visits_a_day": 1}, "visits")):
        with pytest.raises(InvalidInput, match=message):
            Simulator(**{"num_users": 10, "num_items": 9, **change})
    shop = Simulator(50, 5)
    with pytest.raises(InvalidInput, match="none for treatment"):
        shop.run(SPEC, {"control": np.full((50, 5), 0.2)}, 2)
    with pytest.raises(InvalidInput, match="Nobody visited"):
        shop.run(SPEC, dict.fromkeys(SPEC.arms, np.full((50, 5), 0.2)), 0)
