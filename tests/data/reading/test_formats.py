"""The same log in every form that it may come in is the same dataset."""

import bz2
import gzip
import json
import lzma
import zipfile

import polars as pl
import pytest

from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.errors import InvalidInput
from tfrec.files import folder_sha256

NOW = 1_700_000_000
ROWS = [(f"u{i % 3}", f"{i * 7 % 5:03}", NOW + 3600 * i, "view") for i in range(12)]
NAMES = ["user_id", "item_id", "timestamp", "event"]
EVENTS = pl.DataFrame(ROWS, NAMES, orient="row")
ITEMS = pl.DataFrame({"item_id": [f"{i:03}" for i in range(5)], "title": [f"Thé {i}, grün" for i in range(5)]})


def table(separator, header=True, end="\n"):
    lines = [separator.join(map(str, row)) for row in ([NAMES] if header else []) + ROWS]
    return end.join(lines) + end


def packed_zip(path, text):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside/events.csv", text)


def excel(path, _):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in [NAMES, *ROWS]:
        book.active.append(row)
    book.save(path)


def zstd(path, text):
    zstandard = pytest.importorskip("zstandard")
    path.write_bytes(zstandard.compress(text.encode()))


CSV = table(",")
FORMS = {
    "e.csv": CSV,
    "crlf.csv": table(",", end="\r\n"),
    "bom.csv": "\ufeff" + CSV,
    "e.tsv": table("\t"),
    "e.txt": table("\t"),
    "e.dat": table("::"),
    "e.data": table("|"),
    "semicolon.csv": table(";"),
    "e.json": json.dumps(EVENTS.to_dicts()),
    "pretty.json": json.dumps(EVENTS.to_dicts(), indent=2),
    "lines.json": EVENTS.write_ndjson(),
    "e.jsonl": EVENTS.write_ndjson(),
    "e.ndjson": EVENTS.write_ndjson(),
    "python.json": "\n".join(map(repr, EVENTS.to_dicts())),
    "e.csv.gz": lambda path, text: path.write_bytes(gzip.compress(text.encode())),
    "e.csv.bz2": lambda path, text: path.write_bytes(bz2.compress(text.encode())),
    "e.csv.xz": lambda path, text: path.write_bytes(lzma.compress(text.encode())),
    "e.csv.zst": zstd,
    "e.zip": packed_zip,
    "e.jsonl.gz": lambda path, _: path.write_bytes(gzip.compress(EVENTS.write_ndjson().encode())),
    "utf16.csv": lambda path, text: path.write_bytes(text.encode("utf-16")),
    "utf16.jsonl": lambda path, _: path.write_bytes(EVENTS.write_ndjson().encode("utf-16")),
    "e.parquet": lambda path, _: EVENTS.write_parquet(path),
    "no-ending": lambda path, _: EVENTS.write_parquet(path),
    "wrongly-named.gz": CSV,
    "e.xlsx": excel,
}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    out = tmp_path_factory.mktemp("expected") / "d"
    prepare(EVENTS, ITEMS, out, split="leave-one-out")
    return folder_sha256(out)


def write(path, form):
    path.parent.mkdir(parents=True, exist_ok=True)
    if callable(form):
        form(path, CSV)
    else:
        path.write_text(form, encoding="utf-8", newline="")
    return path


def digest(tmp_path, source, *values, items=ITEMS):
    config = RunConfig().with_values(values)
    prepare(source, items, tmp_path / "d", split="leave-one-out", config=config)
    return folder_sha256(tmp_path / "d")


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_same_log(tmp_path, expected, name, capsys):
    assert digest(tmp_path, write(tmp_path / name, FORMS[name])) == expected
    assert f"events: {name}: " in capsys.readouterr().err or name == "e.zip"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252", "latin-1"])
def test_every_encoding_is_the_same_catalogue(tmp_path, expected, encoding):
    text = ITEMS.write_csv()
    (tmp_path / "i.csv").write_bytes(text.encode(encoding))
    assert digest(tmp_path, EVENTS, items=tmp_path / "i.csv") == expected


