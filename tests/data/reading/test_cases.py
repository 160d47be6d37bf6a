"""Inputs that once went wrong without a word, each with what is right."""

from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput

ITEMS = pl.DataFrame({"item_id": ["1", "2"], "title": ["Tea", "Pot"]})
NOW = 1_700_000_000


def written(tmp_path, text, *values, items=ITEMS, split="leave-one-out", name="e.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    config = RunConfig().with_values(values)
    return prepare(tmp_path / name, items, tmp_path / "d", split=split, config=config, force=True)


def times(dataset):
    return [datetime.fromtimestamp(t / 1e6, UTC).isoformat(" ") for t in dataset.histories().timestamps]


def log_of(*stamps, head="user_id,item_id,timestamp"):
    return "\n".join([head, *(f'u,{i % 2 + 1},"{stamp}"' for i, stamp in enumerate(stamps))]) + "\n"


STAMPS = {
    "two-digit years, month first": (["12/1/10 8:26", "12/22/10 9:00", "12/3/10 9:30"], "2010-12-01 08:26:00+00:00"),
    "two-digit years, day first": (["13/01/24 08:26", "14/01/24 09:00", "15/02/24 09:30"], "2024-01-13 08:26:00+00:00"),
    "nanoseconds": (["1700000000000000000", "1700003600000000000"], "2023-11-14 22:13:20+00:00"),
    "digits to the second": (["20240101103000", "20240101110000"], "2024-01-01 10:30:00+00:00"),
    "digits to the day": (["20240101", "20240102"], "2024-01-01 00:00:00+00:00"),
    "am and pm": (["11/12/2019 2:14:46 PM", "11/13/2019 12:00:00 AM"], "2019-11-12 14:14:46+00:00"),
    "mail": (["Sun, 30 Jul 2017 07:44:10 +0200", "Mon, 31 Jul 2017 07:44:10 +0200"], "2017-07-30 05:44:10+00:00"),
    "unix date": (["Sun Jul 30 07:44:10 -0700 2017", "Mon Jul 31 07:44:10 -0700 2017"], "2017-07-30 14:44:10+00:00"),
    "day-month-year": (["13-12-2010", "14-12-2010"], "2010-12-13 00:00:00+00:00"),
    "words": (["Jan 5, 2020", "Jan 6, 2020"], "2020-01-05 00:00:00+00:00"),
    "amazon": (["09 13, 2009", "9 14, 2009"], "2009-09-13 00:00:00+00:00"),
    "a film's": (["01-Jan-1995", "02-Jan-1995"], "1995-01-01 00:00:00+00:00"),
    "iso in two forms": (["2023-11-14 22:13:20", "2023-11-14T22:13:21Z", "2023-11-15"], "2023-11-14 22:13:20+00:00"),
    "dotted": (["13.12.2010 08:26", "14.12.2010 08:26"], "2010-12-13 08:26:00+00:00"),
    "seconds with fractions": (["1593878903.438", "1593878904.5"], "2020-07-04 16:08:23.438000+00:00"),
}


@pytest.mark.parametrize(("stamps", "first"), STAMPS.values(), ids=STAMPS.keys())
def test_times_are_what_they_mean(tmp_path, stamps, first):
    dataset = written(tmp_path, log_of(*stamps))
    assert times(dataset)[0] == first
    assert dataset.manifest["clock"] and len(dataset.histories().items) == len(stamps)


def test_day_and_month_that_cannot_be_told_apart_are_said_and_can_be_said(tmp_path, capsys):
    dataset = written(tmp_path, log_of("03/04/2024", "05/06/2024"))
    assert times(dataset)[0].startswith("2024-03-04")
    assert "fits as well" in capsys.readouterr().err
    dataset = written(tmp_path, log_of("03/04/2024", "05/06/2024"), "data.events.time_format=%d/%m/%Y")
    assert times(dataset)[0].startswith("2024-04-03")
    with pytest.raises(InvalidInput, match="fits as well"):
        written(tmp_path, log_of("03/04/2024", "05/06/2024"), "data.strict=true")


@pytest.mark.parametrize("readable", [3, 15])
def test_a_format_that_reads_too_few_is_refused(tmp_path, readable):
    stamps = ["2024-01-01"] * readable + ["2 Jan 2024"] * (20 - readable)
    with pytest.raises(InvalidInput, match="of 20 times cannot be read.*time_format"):
        written(tmp_path, log_of(*stamps))


@pytest.mark.parametrize("late", [1, 40])
def test_milliseconds_among_seconds_are_read_by_their_size_and_said(tmp_path, late, capsys):
    stamps = [str(NOW + i) if i >= late else f"{NOW + i}000" for i in range(100)]
    dataset = written(tmp_path, log_of(*stamps))
    assert dataset.histories().timestamps.tolist() == [(NOW + i) * 1_000_000 for i in range(100)]
    assert f"{late} times are not in s" in capsys.readouterr().err


def test_impossible_times_are_dropped_if_few_and_refused_if_many(tmp_path, capsys):
    good = [str(NOW + i) for i in range(100)]
    dataset = written(tmp_path, log_of(*good, "-2134949234", "300000000"))
    assert len(dataset.histories().items) == 100
    assert dataset.report["events"]["dropped"]["implausible_timestamp"]["count"] == 2
    assert "2 of 102 rows are dropped: implausible timestamp" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="20 of 120 times lie outside 1990-01-01 to .*'300000000'.*1979-07-05"):
        written(tmp_path, log_of(*good, *["300000000"] * 20))
    old = written(tmp_path, log_of(*[str(300_000_000 + i) for i in range(9)]), "data.earliest=1979-01-01")
    assert times(old)[0].startswith("1979-07-05")


