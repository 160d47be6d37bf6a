import gzip

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tfrec.config import RunConfig
from tfrec.data import PreparedDataset, check_leakage, prepare
from tfrec.errors import InvalidInput
from tfrec.files import folder_sha256

EVENTS = pl.DataFrame(
    {
        "user_id": ["b", "a", "a", "b", "a", "b", "a"],
        "item_id": ["y", "x", "y", "x", "z", "z", "x"],
        "event": ["view", "view", "purchase", "view", "view", "purchase", "view"],
        "timestamp": [5, 1, 2, 4, 3, 6, 4],
    }
)
ITEMS = pl.DataFrame({"item_id": ["z", "x"], "title": ["Zither", "<b>Xylophone</b>"], "price": [3, 4]})


def configured(*values: str) -> RunConfig:
    return RunConfig().with_values(values)


def named(dataset: PreparedDataset) -> dict[str, list[str]]:
    h = dataset.histories()
    return {user: dataset.item_ids[h.items[h.row(i)]].tolist() for i, user in enumerate(h.user_ids)}


def test_sequences_are_in_time_order_and_the_catalogue_in_file_order(tmp_path):
    before = EVENTS.clone()
    dataset = prepare(EVENTS, ITEMS, tmp_path / "d")
    assert named(dataset) == {"a": ["x", "y", "z", "x"], "b": ["x", "y", "z"]}
    assert dataset.item_ids.tolist() == ["z", "x", "y"]  # y is only in events
    assert dataset.texts == ["Zither", "Xylophone", ""]
    assert dataset.items["price"].to_list() == [3, 4, None]
    assert dataset.event_kinds == ["view", "purchase"]
    assert dataset.histories().events.tolist() == [0, 1, 0, 0, 0, 0, 1]
    assert dataset.report["items"]["only_in_events"] == {"count": 1, "events": 2, "examples": ["y"]}
    assert dataset.items["in_catalogue"].to_list() == [item != "y" for item in dataset.item_ids]
    assert dataset.manifest["split"] == "leave-one-out" and not dataset.manifest["clock"]
    assert_frame_equal(EVENTS, before)


def write_csv(frame, path):
    frame.write_csv(path)


def write_csv_gz(frame, path):
    path.write_bytes(gzip.compress(frame.write_csv().encode()))


def write_tsv(frame, path):
    frame.write_csv(path, separator="\t")


@pytest.mark.parametrize(
    ("suffix", "writer"),
    [
        ("csv", write_csv),
        ("csv.gz", write_csv_gz),
        ("tsv", write_tsv),
        ("parquet", lambda frame, path: frame.write_parquet(path)),
        ("jsonl", lambda frame, path: frame.write_ndjson(path)),
    ],
)
def test_every_format_prepares_to_the_same_bytes(tmp_path, suffix, writer):
    prepare(EVENTS, ITEMS, tmp_path / "frame")
    writer(EVENTS, tmp_path / f"e.{suffix}")
    writer(ITEMS, tmp_path / f"i.{suffix}")
    prepare(tmp_path / f"e.{suffix}", str(tmp_path / f"i.{suffix}"), tmp_path / "file")
    assert folder_sha256(tmp_path / "file") == folder_sha256(tmp_path / "frame")


def test_pandas_and_lazy_frames_prepare_to_the_same_bytes(tmp_path):
    prepare(EVENTS, ITEMS, tmp_path / "polars")
    events = pd.DataFrame(EVENTS.to_dict(as_series=False))
    before = events.copy(deep=True)
    prepare(events, pd.DataFrame(ITEMS.to_dict(as_series=False)), tmp_path / "pandas")
    pd.testing.assert_frame_equal(events, before)
    prepare(EVENTS.lazy(), ITEMS.lazy(), tmp_path / "lazy")
    assert folder_sha256(tmp_path / "pandas") == folder_sha256(tmp_path / "polars") == folder_sha256(tmp_path / "lazy")


