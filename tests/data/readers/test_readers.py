"""Each well-known log, a few rows of our own in its exact syntax, through `--as NAME`."""

import gzip
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.data.readers.raw_logs import SETS
from tfrec.data import prepare
from tfrec.data.readers import READERS, LogReader, ReadAs, read_as, reader_named
from tfrec.errors import InvalidInput

EXPECTED = {
    "movielens-100k": (["10", "11", "12", "13"], {"rating"}, "Misérables, Les (1995) Drama, Mystery"),
    "movielens-1m": (["10", "11", "12", "13"], {"rating"}, "Misérables (1995) Drama, Musical"),
    "movielens-latest": (["10", "11", "12", "13"], {"rating"}, "Film, A (1995) Drama, War"),
    "amazon-2014": (["B0", "B1", "B2", "B3"], {"rating"}, "It's a toy Toys, Cars"),
    "amazon-2018": (["B0", "B1", "B2", "B3"], {"rating"}, "Car Toys, Cars Red"),
    "amazon-2023": (["P0", "P1", "P2", "P3"], {"rating"}, "Car Shop Toys Toys Fast Red"),
    "mind": (
        ["N9", "N8", "N1", "N2", "N2", "N3", "N3"], {"click", "impression"},
        '"Those who follow sports golf Golf is here',
    ),
    "yelp": (["b0", "b1", "b2", "b3"], {"rating"}, "Cafe, Coffee, Tea, Reno"),
    "steam": (["0", "1", "2", "3"], {"interaction"}, "Half Action"),
    "goodreads": (["0", "1", "2", "3"], {"rating"}, "Odes Poems 1999"),
    "book-crossing": ([f"034545104{i}" for i in range(4)], {"rating"}, '"O" is for Outlaw; a novel & more Café Press'),
    "lastfm-1k": (["mb-0", *['"Weird Al" Yankovic'] * 3], {"view"}, '"Weird Al" Yankovic'),
    "lastfm-2k": (["50", "51", "52", "53"], {"view"}, '"Weird Al" Yankovic'),
    "lastfm-360k": (["band 0", *["3bd73256-3902-4f3a-8e6b"] * 3], {"view"}, "band 1"),
    "retailrocket": (["0", "1", "2", "3"], {"view", "cart", "purchase"}, "1116713 960601 n277.200"),
    "otto": (["0", "1", "2"], {"click", "cart", "purchase"}, ""),
    "hm": (
        ["0108775010", "0108775010", "0108775010", "0108775011"], {"purchase"},
        "Strap top, Vest top, Black, Basics. Jersey top",
    ),
    "yoochoose": (["214536900", "214536901", "214536902", "214536900", "214536901"], {"click", "purchase"}, ""),
    "diginetica": (["81766", "81767", "81768", "81766"], {"view", "purchase"}, ""),
    "taobao": (["2268318", "2268319", "2268320", "2268321"], {"view", "cart", "favourite", "purchase"}, ""),
    "tenrec": (["10", "11", "11", "12", "13"], {"impression", "click", "like"}, ""),
    "kuairec": (["0", "1", "2", "3"], {"view"}, "UNKNOWN A cat sings [cat]"),
    "netflix": (["1", "2", "3"], {"rating"}, "Dinosaur Planet 2003"),
    "instacart": (["196", "14084", "196"], {"purchase"}, "Soda"),
    "online-retail": (["85123A", "22633", "22633"], {"purchase"}, "WHITE HEART £ HOLDER"),
    "recbole": (["10", "11", "12", "13"], {"interaction"}, 'The "Tea" Hot Green'),
    "ga4": (["H", "S0", "H", "S1", "H", "S2"], {"view", "cart", "purchase"}, "Hat"),
    "gcp-retail": (["G0", "G1", "G2"], {"view"}, "Tea Hot"),
    "segment": (["p0", "p1", "p0", "p9"], {"view", "cart", "purchase"}, "Tea 0"),
    "snowplow": (["s0", "s1", "s2", "s0"], {"view", "purchase"}, "Tea 0"),
    "personalize": (["0", "1", "2", "3"], {"click", "view"}, "Drama|War"),
}  # fmt: skip


def write(folder: Path, files):
    folder.mkdir(parents=True)
    for name, content in files.items():
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return folder


def first_user(dataset):
    h = dataset.histories()
    rows = max((h.row(user) for user in range(len(h))), key=lambda row: row.stop - row.start)
    return [str(dataset.item_ids[item]) for item in h.items[rows]]


def test_every_reader_has_rows_here():
    assert set(SETS) == set(EXPECTED) == set(READERS)