def test_ids_meet_where_they_can_only_mean_each_other(tmp_path, capsys):
    for ids in (["1.0", "2.0"], [" 1", "2 "], ["0001", "2"], ["1", "2"]):
        text = "user_id,item_id,timestamp\n" + "".join(f"u,{ids[i % 2]},{NOW + i}\n" for i in range(6))
        assert written(tmp_path, text).item_ids.tolist() == ["1", "2"]
    catalogue = pl.DataFrame({"item_id": ["0.0", "1.0"], "title": ["Tea", "Pot"]})
    text = "user_id,item_id,timestamp\n" + "".join(f"u,{i % 2},{NOW + i}\n" for i in range(6))
    assert written(tmp_path, text, items=catalogue).texts == ["Tea", "Pot"]
    assert "read as other spellings" in capsys.readouterr().err


def test_ids_that_may_be_two_items_stay_two(tmp_path):
    text = f"user_id,item_id,timestamp\nu,1,{NOW}\nu,01,{NOW + 1}\nu,2,{NOW + 2}\n"
    assert written(tmp_path, text).item_ids.tolist() == ["1", "2", "01"]
    both = pl.DataFrame({"item_id": ["01", "1"], "title": ["Tea", "Pot"]})
    text = f"user_id,item_id,timestamp\nu,001,{NOW}\nu,1,{NOW + 1}\n"
    assert written(tmp_path, text, items=both).item_ids.tolist() == ["01", "1", "001"]


def test_users_meet_their_attributes(tmp_path):
    text = "user_id,item_id,timestamp\n" + "".join(f"{12 + i % 2},1,{NOW + i}\n" for i in range(6))
    (tmp_path / "e.csv").write_text(text)
    users = pl.DataFrame({"user_id": ["12.0", "000013"], "age": [30, 40]})
    assert prepare(tmp_path / "e.csv", ITEMS, tmp_path / "d", users=users).users["age"].to_list() == [30, 40]


def test_floats_that_cannot_hold_their_ids_are_refused(tmp_path):
    log = pl.DataFrame({"user_id": ["u"], "item_id": [1e17], "timestamp": [NOW]})
    with pytest.raises(InvalidInput, match="different ids are the same float"):
        prepare(log, None, tmp_path / "d")


def test_objects_are_no_ids_and_the_field_is_proposed(tmp_path):
    log = pl.DataFrame({"user_id": ["u"], "what": [{"product": {"id": "a"}, "quantity": 3}], "timestamp": [NOW]})
    with pytest.raises(InvalidInput, match=r"data.events.columns.item_id=what.product.id"):
        prepare(log, None, tmp_path / "d", config=RunConfig().with_values(["data.columns.item_id=what"]))


def test_events_that_meet_no_item_are_said_and_none_at_all_is_refused(tmp_path, capsys):
    text = "user_id,item_id,timestamp\n" + "".join(f"u,{i % 4},{NOW + i}\n" for i in range(40))
    written(tmp_path, text)
    assert "20 of 40 events (50%) are of 2 items that the catalogue does not have, e.g. '0'" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="None of 40 events is of an item in the catalogue"):
        written(tmp_path, text, items=pl.DataFrame({"item_id": ["x"], "title": ["Tea"]}))