def test_folders_patterns_hive_partitions_and_several_files_are_one_log(tmp_path, expected):
    for place, part in enumerate((EVENTS[:4], EVENTS[4:8], EVENTS[8:])):
        for folder in (f"days/dt=2024-01-0{place + 1}", f"spark/part-0000{place}", f"flat/e{place}"):
            (tmp_path / folder).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"days/dt=2024-01-0{place + 1}").mkdir()
        part.write_parquet(tmp_path / f"days/dt=2024-01-0{place + 1}/part-0.parquet")
        part.write_parquet(tmp_path / f"spark/part-0000{place}")
        part.write_csv(tmp_path / f"flat/e{place}.csv")
    (tmp_path / "spark" / "_SUCCESS").write_text("")
    sources = [tmp_path / "days", tmp_path / "spark", str(tmp_path / "flat" / "*.csv")]
    sources.append([tmp_path / "flat/e0.csv", str(tmp_path / "flat/e[12].csv")])
    for place, source in enumerate(sources):
        prepare(source, ITEMS, tmp_path / f"d{place}", split="leave-one-out")
        found = (tmp_path / f"d{place}" / "sequences.parquet").read_bytes()
        if place:
            assert found == (tmp_path / "d0" / "sequences.parquet").read_bytes()
    assert digest(tmp_path, sources[2]) == expected
    unused = json.loads((tmp_path / "d0" / "report.json").read_text())["events"]["unused_columns"]
    assert unused == ["dt"]


def test_what_fsspec_opens_is_read(tmp_path, expected):
    fsspec = pytest.importorskip("fsspec")
    with fsspec.open("memory://bucket/e.csv", "w") as file:
        file.write(CSV)
    assert digest(tmp_path, "memory://bucket/e.csv") == expected
    with pytest.raises(InvalidInput, match="memory://bucket/none.csv"):
        prepare("memory://bucket/none.csv", ITEMS, tmp_path / "e")


def test_a_file_without_a_header_shows_flags_which_then_work(tmp_path, expected):
    import shlex

    for name, separator in (("u.data", "\t"), ("r.dat", "::"), ("e.csv", ",")):
        path = write(tmp_path / name, table(separator, header=False))
        with pytest.raises(InvalidInput) as caught:
            prepare(path, ITEMS, tmp_path / "no")
        assert separator.join(map(str, ROWS[0])) in str(caught.value)
        flags = shlex.split(str(caught.value).splitlines()[-1])
        assert flags[0] == "--set"
        config = RunConfig().with_values(flags[1::2])
        prepare(path, ITEMS, tmp_path / name.replace(".", "-"), split="leave-one-out", config=config)
        found, wanted = (tmp_path / name.replace(".", "-") / "sequences.parquet"), tmp_path / "w"
        prepare(EVENTS, ITEMS, wanted, split="leave-one-out", force=True)
        assert found.read_bytes() == (wanted / "sequences.parquet").read_bytes()


def test_columns_of_other_names_show_flags_which_then_work(tmp_path):
    import shlex

    log = EVENTS.rename({"user_id": "visitorid", "item_id": "movieId", "timestamp": "unix time"})
    log.write_csv(tmp_path / "e.csv")
    with pytest.raises(InvalidInput) as caught:
        prepare(tmp_path / "e.csv", ITEMS, tmp_path / "d")
    flags = shlex.split(str(caught.value).partition("or pass ")[2])
    dataset = prepare(tmp_path / "e.csv", ITEMS, tmp_path / "d", config=RunConfig().with_values(flags[1::2]))
    assert dataset.item_ids.tolist() == ITEMS["item_id"].to_list()


