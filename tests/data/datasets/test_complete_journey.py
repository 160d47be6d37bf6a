"""The Complete Journey's files are converted to our columns. The files are made up; nothing is downloaded."""

import datetime as dt

import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.data import prepare, read_complete_journey

NOON, LATER = dt.datetime(2017, 1, 1, 12), dt.datetime(2017, 1, 2, 12)


@pytest.fixture
def journey(tmp_path):
    pl.DataFrame(
        {
            "household_id": [7, 7, 8],
            "store_id": [1, 1, 2],
            "basket_id": [31, 30, 32],
            "product_id": [500, 501, 500],
            "quantity": [2, 1, 0],
            "coupon_disc": [0.0, 0.5, 0.0],
            "transaction_timestamp": [LATER, NOON, LATER],
        }
    ).with_columns(pl.col("transaction_timestamp").cast(pl.Datetime("ns"))).write_parquet(
        tmp_path / "transactions.parquet"
    )
    pl.DataFrame(
        {
            "product_id": [500, 501],
            "manufacturer_id": [1, 2],
            "department": ["GROCERY", "PASTRY"],
            "brand": ["Private", "National"],
            "product_category": ["TEA", None],
            "product_type": ["GREEN TEA", None],
            "package_size": ["20 CT", None],
        }
    ).write_parquet(tmp_path / "products.parquet")
    return tmp_path


def test_purchases_are_in_time_order_and_coupon_purchases_have_their_own_kind(journey):
    events, items = read_complete_journey(journey)
    assert events.rows() == [
        ("7", "501", "coupon_purchase", NOON, 1.0, "1", "30"),
        ("7", "500", "purchase", LATER, 2.0, "1", "31"),
        ("8", "500", "purchase", LATER, 0.0, "2", "32"),
    ]
    assert items.rows()[0] == ("500", "GREEN TEA", "TEA", "GROCERY", "Private", "20 CT")


def test_the_frames_can_be_prepared(journey, tmp_path):
    data = prepare(*read_complete_journey(journey), tmp_path / "data", split="leave-one-out")
    assert data.texts == ["GREEN TEA TEA GROCERY Private 20 CT", "PASTRY National"]
    assert data.report["events"]["not_targets"] == 1  # the line of quantity 0


def test_missing_files_and_columns_are_named(journey, tmp_path):
    with pytest.raises(InvalidInput, match="complete_journey_folder"):
        read_complete_journey(tmp_path / "nowhere")
    pl.DataFrame({"product_id": [1]}).write_parquet(journey / "products.parquet")
    with pytest.raises(InvalidInput, match="department"):
        read_complete_journey(journey)