@pytest.mark.parametrize("word", ["NA", "null", "None", "nan", r"\N", "(not set)", "-1"])
def test_words_for_nobody_are_nobody(tmp_path, word, capsys):
    text = "user_id,item_id,timestamp\n" + "".join(f"{'u' if i % 2 else word},1,{NOW + i}\n" for i in range(8))
    dataset = written(tmp_path, text)
    assert dataset.histories().user_ids.tolist() == ["u"]
    assert f"4 events of user {word!r} are dropped" in capsys.readouterr().err
    assert len(written(tmp_path, text, "data.null_words=[]").histories()) == 2


def test_kinds_have_no_case_and_many_names(tmp_path, capsys):
    kinds = ["Purchase", "addtocart", "ADD_TO_CART", "pv", "detail-page-view", "Order Completed", "fav", "waved"]
    text = "user_id,item_id,timestamp,event\n" + "".join(f"u,1,{NOW + i},{kind}\n" for i, kind in enumerate(kinds))
    dataset = written(tmp_path, text)
    found = [dataset.event_kinds[e] for e in dataset.histories().events]
    assert found == ["purchase", "cart", "cart", "view", "view", "purchase", "favourite", "waved"]
    said = capsys.readouterr().err
    assert "'addtocart' as cart" in said and "data.event_map={waved: view}" in said
    mapped = written(tmp_path, text, "data.event_map={WAVED: share, pv: click}")
    assert {mapped.event_kinds[e] for e in mapped.histories().events} == {
        "purchase", "cart", "click", "view", "favourite", "share",
    }  # fmt: skip


def test_impressions_in_capitals_are_no_targets(tmp_path):
    text = "user_id,item_id,timestamp,event\n" + "".join(
        f"u,1,{NOW + i},{'Impression' if i % 2 else 'Purchase'}\n" for i in range(8)
    )
    assert written(tmp_path, text).histories().is_target.tolist() == [True, False] * 4


def test_a_rating_of_nothing_is_no_return(tmp_path):
    named = "user_id,item_id,timestamp,value,event\n" + "".join(f"u,1,{NOW + i},{i},rating\n" for i in range(5))
    unnamed = "user_id,item_id,timestamp,value\n" + "".join(f"u,1,{NOW + i},{i}\n" for i in range(5))
    assert written(tmp_path, named).histories().is_target.all()
    assert written(tmp_path, unnamed, "data.default_event=rating").histories().is_target.all()


@pytest.mark.parametrize(
    ("values", "options", "targets"),
    [
        ([1, -1, 1, -1], [], [True, False, True, False]),
        ([1, 0, 1, 0], [], [True, False, True, False]),
        ([-10, -0.5, 0, 9], [], [False, False, True, True]),
        ([5, 3, 4, 1], [], [True, True, True, True]),
        ([5, 3, 4, 1], ["data.positive=4"], [True, False, True, False]),
        ([1, -1, 1, -1], ["data.positive=all"], [True, True, True, True]),
    ],
    ids=["thumbs", "0 and 1", "below 0", "stars", "stars from 4", "all"],
)
def test_what_is_negative_is_a_negative_and_no_target(tmp_path, values, options, targets, capsys):
    text = "user_id,item_id,timestamp,value,event\n" + "".join(
        f"u,1,{NOW + i},{value},rating\n" for i, value in enumerate(values)
    )
    dataset = written(tmp_path, text, *options)
    h = dataset.histories()
    assert h.is_target.tolist() == targets
    assert [dataset.event_kinds[e] == "dislike" for e in h.events] == [not target for target in targets]
    assert "positive" in (said := capsys.readouterr().err) or "negatives" in said or options == ["data.positive=all"]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["4,5", "3,0", "2,5"], [4.5, 3.0, 2.5]),
        (["1,234", "12", "5"], [1234.0, 12.0, 5.0]),
        (["1.234,5", "2", "3"], [1234.5, 2.0, 3.0]),
        (["1,234,567.5", "2", "3"], [1234567.5, 2.0, 3.0]),
        (["2.5", "inf", "good"], [2.5, np.nan, np.nan]),
    ],
)
def test_values_are_read_as_they_are_written(tmp_path, texts, expected, capsys):
    text = "user_id,item_id,timestamp,value\n" + "".join(f'u,1,{NOW + i},"{v}"\n' for i, v in enumerate(texts))
    np.testing.assert_array_equal(written(tmp_path, text).histories().values, np.array(expected, np.float32))
    assert ("2 values are no numbers" in capsys.readouterr().err) == ("good" in texts)


