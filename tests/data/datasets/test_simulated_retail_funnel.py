"""The simulated shop: the steps before a purchase, and impressions."""

import polars as pl
import pytest

from tfrec.data import prepare
from tfrec.data.datasets.simulated_retail_funnel import retail_behaviours


@pytest.fixture(scope="module")
def log():
    return retail_behaviours(users=80, products=60, impressions=True, seed=3)[0]


def test_the_seed_decides_the_log(log):
    assert retail_behaviours(users=80, products=60, impressions=True, seed=3)[0].equals(log)
    assert not retail_behaviours(users=80, products=60, impressions=True, seed=4)[0].equals(log)


def test_purchases_and_favourites_follow_views_and_views_follow_impressions(log):
    for kind, before, seconds in (("purchase", "view", 1800), ("favourite", "view", 60), ("view", "impression", 60)):
        acts = log.filter(pl.col("event") == kind)
        earlier = log.filter(pl.col("event") == before).rename({"timestamp": "then"})
        joined = acts.join(earlier, on=["user_id", "item_id"]).filter(
            pl.col("then") <= pl.col("timestamp"), pl.col("then") >= pl.col("timestamp") - seconds
        )
        keys = ["user_id", "item_id", "timestamp"]
        assert joined.select(keys).unique().height == acts.select(keys).unique().height, kind


def test_users_on_a_phone_buy_less_of_what_they_view(log):
    counted = log.group_by("context_device", "event").len().pivot("event", index="context_device", values="len")
    share = dict(counted.select("context_device", pl.col("purchase") / pl.col("view")).iter_rows())
    assert share["phone"] < 0.5 * min(share["desktop"], share["tablet"])


def test_impressions_are_context_and_not_targets(log, tmp_path):
    items = retail_behaviours(users=80, products=60, impressions=True, seed=3)[1]
    dataset = prepare(log, items, tmp_path / "data", split="global-time")
    h = dataset.histories()
    shown = h.events == dataset.event_kinds.index("impression")
    assert shown.any() and not h.is_target[shown].any() and h.is_target[~shown].all()
    assert set(h.context["context_device"]) == {"phone", "desktop", "tablet"}
