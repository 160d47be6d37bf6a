"""What a retraining run reads: with and without a catalogue, and well-known logs."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

from datetime import UTC, datetime, timedelta  # isort: skip

import polars as pl
import pytest

from tests.workflows.retrain.ring import ITEMS, SMALL, START, Killed, log
from tfrec.config import RunConfig
from tfrec.data import PreparedDataset
from tfrec.workflows.retrain import retrain


@pytest.fixture
def prepared(job, monkeypatch):
    """The data that a run has prepared when its training begins; there the run ends."""

    def train(dataset, out, config, resume=False, force=False):
        raise Killed

    def run(events, items, now, **options):
        with pytest.raises(Killed):
            retrain(events, items, job.home, job.out, config=RunConfig().with_values(SMALL), now=now, **options)
        return PreparedDataset(job.home / "nights" / "0001" / "data")

    monkeypatch.setattr("tfrec.runs.train", train)
    return run


def test_without_a_catalogue_the_items_are_those_of_the_log(prepared):
    data = prepared(log(10), None, START + timedelta(days=10))
    assert sorted(data.item_ids) == sorted(f"i{i}" for i in range(ITEMS))
    assert data.manifest["split"] == "global-time" and "in_catalogue" not in data.items.columns


def test_a_well_known_log_is_read_as_it_was_downloaded(prepared, tmp_path):
    seconds = pl.col("timestamp").dt.epoch("s") - 6 * 365 * 86_400  # in 2018
    rows = log(10).select(
        pl.col("user_id", "item_id").str.slice(1), category=pl.lit("9"), event=pl.lit("pv"), timestamp=seconds
    )
    rows.write_csv(tmp_path / "UserBehavior.csv", include_header=False)
    data = prepared(tmp_path / "UserBehavior.csv", None, datetime(2018, 2, 1, tzinfo=UTC), reader="taobao")
    assert data.event_kinds == ["view"] and data.num_items == ITEMS
    assert data.manifest["split"] == "global-time"  # as every run needs it, whatever suits the log