def test_the_fingerprint_changes_with_data_and_configuration(tmp_path):
    first = prepare(EVENTS, ITEMS, tmp_path / "1").manifest["fingerprint"]
    assert prepare(EVENTS, ITEMS, tmp_path / "2").manifest["fingerprint"] == first
    assert prepare(EVENTS[:-1], ITEMS, tmp_path / "3").manifest["fingerprint"] != first
    other = prepare(EVENTS, ITEMS, tmp_path / "4", config=configured("data.normalise_text=false"))
    assert other.manifest["fingerprint"] != first
    assert other.texts[1] == "<b>Xylophone</b>"


RETAIL = """Invoice,StockCode,Description,Quantity,InvoiceDate,Customer ID
1,85123A,WHITE HEART,6,12/1/2010 8:26,17850.0
1,85123A,WHITE HEART,6,12/1/2010 8:26,17850.0
1,POST,,1,12/1/2010 8:26,17850.0
2,22752,SEVEN BOXES,2,12/13/2010 9:00,17850.0
C3,22752,SEVEN BOXES,-2,12/14/2010 9:00,17850.0
4,22752,SEVEN BOXES,2,12/15/2010 9:00,
4,,SEVEN BOXES,2,12/15/2010 9:00,13047.0
5,85123A,WHITE HEART,2,12/16/2010 9:00,13047.0
6,22752,SEVEN BOXES,2,12/20/2010 9:00,13047.0
7,85123A,WHITE HEART,2,some day,13047.0
8,85123A,WHITE HEART,2,12/21/2010 9:00,17850.0
"""
RETAIL_CONFIG = (
    "data.columns={user_id: Customer ID, item_id: StockCode, timestamp: InvoiceDate, value: Quantity}",
    "data.default_event=purchase",
)


def test_a_raw_retail_log_prepares_with_the_defaults(tmp_path):
    (tmp_path / "log.csv").write_text(RETAIL)
    (tmp_path / "items.csv").write_text("StockCode,Description\n85123A,WHITE HEART\n22752,SEVEN BOXES\n")
    dataset = prepare(tmp_path / "log.csv", tmp_path / "items.csv", tmp_path / "d", config=configured(*RETAIL_CONFIG))
    assert {name: found["count"] for name, found in dataset.report["events"]["dropped"].items()} == {
        "blank_user_id": 1,
        "blank_item_id": 1,
        "unparsable_timestamp": 1,
        "exact_duplicate": 1,
    }
    assert dataset.report["events"]["dropped"]["unparsable_timestamp"]["examples"][0]["timestamp"] == "some day"
    assert dataset.manifest["split"] == "global-time" and dataset.manifest["clock"]
    assert dataset.item_ids.tolist() == ["85123A", "22752", "POST"]
    h = dataset.histories()
    bought = {user: h.is_target[h.row(i)].tolist() for i, user in enumerate(h.user_ids)}
    assert bought["17850.0"] == [True, True, True, False, True]  # the fourth is a return
    assert h.timestamps.min() == 1_291_191_960_000_000  # 2010-12-01 08:26 UTC
    check_leakage(dataset)


def test_float_ids_from_pandas_become_integers_and_missing_ones_are_blank(tmp_path):
    events = pd.DataFrame({"user_id": [17850.0, np.nan, 17850.0], "item_id": [1, 2, 2], "timestamp": [1, 2, 3]})
    dataset = prepare(events, pl.DataFrame({"item_id": [1, 2]}), tmp_path / "d")
    assert named(dataset) == {"17850": ["1", "2"]}


def test_targets_are_all_but_returns_tags_purchases_of_no_value_and_negative_ratings(tmp_path):
    log = pl.DataFrame(
        {
            "user_id": ["u"] * 6,
            "item_id": ["a"] * 6,
            "event": ["purchase", "purchase", "return", "tag", "waved at", "rating"],
            "value": [1.0, 0.0, None, None, None, -1.0],
            "timestamp": range(6),
        }
    )
    dataset = prepare(log, ITEMS, tmp_path / "1")
    assert dataset.histories().is_target.tolist() == [True, False, False, False, True, False]
    assert dataset.report["events"]["kinds_without_defaults"] == ["waved at"]
    every = prepare(log, ITEMS, tmp_path / "all", config=configured("data.positive=all"))
    assert every.histories().is_target.tolist() == [True, False, False, False, True, True]
    chosen = prepare(log, ITEMS, tmp_path / "2", config=configured("data.targets=[tag, purchase]"))
    assert chosen.histories().is_target.tolist() == [True, False, False, True, False, False]


