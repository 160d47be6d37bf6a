"""The column map: what each of our columns may be made of."""

import json

import polars as pl
import pytest

from tfrec.config import InputConfig, RunConfig
from tfrec.data import prepare
from tfrec.data.reading import read_input
from tfrec.errors import InvalidInput


def rows(source, columns, what="events", **more):
    given = read_input(source, what, InputConfig(columns=columns, **more))
    return given.frame.select(*columns).collect().rows()


def jsonl(tmp_path, *objects):
    (tmp_path / "e.jsonl").write_text("\n".join(map(json.dumps, objects)))
    return tmp_path / "e.jsonl"


def test_fields_inside_nested_columns_are_reached_by_dots(tmp_path):
    path = jsonl(tmp_path, {"u": "a", "product": {"id": "p1", "by": {"name": "X"}}}, {"u": "b", "product": None})
    assert rows(path, {"item_id": "product.id", "brand": "product.by.name"}) == [("p1", "X"), (None, None)]
    text = pl.DataFrame({"u": ["a"], "payload": ['{"product":{"id":"p1"}}']})  # JSON written as text
    assert rows(text, {"item_id": "payload.product.id"}) == [("p1",)]


def test_a_list_is_a_row_an_entry(tmp_path):
    path = jsonl(
        tmp_path,
        {"session": 7, "events": [{"aid": 1, "ts": 10, "type": "clicks"}, {"aid": 2, "ts": 11, "type": "carts"}]},
        {"session": 8, "events": [{"aid": 3, "ts": 12, "type": "orders"}]},
    )
    columns = {"user_id": "session", "item_id": "events[].aid", "timestamp": "events[].ts", "event": "events[].type"}
    assert rows(path, columns) == [(7, 1, 10, "clicks"), (7, 2, 11, "carts"), (8, 3, 12, "orders")]
    deep = jsonl(
        tmp_path,
        {"u": 1, "orders": [{"day": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}, {"day": 2, "lines": [{"sku": "c"}]}]},
    )
    assert rows(deep, {"user_id": "u", "item_id": "orders[].lines[].sku", "timestamp": "orders[].day"}) == [
        (1, "a", 1), (1, "b", 1), (1, "c", 2),
    ]  # fmt: skip


def test_an_object_in_place_of_a_list_is_one_entry(tmp_path):
    path = jsonl(tmp_path, {"productDetails": {"product": {"id": "p"}, "quantity": 3}})
    assert rows(path, {"item_id": "productDetails[].product.id"}) == [("p",)]


def test_two_lists_do_not_go_together(tmp_path):
    path = jsonl(tmp_path, {"a": [1], "b": [2]})
    with pytest.raises(InvalidInput, match="opens two lists"):
        rows(path, {"user_id": "a[]", "item_id": "b[]"})


def test_the_first_that_is_there_is_taken():
    frame = pl.DataFrame({"user_id": [None, " ", "c"], "anonymous_id": ["a", "b", "x"]})
    for spec in ("user_id|anonymous_id", ["user_id", "anonymous_id"], "user_id|missing|anonymous_id"):
        assert rows(frame, {"user_id": spec}) == [("a",), ("b",), ("c",)]


def test_constants_rows_and_file_names(tmp_path):
    (tmp_path / "clicks.dat").write_text("1,a\n2,b\n")
    (tmp_path / "buys.dat").write_text("3,a\n")
    given = read_input(
        [tmp_path / "clicks.dat", tmp_path / "buys.dat"],
        "events",
        InputConfig(names=["user_id", "item_id"], columns={"event": "@file", "timestamp": "@row", "shop": "=north"}),
    )
    found = given.frame.select("user_id", "item_id", "event", "timestamp", "shop").collect().rows()
    assert found == [
        ("1", "a", "clicks", 0, "north"), ("2", "b", "clicks", 1, "north"), ("3", "a", "buys", 2, "north"),
    ]  # fmt: skip


def test_a_date_and_a_time_or_an_offset_are_one_time(tmp_path):
    log = pl.DataFrame(
        {"user_id": ["u"] * 3, "item_id": ["a", "b", "c"], "day": ["2024-01-01", "2024-01-01", "2024-01-02"],
         "clock": ["10:00:00", "11:00:00", "00:30:00"], "frame": [5000, 61_000, 0]}
    )  # fmt: skip
    first = 1_704_067_200_000_000
    for spec, expected in (
        ("day + clock", [first + 36_000_000_000, first + 39_600_000_000, first + 88_200_000_000]),
        ("day + frame ms", [first + 5_000_000, first + 61_000_000, first + 86_400_000_000]),
    ):
        config = RunConfig().with_values([f"data.events.columns.timestamp={spec}"])
        dataset = prepare(log, None, tmp_path / spec, split="leave-one-out", config=config)
        assert dataset.histories().timestamps.tolist() == expected


def test_a_column_of_exactly_that_name_wins():
    frame = pl.DataFrame({"a|b": ["x"], "a": ["y"], "c.d": ["z"], "user_id:token": ["t"]})
    columns = {"user_id": "a|b", "item_id": "c.d", "event": "user_id:token"}
    assert rows(frame, columns) == [("x", "z", "t")]


