import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tfrec.data import check_leakage, prepare
from tfrec.data.datasets.synthetic_log import START, shop_log, write_shop_log
from tfrec.errors import InvalidInput


def test_the_seed_decides_the_log():
    assert_frame_equal(shop_log(500, seed=1)[0], shop_log(500, seed=1)[0])
    assert not shop_log(500, seed=1)[0].equals(shop_log(500, seed=2)[0])


def test_a_synthetic_log_is_dirty_and_prepares(tmp_path):
    events, items = write_shop_log(tmp_path, 5000)
    dataset = prepare(events, items, tmp_path / "d")
    dropped = {name: found["count"] for name, found in dataset.report["events"]["dropped"].items()}
    assert 20 < dropped["blank_user_id"] < 90 and 50 < dropped["exact_duplicate"] < 150
    assert dataset.manifest["split"] == "global-time"
    assert len(dataset.queries("test")) > 10
    check_leakage(dataset)


def test_no_events_are_refused():
    with pytest.raises(InvalidInput, match="at least 1"):
        shop_log(0)


def test_a_log_written_in_blocks_is_the_log_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrec.data.datasets.synthetic_log.BLOCK", 300)
    events, items = write_shop_log(tmp_path, 1000, seed=3)
    log, catalogue = shop_log(1000, seed=3)
    assert_frame_equal(pl.read_parquet(events), log)
    assert_frame_equal(pl.read_parquet(items), catalogue)
    assert log.height == 1000 and not log[:300].equals(log[300:600])


def test_there_is_something_to_learn_tastes_sequences_and_seasons():
    log, _ = shop_log(30_000, items=3000, seed=5)
    shelf, month = pl.col("item_id").str.slice(1).cast(int) // 100, (pl.col("timestamp") - START) // (30 * 86_400)
    log = log.drop_nulls().with_columns(shelf=shelf, month=month).sort("timestamp")
    before = log.select(pl.col("item_id", "shelf").shift(1).over("user_id"))
    by_chance = (log["shelf"] == log["shelf"].sample(fraction=1, shuffle=True, seed=0)).mean()
    assert (log["shelf"] == before["shelf"]).mean() > 0.4 > 4 * by_chance
    pairs = log.select(before=before["item_id"], item="item_id").drop_nulls().group_by("before", "item").len()
    follows = pairs.group_by("before").agg(pl.col("len").max() / pl.col("len").sum(), events=pl.col("len").sum())
    assert follows.filter(pl.col("events") > 20)["len"].mean() > 0.15  # one of 3,000 items comes next that often
    months = [(pl.col("month") == number).mean().alias(str(number)) for number in range(3)]
    shares = log.group_by("shelf").agg(pl.len(), *months).filter(pl.col("len") > 100)
    assert shares.select(pl.max_horizontal("0", "1", "2")).max().item() > 0.5