def test_catalogue_problems_are_dropped_and_reported(tmp_path):
    items = pl.DataFrame({"item_id": ["x", " ", "x", "y", None], "title": ["first", "-", "second", None, "-"]})
    dataset = prepare(EVENTS, items, tmp_path / "d")
    assert dataset.report["items"]["dropped"] == {
        "blank_item_id": {
            "count": 2,
            "examples": [{"item_id": None, "title": "-"}, {"item_id": None, "title": "-"}],
        },
        "duplicate_item": {"count": 1, "examples": ["x"]},
    }
    assert dict(zip(dataset.item_ids, dataset.texts)) == {"x": "first", "y": "", "z": ""}
    assert dataset.report["items"]["without_text"] == {"count": 1, "examples": ["y"]}


@pytest.mark.parametrize(
    ("events", "items"),
    [
        (EVENTS.with_columns(user_id=pl.lit(" ")).head(1).vstack(EVENTS), ITEMS),
        (EVENTS.head(1).vstack(EVENTS), ITEMS),
        (EVENTS, ITEMS.vstack(ITEMS.head(1))),
        (EVENTS.with_columns(item_id=pl.lit(None, pl.String)).head(1).vstack(EVENTS), ITEMS),
        (EVENTS.with_columns(timestamp=pl.lit(None, pl.Int64)).head(1).vstack(EVENTS), ITEMS),
        (EVENTS, ITEMS.with_columns(item_id=pl.lit("")).head(1).vstack(ITEMS)),
    ],
    ids=["blank user", "exact duplicate", "duplicate item", "blank item", "no time", "blank id in the catalogue"],
)
def test_strict_refuses_what_would_be_dropped(tmp_path, events, items):
    prepare(events, items, tmp_path / "lenient")
    with pytest.raises(InvalidInput, match="1 rows, e.g."):
        prepare(events, items, tmp_path / "strict", config=configured("data.strict=true"))
    assert [path.name for path in tmp_path.iterdir()] == ["lenient"]


