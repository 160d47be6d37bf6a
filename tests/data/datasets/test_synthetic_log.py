import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tfrec.data import check_leakage, prepare
from tfrec.data.datasets.synthetic_log import shop_log, write_shop_log
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
