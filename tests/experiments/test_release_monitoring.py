"""Daily metrics against a loop over the logs; change points are found on their day, with few false alarms."""

import datetime
import math

import numpy as np
import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.experiments import Change, change_points, daily_metrics

DAY = 86_400
START = 1_700_006_400  # midnight


def logs(seed=0, users=40, items=15, days=3):
    rng = np.random.default_rng(seed)
    n = 900
    shown = pl.DataFrame(
        {
            "user_id": [f"u{i}" for i in rng.integers(0, users, n)],
            "item_id": [f"i{i}" for i in rng.integers(0, items, n)],
            "timestamp": START + np.arange(n) * (days * DAY // n),
            "version": rng.choice(["1", "2"], n),
            "latency_ms": rng.gamma(3, 10, n),
            "fallback": rng.random(n) < 0.1,
            "unknown_ids": rng.integers(0, 3, n),
            "history_ids": rng.integers(3, 9, n),
        }
    )
    chosen = shown.sample(300, seed=1, with_replacement=True)
    acted = chosen.select("user_id", "item_id").with_columns(
        timestamp=chosen["timestamp"] + pl.Series(rng.integers(1, 2 * DAY, 300)),
        event=pl.Series(rng.choice(["click", "purchase", "view"], 300)),
    )
    return shown, acted.sample(fraction=1, shuffle=True, seed=2)


def by_loop(shown, acted, kind, hours=24):
    """The impressions with an outcome of a kind, in a plain loop over outcomes."""
    rows = shown.to_dicts()
    marked = set()
    for act in acted.filter(pl.col("event") == kind).to_dicts():
        same = [i for i, row in enumerate(rows) if (row["user_id"], row["item_id"]) == (act["user_id"], act["item_id"])]
        before = [i for i in same if rows[i]["timestamp"] <= act["timestamp"]]
        if before and act["timestamp"] - rows[before[-1]]["timestamp"] <= hours * 3600:
            marked.add(before[-1])
    return marked


def test_daily_metrics_equal_a_loop():
    shown, acted = logs()
    table = daily_metrics(shown, acted, num_items=20)
    clicked, bought = by_loop(shown, acted, "click"), by_loop(shown, acted, "purchase")
    assert clicked and bought and table.height == 6
    for row in table.to_dicts():
        mine = [
            (i, line)
            for i, line in enumerate(shown.to_dicts())
            if line["version"] == row["version"]
            and datetime.datetime.fromtimestamp(line["timestamp"], datetime.UTC).date() == row["day"]
        ]
        lines = [line for _, line in mine]
        assert row["impressions"] == len(mine)
        assert row["users"] == len({line["user_id"] for line in lines})
        assert row["click_through"] == pytest.approx(sum(i in clicked for i, _ in mine) / len(mine))
        assert row["conversion"] == pytest.approx(sum(i in bought for i, _ in mine) / len(mine))
        assert row["coverage"] == pytest.approx(len({line["item_id"] for line in lines}) / 20)
        assert row["latency_p95"] == pytest.approx(np.quantile([line["latency_ms"] for line in lines], 0.95))
        assert row["fallbacks"] == pytest.approx(np.mean([line["fallback"] for line in lines]))
        unknown = sum(line["unknown_ids"] for line in lines) / sum(line["history_ids"] for line in lines)
        assert row["unknown_ids"] == pytest.approx(unknown)
        per_user = {}
        for i, line in mine:
            c, n = per_user.get(line["user_id"], (0, 0))
            per_user[line["user_id"]] = (c + (i in clicked), n + 1)
        c, n = np.array(list(per_user.values())).T
        linear = (c - row["click_through"] * n) / n.mean()
        assert row["click_through_se"] == pytest.approx(linear.std(ddof=1) / math.sqrt(len(n)))


def test_metrics_without_their_column_are_null():
    shown, acted = logs()
    table = daily_metrics(shown.select("user_id", "item_id", "timestamp", "version"), acted, num_items=20)
    for name in ("latency_p50", "latency_p95", "fallbacks", "unknown_ids"):
        assert table[name].null_count() == table.height


def test_logs_that_do_not_match_are_refused():
    shown, acted = logs()
    strange = acted.with_columns(pl.col("user_id") + "?")
    for call, message in (
        (lambda: daily_metrics(shown.drop("version"), acted, num_items=9), "no column 'version'"),
        (lambda: daily_metrics(shown, acted.drop("item_id"), num_items=9), "no column 'item_id'"),
        (lambda: daily_metrics(shown.head(0), acted, num_items=9), "received none"),
        (lambda: daily_metrics(shown, strange, num_items=9), "belongs to one of 900"),
        (lambda: daily_metrics(shown, acted, num_items=0), "above 0"),
        (lambda: change_points(series(np.zeros(30)), permutations=20), "permutations"),
    ):
        with pytest.raises(InvalidInput, match=message):
            call()


def series(values, version="1", figure="click_through"):
    first = datetime.date(2026, 1, 5)
    days = [first + datetime.timedelta(days=i) for i in range(len(values))]
    return pl.DataFrame({"day": days, "version": version, figure: values})


def test_a_step_is_found_on_its_day_despite_a_weekly_pattern():
    rng = np.random.default_rng(0)
    week = np.array([0, 0, 0, 0, 0.01, 0.03, 0.03])
    values = 0.1 + np.tile(week, 8) + rng.normal(0, 0.003, 56)
    values[35:] -= 0.02
    daily = pl.concat([series(values), series(0.1 + rng.normal(0, 0.003, 56), "2")])
    (found,) = change_points(daily)
    assert isinstance(found, Change)
    assert (found.version, found.figure) == ("1", "click_through")
    assert found.day == str(datetime.date(2026, 1, 5) + datetime.timedelta(days=35))
    assert found.before == pytest.approx(values[:35].mean()) and found.after == pytest.approx(values[35:].mean())
    assert found.p <= 0.01


def test_two_steps_are_found_in_order():
    rng = np.random.default_rng(1)
    values = np.concatenate([np.full(15, 50.0), np.full(15, 80.0), np.full(15, 55.0)]) + rng.normal(0, 2, 45)
    found = change_points(series(values, figure="latency_p95"))
    first = datetime.date(2026, 1, 5)
    assert [change.day for change in found] == [str(first + datetime.timedelta(days=d)) for d in (15, 30)]


def test_false_alarms_are_rare():
    rng = np.random.default_rng(2)
    alerts = sum(
        bool(change_points(series(rng.normal(0, 1, 28)), alpha=0.05, permutations=199, seed=i)) for i in range(300)
    )
    assert alerts / 300 <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 300)


def test_short_constant_or_empty_series_give_no_alert():
    assert change_points(series(np.arange(7.0))) == []
    assert change_points(series(np.full(40, 0.1))) == []
    assert change_points(series(np.zeros(0))) == []