@pytest.mark.parametrize(
    ("events", "items", "options", "message"),
    [
        (EVENTS.rename({"user_id": "userId"}), ITEMS, {}, "no column 'user_id'; found 'userId'"),
        (EVENTS.drop("timestamp"), ITEMS, {}, "no column 'timestamp'"),
        (EVENTS, ITEMS.drop("item_id"), {}, "items have no column 'item_id'"),
        (EVENTS.clear(), ITEMS, {}, "events are empty"),
        (EVENTS.with_columns(item_id=pl.lit("")), ITEMS, {}, "None of 7 events is usable: 7 blank item id"),
        ("nowhere.csv", ITEMS, {}, "no file nowhere.csv"),
        (EVENTS, ITEMS, {"split": "random"}, "Expected split to be one of"),
        (EVENTS, ITEMS, {"split": "global-time"}, "needs a clock"),
        (EVENTS, ITEMS, {"split": "given"}, "no column 'split'"),
        (EVENTS, ITEMS, {"config": configured("data.targets=[share]")}, "No event has a target kind"),
        (EVENTS, ITEMS, {"config": configured("data.text_template='{name}'")}, "which the items do not have"),
        (EVENTS, ITEMS, {"config": configured("data.min_item_events=9")}, "Cleaning left none of 7 events"),
        (EVENTS.with_columns(timestamp=pl.lit("soon")), ITEMS, {}, "None of the first 7 timestamps could be read"),
        (3, ITEMS, {}, "received int"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(tmp_path, events, items, options, message):
    with pytest.raises(InvalidInput, match=message):
        prepare(events, items, tmp_path / "d", **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.csv", b"", "is empty"),
        ("e.parquet", b"not parquet", "Cannot read the events|cannot read"),
        ("e.jsonl", b"{broken", "Cannot read the events|cannot read"),
        ("e.xlsx", b"x", "e.xlsx: it is named as a workbook, and is none"),
        ("e.csv", b"user_id,item_id,timestamp\n", "events are empty"),
    ],
)
def test_unreadable_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        prepare(tmp_path / name, ITEMS, tmp_path / "d")
    assert not (tmp_path / "d").exists()


def test_an_existing_folder_is_replaced_only_by_force(tmp_path):
    prepare(EVENTS, ITEMS, tmp_path / "d")
    with pytest.raises(InvalidInput, match="exists already"):
        prepare(EVENTS[:5], ITEMS, tmp_path / "d")
    assert len(prepare(EVENTS[:5], ITEMS, tmp_path / "d", force=True).histories().items) == 5


def test_user_columns_follow_the_order_of_the_histories(tmp_path):
    users = pl.DataFrame({"user_id": ["c", "b"], "age": [1, 2]})
    dataset = prepare(EVENTS, ITEMS, tmp_path / "d", users=users)
    assert dataset.users.rows() == [("a", None), ("b", 2)]
    assert prepare(EVENTS, ITEMS, tmp_path / "without").users is None


def test_an_empty_catalogue_leaves_the_items_of_the_events_without_text(tmp_path):
    dataset = prepare(EVENTS, ITEMS.clear(), tmp_path / "d")
    assert dict(zip(dataset.item_ids, dataset.texts)) == {"x": "", "y": "", "z": ""}
    assert dataset.report["items"]["only_in_events"]["count"] == 3
    assert "in_catalogue" not in dataset.items.columns  # it does not say that they are gone


def test_kinds_that_occur_only_in_unusable_rows_are_dropped(tmp_path):
    lost = EVENTS.head(1).with_columns(user_id=pl.lit(""), event=pl.lit("cart"))
    dataset = prepare(EVENTS.with_columns(event=" " + pl.col("event")).vstack(lost), ITEMS, tmp_path / "d")
    assert dataset.event_kinds == ["view", "purchase"]
    assert dataset.histories().events.tolist() == [0, 1, 0, 0, 0, 0, 1]


def test_loading_another_folder_says_what_to_do(tmp_path):
    with pytest.raises(InvalidInput, match="not a prepared dataset"):
        PreparedDataset.load(tmp_path)


def test_context_columns_stay_with_their_events(tmp_path):
    log = EVENTS.with_columns(
        context_page=pl.Series(["b5", "a1", "a2", "b4", None, "b6", "a4"]), context_price=pl.col("timestamp") * 1.5
    )
    before = log.clone()
    dataset = prepare(log.vstack(log.head(1)), ITEMS, tmp_path / "d")  # the repeated row is an exact duplicate
    h = dataset.histories()
    assert h.context["context_page"].tolist() == ["a1", "a2", None, "a4", "b4", "b5", "b6"]
    assert h.context["context_price"].tolist() == [1.5, 3.0, 4.5, 6.0, 6.0, 7.5, 9.0]
    assert dataset.training().context["context_page"].tolist() == ["a1", "a2", "b4"]
    assert dataset.report["events"]["context_columns"] == ["context_page", "context_price"]
    assert dataset.report["events"]["dropped"]["exact_duplicate"]["count"] == 1
    assert_frame_equal(log, before)
    assert prepare(EVENTS, ITEMS, tmp_path / "without").histories().context == {}


def test_rows_that_differ_only_in_context_are_not_duplicates(tmp_path):
    log = EVENTS.head(3).vstack(EVENTS.head(1)).with_columns(context_page=pl.Series(["1", "2", "3", "4"]))
    assert prepare(log, ITEMS, tmp_path / "d").report["events"]["kept"] == 4


def test_a_report_shows_nothing_of_fewer_than_k_people(tmp_path):
    rows = [(f"u{u}", f"i{step}", "cart" if u + step == 0 else "view", step) for u in range(5) for step in range(4)]
    events = pl.DataFrame(rows + rows[:1] * 2, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    whole, hidden = (prepare(events, None, tmp_path / str(k), config={"privacy.k": k}).report["events"] for k in (1, 5))
    assert whole["kinds"] == {"cart": 1, "view": 19} and hidden["kinds"] == {"cart": None, "view": 19}
    (shown,), (left,) = (report["dropped"].values() for report in (whole, hidden))
    assert shown["examples"] and left == {**shown, "examples": []}