def test_each_input_has_a_map_of_its_own(tmp_path):
    log = pl.DataFrame({"user_id": ["u"] * 3, "product_id": ["1", "2", "1"], "timestamp": [1, 2, 3]})
    catalogue = pl.DataFrame({"id": ["1", "2"], "title": ["Tea", "Pot"]})
    values = ["data.events.columns.item_id=product_id", "data.items.columns.item_id=id"]
    dataset = prepare(log, catalogue, tmp_path / "d", config=RunConfig().with_values(values))
    assert dataset.texts == ["Tea", "Pot"]
    with pytest.raises(InvalidInput, match="data.items.columns.item_id is 'sku', and items have no column 'sku'"):
        config = RunConfig().with_values([*values[:1], "data.items.columns.item_id=sku"])
        prepare(log, catalogue, tmp_path / "e", config=config)


def test_capitals_of_our_own_names_do_not_matter():
    frame = pl.DataFrame({"USER_ID": ["a"], "Item_Id": ["b"], "TIMESTAMP": [1]})
    given = read_input(frame, "events")
    assert given.frame.collect_schema().names() == ["user_id", "item_id", "timestamp"]
    assert "'USER_ID' as user_id" in str(given.notices[0])


def test_a_flag_is_an_event_of_its_kind_and_a_row_without_one_was_only_shown(tmp_path):
    log = pl.DataFrame(
        {"user_id": ["u"] * 4, "item_id": list("abcd"), "timestamp": [1, 2, 3, 4], "click": ["0", "1", "1", "0"],
         "like": [0, 1, 0, 0]}
    )  # fmt: skip
    config = RunConfig().with_values(["data.events.flags=[click, like]"])
    dataset = prepare(log, None, tmp_path / "d", config=config)
    h = dataset.histories()
    found = [(dataset.item_ids[i], dataset.event_kinds[e], bool(t)) for i, e, t in zip(h.items, h.events, h.is_target)]
    assert sorted(found) == [
        ("a", "impression", False), ("b", "click", True), ("b", "like", True), ("c", "click", True),
        ("d", "impression", False),
    ]  # fmt: skip
    with pytest.raises(InvalidInput, match="data.events.flags names"):
        prepare(log, None, tmp_path / "e", config=RunConfig().with_values(["data.events.flags=[share]"]))


@pytest.mark.parametrize("column", ["item_id", "shown"])
def test_labelled_impressions_are_impressions_and_clicks(tmp_path, column):
    log = pl.DataFrame({"user_id": ["u", "u"], column: ["N1-0 N2-1", "N3-1"], "timestamp": [1, 2]})
    config = RunConfig().with_values([f"data.events.impressions={column}"])
    dataset = prepare(log, None, tmp_path / "d", config=config)
    h = dataset.histories()
    found = [(t, dataset.item_ids[i], dataset.event_kinds[e]) for t, i, e in zip(h.timestamps, h.items, h.events)]
    assert sorted(found) == [
        (1, "N1", "impression"), (1, "N2", "click"), (1, "N2", "impression"), (2, "N3", "click"),
        (2, "N3", "impression"),
    ]  # fmt: skip


def test_lists_of_what_was_shown_are_refused_as_ids_with_the_flag_that_reads_them(tmp_path):
    log = pl.DataFrame({"user_id": ["u", "u"], "item_id": ["N1-0 N2-1", "N3-1 N1-0"], "timestamp": [1, 2]})
    with pytest.raises(InvalidInput, match="--set data.events.impressions=item_id"):
        prepare(log, None, tmp_path / "d")


@pytest.mark.parametrize("shown", [["a|b|c", None], [["a", "b", "c"], []]])
def test_unlabelled_impressions_are_beside_the_event(tmp_path, shown):
    log = pl.DataFrame(
        {
            "user_id": ["u", "u"],
            "item_id": ["b", "c"],
            "event": ["click", "click"],
            "timestamp": [1, 2],
            "IMPRESSION": shown,
        }
    )
    config = RunConfig().with_values(["data.events.impressions=IMPRESSION"])
    dataset = prepare(log, None, tmp_path / "d", config=config)
    h = dataset.histories()
    found = [(t, dataset.item_ids[i], dataset.event_kinds[e]) for t, i, e in zip(h.timestamps, h.items, h.events)]
    assert sorted(found) == [
        (1, "a", "impression"), (1, "b", "click"), (1, "b", "impression"), (1, "c", "impression"), (2, "c", "click"),
    ]  # fmt: skip


def test_a_missing_column_is_told_with_those_inside_lists_and_structs(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"session": 1, "events": [{"aid": 7, "at": {"ts": 5}}], "tags": ["a"]}\n')
    with pytest.raises(InvalidInput, match=r"found 'session', 'events\[\].aid', 'events\[\].at.ts', 'tags'. Rename"):
        prepare(tmp_path / "log.jsonl", None, tmp_path / "data")
