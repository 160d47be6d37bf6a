import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare

ITEMS = pl.DataFrame({"item_id": ["z", "x"], "title": ["Zither", "Xylophone"]})
NOW = 1_600_000_000  # 2020-09-13 12:26:40 UTC
SECONDS = [(NOW + i) * 1_000_000 for i in range(3)]
TIMES = {
    "order": ([1, 2, 3], False, [1, 2, 3]),
    "fractional order": ([0.1, 0.2, 0.7], False, [1, 2, 3]),
    "seconds": ([NOW, NOW + 1, NOW + 2], True, SECONDS),
    "milliseconds": ([NOW * 1000 + i for i in range(3)], True, [NOW * 1_000_000 + i * 1000 for i in range(3)]),
    "microseconds": ([NOW * 1_000_000 + i for i in range(3)], True, [NOW * 1_000_000 + i for i in range(3)]),
    "fractions": ([NOW + 0.5, NOW + 1.25, NOW + 2.0], True, [SECONDS[0] + 500_000, SECONDS[1] + 250_000, SECONDS[2]]),
    "digits": ([f"{NOW}", f"{NOW + 1}", f"{NOW + 2}"], True, SECONDS),
    "iso": (["2020-09-13 12:26:40", "2020-09-13 12:26:41", "2020-09-13 12:26:42"], True, SECONDS),
    "zones": (["2020-09-13T12:26:40Z", "2020-09-13T14:26:41+02:00", "2020-09-13T12:26:42Z"], True, SECONDS),
    "day first": (
        ["05/09/2020 12:26", "13/09/2020 12:26", "14/09/2020 12:26"],
        True,
        [(NOW - 40 + days * 86_400) * 1_000_000 for days in (-8, 0, 1)],
    ),
}


@pytest.mark.parametrize(("stamps", "clock", "microseconds"), TIMES.values(), ids=TIMES.keys())
def test_time_formats_and_units_are_recognised(tmp_path, stamps, clock, microseconds):
    log = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "timestamp": stamps})
    dataset = prepare(log, pl.DataFrame({"item_id": ["a"]}), tmp_path / "d", split="leave-one-out")
    assert dataset.manifest["clock"] is clock
    assert dataset.histories().timestamps.tolist() == microseconds


def test_datetimes_with_a_zone_and_without_are_utc(tmp_path):
    naive = pl.Series([NOW * 1000] * 3).cast(pl.Datetime("ms"))
    for i, stamps in enumerate([naive, naive.dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo")]):
        log = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "timestamp": stamps})
        dataset = prepare(log, ITEMS, tmp_path / str(i), split="leave-one-out", config={"data.ties": "file"})
        assert dataset.histories().timestamps.tolist() == [NOW * 1_000_000] * 3
        assert dataset.histories().items.tolist() == [2, 3, 4]


def test_the_unit_can_be_forced(tmp_path):
    log = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "timestamp": [1, 2, 3]})
    config = RunConfig().with_values(["data.timestamp_unit=ms"])
    dataset = prepare(log, ITEMS, tmp_path / "d", split="leave-one-out", config=config)
    assert dataset.histories().timestamps.tolist() == [1000, 2000, 3000]
    assert dataset.manifest["clock"]