@pytest.mark.parametrize("name", READERS)
def test_a_log_as_downloaded(tmp_path, name):
    dataset = prepare(write(tmp_path / "raw", SETS[name]), None, tmp_path / "d", reader=name, split="leave-one-out")
    items, kinds, text = EXPECTED[name]
    found = first_user(dataset)
    if name in ("otto", "ga4", "segment", "tenrec", "mind"):  # ties in time have no order of their own
        assert sorted(found) == sorted(items)
    else:
        assert found == items
    assert set(dataset.event_kinds) == kinds
    assert text in dataset.texts


def day(microseconds):
    return datetime.fromtimestamp(microseconds / 1e6, UTC).isoformat()


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("movielens-100k", "1997-12-04T15:55:49+00:00", "1997-12-04T15:55:52+00:00"),
        ("mind", "2019-11-15T00:04:58+00:00", "2019-11-17T09:00:00+00:00"),
        ("goodreads", "2017-07-30T14:40:10+00:00", "2017-07-30T14:43:10+00:00"),
        ("amazon-2023", "2011-03-13T07:06:40+00:00", "2011-03-13T07:06:43+00:00"),
        ("online-retail", "2010-12-01T08:26:00+00:00", "2010-12-13T09:41:00+00:00"),
        ("diginetica", "2016-05-09T00:08:46.309000+00:00", "2016-10-09T07:20:33.294000+00:00"),
        ("taobao", "2017-11-24T17:21:10+00:00", "2017-11-24T17:21:13+00:00"),
        ("ga4", "2023-10-04T20:47:32.480466+00:00", "2023-10-04T20:47:32.482466+00:00"),
        ("kuairec", "2020-07-04T16:08:20.438000+00:00", "2020-07-04T16:08:23.438000+00:00"),
    ],
)
def test_times_of_a_log_as_downloaded(tmp_path, name, first, last):
    dataset = prepare(write(tmp_path / "raw", SETS[name]), None, tmp_path / "d", reader=name, split="leave-one-out")
    stamps = dataset.histories().timestamps
    assert (day(stamps.min()), day(stamps.max())) == (first, last)


def test_what_is_no_target_is_none(tmp_path):
    for name, kinds in (("mind", {"click"}), ("tenrec", {"click", "like"})):
        dataset = prepare(
            write(tmp_path / name, SETS[name]), None, tmp_path / f"d-{name}", reader=name, split="leave-one-out"
        )
        h = dataset.histories()
        assert {dataset.event_kinds[e] for e, target in zip(h.events, h.is_target) if target} == kinds
    retail = prepare(
        write(tmp_path / "r", SETS["online-retail"]),
        None,
        tmp_path / "d",
        reader="online-retail",
        split="leave-one-out",
    )
    assert retail.histories().is_target.tolist() == [True, True, False]  # the last is a return
    for name in ("goodreads", "book-crossing"):  # 0 means not rated
        dataset = prepare(
            write(tmp_path / name, SETS[name]), None, tmp_path / f"d-{name}", reader=name, split="leave-one-out"
        )
        assert dataset.histories().is_target.all()


def test_files_archives_and_options_of_ones_own(tmp_path):
    folder = write(tmp_path / "raw", SETS["movielens-latest"])
    with zipfile.ZipFile(tmp_path / "ml.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"ml-latest/{file.name}")
    prepare(folder, None, tmp_path / "a", reader="movielens-latest")
    prepare(tmp_path / "ml.zip", None, tmp_path / "b", reader="movielens-latest")
    prepare(str(folder / "ratings.csv"), folder / "movies.csv", tmp_path / "c", reader="movielens-latest")
    wanted = [(tmp_path / name / "items.parquet").read_bytes() for name in "abc"]
    assert wanted[0] == wanted[1] == wanted[2]
    own = {"data.positive": 3, "data.text_template": "{title}", "data.default_event": "like"}
    other = prepare(folder, None, tmp_path / "e", reader="movielens-latest", config={**own, "data.positive": 0.1})
    assert other.texts[0] == "Film, A (1995)" and other.event_kinds == ["like"]


def test_a_reader_is_a_table_and_an_unknown_one_is_answered_with_the_nearest(tmp_path):
    reader = reader_named("mind")
    assert isinstance(reader, LogReader) and reader.events == ("behaviors.tsv",)
    with pytest.raises(InvalidInput, match="Did you mean goodreads?"):
        reader_named("good-reads")
    (tmp_path / "x.txt").write_text("x")
    from tfrec.config import RunConfig

    with pytest.raises(InvalidInput, match="holds none of"):
        read_as(reader, tmp_path, None, RunConfig())
    known = read_as(reader_named("otto"), write(tmp_path / "o", SETS["otto"]), None, RunConfig())
    assert isinstance(known, ReadAs) and known.items is None


def test_the_command_line_lists_the_readers(capsys):
    from typer.testing import CliRunner

    from tfrec.cli.main import app

    out = CliRunner().invoke(app, ["prepare", "--as", "list"]).output
    assert all(
        re.search(rf"^{re.escape(name)}  ", out.replace("   ", "  "), re.MULTILINE) or name in out for name in READERS
    )
