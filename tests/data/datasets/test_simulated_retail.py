"""A simulated raw retail log goes through `prepare` with the defaults and a split by time."""

import numpy as np
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tfrec.data import check_leakage, prepare
from tfrec.data.datasets.simulated_retail import SERVICES, retail_log


@pytest.fixture(scope="module")
def raw():
    return retail_log(users=250, products=150, seed=1)


@pytest.fixture(scope="module")
def dataset(raw, tmp_path_factory):
    folder = tmp_path_factory.mktemp("retail")
    raw[0].write_csv(folder / "events.csv")
    raw[1].write_csv(folder / "items.csv")
    return prepare(folder / "events.csv", folder / "items.csv", folder / "data", split="global-time")


def test_the_seed_decides_the_retail_log(raw):
    again, catalogue = retail_log(users=250, products=150, seed=1)
    assert_frame_equal(again, raw[0])
    assert_frame_equal(catalogue, raw[1])
    assert not retail_log(users=250, products=150, seed=2)[0].equals(raw[0])


def test_the_log_is_as_dirty_as_documented(raw):
    log, catalogue = raw
    returned = ((log["event"] == "return") | (log["value"] < 0)).mean()
    assert 0.1 < log["user_id"].is_null().mean() < 0.3
    assert 0.01 < returned < 0.04
    assert set(log["item_id"].unique()) - set(catalogue["item_id"]) == set(SERVICES)
    assert log.is_duplicated().any() and log["timestamp"].is_sorted()


def test_blank_users_and_repeated_rows_are_dropped_and_services_kept(raw, dataset):
    log, catalogue = raw
    known = log.drop_nulls("user_id")
    dropped = {name: found["count"] for name, found in dataset.report["events"]["dropped"].items()}
    assert dropped == {
        "blank_user_id": log["user_id"].null_count(),
        "exact_duplicate": known.height - known.unique().height,
    }
    assert dataset.report["events"]["kept"] == known.unique().height
    assert dataset.item_ids[catalogue.height :].tolist() == sorted(SERVICES)
    assert all(dataset.texts[: catalogue.height]) and not any(dataset.texts[catalogue.height :])
    check_leakage(dataset)


def test_returns_are_history_but_not_targets(raw, dataset):
    sent_back = raw[0].drop_nulls("user_id").unique().filter((pl.col("event") == "return") | (pl.col("value") < 0))
    h = dataset.histories()
    assert (~h.is_target).sum() == dataset.report["events"]["not_targets"] == sent_back.height


def test_users_buy_again_and_the_split_is_by_time(dataset):
    queries, cut = dataset.queries("test"), dataset.manifest["cuts"]["test"]
    ends = queries.history.offsets[1:] - 1
    assert len(queries) > 30 and (queries.history.timestamps[ends] < cut).all()
    again = [
        np.isin(queries.target_items[slice(*queries.target_offsets[q : q + 2])], queries.history.items[row]).mean()
        for q, row in enumerate(map(queries.history.row, range(len(queries))))
    ]
    assert np.mean(again) > 0.1