def test_an_undecided_first_line_is_shown_with_both_ways(tmp_path):
    (tmp_path / "i.tsv").write_text("N1\tsport, fast\nN2\tnews, slow\n")
    with pytest.raises(InvalidInput, match="cannot be told") as caught:
        prepare(EVENTS, tmp_path / "i.tsv", tmp_path / "d")
    assert "N1\tsport, fast" in str(caught.value) and "data.items.header=true" in str(caught.value)
    assert "'data.items.names=[item_id,title]'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.7z", b"7z\xbc\xaf\x27\x1c0000", "e.7z is a 7z file"),
        ("e.zip", b"PK\x03\x04broken", "cannot|holds no|no text"),
        ("e.csv.gz", b"\x1f\x8b\x08\x00broken", "cannot be unpacked"),
        ("e.bin", bytes(range(256)) * 9, "no text|cannot|header"),
        ("e.csv", b"\n\n \n", "no line that is not blank"),
        ("e.csv", b"user_id,item_id,timestamp\nu,1,1700000000\nu,1,2,1700000000,3\n", "more fields"),
    ],
)
def test_what_cannot_be_read_is_bad_input(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        prepare(tmp_path / name, ITEMS, tmp_path / "d")


def test_tsv_is_not_quoted_unless_said(tmp_path):
    (tmp_path / "i.tsv").write_text('item_id\ttitle\n000\t"Weird Al" Yankovic\n001\t"Those who follow\n')
    dataset = prepare(EVENTS, tmp_path / "i.tsv", tmp_path / "d")
    assert dataset.texts[:2] == ['"Weird Al" Yankovic', '"Those who follow']
    (tmp_path / "q.tsv").write_text('item_id\ttitle\n000\t"a ""b"""\n')
    config = RunConfig().with_values(['data.items.quote="'])
    assert prepare(EVENTS, tmp_path / "q.tsv", tmp_path / "q", config=config).texts[0] == 'a "b"'


def test_an_escaped_quote_in_a_semicolon_file_is_a_quote(tmp_path):
    text = 'item_id;title\n"000";"O is for \\"Outlaw\\"; a novel"\n"001";"Plain &amp; simple"\n'
    (tmp_path / "i.csv").write_bytes(text.encode("cp1252"))
    dataset = prepare(EVENTS, tmp_path / "i.csv", tmp_path / "d")
    assert dataset.texts[:2] == ['O is for "Outlaw"; a novel', "Plain & simple"]


def test_damaged_utf8_is_counted_and_said(tmp_path, capsys):
    (tmp_path / "i.csv").write_bytes("item_id,title\n000,Thé ".encode() + b"\xff\n")
    prepare(EVENTS, tmp_path / "i.csv", tmp_path / "d")
    assert "U+FFFD" in capsys.readouterr().err
    (tmp_path / "l.csv").write_bytes("item_id,title\n000,Misérables\n".encode("latin-1"))
    assert prepare(EVENTS, tmp_path / "l.csv", tmp_path / "l").texts[0] == "Misérables"
    assert "read as cp1252" in capsys.readouterr().err
    with pytest.raises(InvalidInput, match="no encoding 'klingon'"):
        config = RunConfig().with_values(["data.items.encoding=klingon"])
        prepare(EVENTS, tmp_path / "l.csv", tmp_path / "k", config=config)


def test_codes_with_leading_zeros_and_numeric_titles_stay_text(tmp_path):
    (tmp_path / "i.csv").write_text("item_id,title,ean,pages\n000,1984,0012345678905,99\n001,1990,0098765432109,7\n")
    dataset = prepare(EVENTS, tmp_path / "i.csv", tmp_path / "d")
    assert dataset.items.schema["ean"] == pl.String and dataset.items["ean"][0] == "0012345678905"
    assert dataset.items["title"][0] == "1984" and dataset.items.schema["pages"] == pl.Int64


def test_finding_out_what_a_file_is_takes_less_than_a_third_of_a_second(tmp_path):
    import time

    from tfrec.data.reading import read_input

    line = "user {i},item {i},1700000000,view\n"
    with (tmp_path / "e.csv").open("w") as file:
        file.write("user_id,item_id,timestamp,event\n")
        for i in range(300_000):
            file.write(line.format(i=i))
    started = time.perf_counter()
    read_input(tmp_path / "e.csv", "events")
    assert time.perf_counter() - started < 0.3