@pytest.mark.parametrize(
    ("head", "row", "flag"),
    [
        ("rating", "5", "data.events.columns.value=rating"),
        ("event_type", "view", "data.events.columns.event=event_type"),
        ("click,like", "1,0", "data.events.flags=[click,like]"),
        ("impressions", "a b", "data.events.impressions=impressions"),
    ],
)
def test_columns_that_look_like_values_kinds_or_clicks_are_named_with_the_flag(tmp_path, head, row, flag, capsys):
    text = f"user_id,item_id,timestamp,{head}\n" + "".join(f"u,1,{NOW + i},{row}\n" for i in range(4))
    written(tmp_path, text)
    assert flag in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="data.strict is on"):
        written(tmp_path, text, "data.strict=true")


def test_a_catalogue_of_one_row_a_property_is_made_wide(tmp_path):
    text = (
        "timestamp,itemid,property,value\n5,1,title,Old tea\n9,1,title,Green tea\n7,1,categoryid,1338\n9,2,title,Pot\n"
    )
    (tmp_path / "i.csv").write_text(text)
    log = log_of(str(NOW), str(NOW + 1), str(NOW + 2))
    dataset = written(tmp_path, log, "data.items.columns.item_id=itemid", items=tmp_path / "i.csv")
    assert dataset.items["title"].to_list() == ["Green tea", "Pot"]
    assert dataset.items["categoryid"].to_list() == [1338, None]


def test_a_catalogue_is_optional_and_may_come_from_columns_of_the_log(tmp_path):
    text = "user_id,item_id,timestamp,Description\n" + "".join(f"u,{i % 3},{NOW + i},lamp {i % 3}\n" for i in range(6))
    assert written(tmp_path, text, items=None).item_ids.tolist() == ["0", "1", "2"]
    dataset = written(tmp_path, text, "data.item_columns=[Description]", items=None)
    assert dataset.texts == ["lamp 0", "lamp 1", "lamp 2"]
    with pytest.raises(InvalidInput, match="do not describe an item"):
        written(tmp_path, text, "data.item_columns=[user_id]", items=None)
    with pytest.raises(InvalidInput, match="events do not have"):
        written(tmp_path, text, "data.item_columns=[Brand]", items=None)


def test_equal_rows_are_one_event_or_two_as_is_said(tmp_path, capsys):
    text = f"user_id,item_id,timestamp\nu,1,{NOW}\nu,1,{NOW}\nu,2,{NOW + 1}\n"
    assert len(written(tmp_path, text).histories().items) == 2
    assert "1 of 3 rows are dropped: exact duplicate" in capsys.readouterr().err
    assert len(written(tmp_path, text, "data.exact_duplicates=keep").histories().items) == 3


def test_one_user_with_a_large_share_is_named(tmp_path, capsys):
    text = "user_id,item_id,timestamp\n" + "".join(
        f"{'robot' if i % 5 == 0 else i % 400},{i % 2 + 1},{NOW + i}\n" for i in range(2_000)
    )
    written(tmp_path, text)
    assert "user 'robot' has 20% of all events" in capsys.readouterr().err


def test_texts_that_are_cut_and_those_that_become_equal_are_counted(tmp_path, capsys):
    words = " ".join(f"word{i}" for i in range(64))
    items = pl.DataFrame({"item_id": ["1", "2", "3"], "title": [f"{words} red", f"{words} blue", "Pot"]})
    written(tmp_path, log_of(str(NOW), str(NOW + 1)), items=items)
    assert (
        "2 of 3 texts have more than the 64 tokens that are read, and 2 of them differ only" in capsys.readouterr().err
    )
    written(tmp_path, log_of(str(NOW), str(NOW + 1)))
    assert "tokens" not in capsys.readouterr().err


def test_the_share_of_users_whose_held_out_item_a_tie_decides_is_said(tmp_path, capsys):
    text = "user_id,item_id,timestamp\n" + "".join(
        f"u{user},{i},{NOW + (0 if user == 0 else i)}\n" for user in range(4) for i in range(5)
    )
    written(tmp_path, text, items=None)
    assert "For 25% of the users a tie in time decides which item is held out" in capsys.readouterr().err


def test_targets_may_be_named_as_in_the_file(tmp_path):
    rows = [
        (f"u{u}", str((u + step) % 2 + 1), "buy" if step % 2 else "view", step) for u in range(6) for step in range(6)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "event", "timestamp"], orient="row")
    options = ["data.targets=[buy]", "data.timestamp_unit=order"]
    data = prepare(events, ITEMS, tmp_path / "data", split="leave-one-out", config=RunConfig().with_values(options))
    kinds = np.array(data.event_kinds)[data.histories().events]
    assert set(kinds[data.histories().is_target]) == {"purchase"} and set(data.event_kinds) == {"purchase", "view"}
