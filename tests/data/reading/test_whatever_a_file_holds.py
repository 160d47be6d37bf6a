"""Whatever a file holds, it is read or it is bad input: never a failure of ours, and never a traceback."""

import gzip
import json
import random
import zipfile

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tfrec.config import InputConfig, RunConfig
from tfrec.data import prepare
from tfrec.data.reading import collect, read_ids, read_input
from tfrec.errors import InvalidInput, Unavailable

ENDINGS = (
    "csv", "tsv", "txt", "dat", "data", "inter", "json", "jsonl", "ndjson", "parquet", "xlsx", "zip", "csv.gz",
    "csv.zst", "jsonl.gz", "csv.bz2", "",
)  # fmt: skip
CELLS = st.one_of(
    st.sampled_from(
        ["", " ", "u1", "1", "1.0", "007", "-1", "NA", "nan", "inf", "1e400", "9" * 25, "2024-01-01", "1700000000",
         "12/31/99", "a,b", 'say "x"', '"', "\\", "::", "|", "\t", "é", "\x00", "\u2028", "{}", "[1]", "N1-0 N2-1"]
    ),
    st.text(max_size=5),
    st.integers(-(2**70), 2**70).map(str),
)  # fmt: skip
NAMES = st.one_of(
    st.sampled_from(["user_id", "item_id", "timestamp", "event", "value", "title", "split", "context_a", "userId", ""]),
    st.text(max_size=4),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_leaves=4,
)


@st.composite
def tables(draw):
    """A table of text, with whatever separator, rows of whatever length."""
    separator = draw(st.sampled_from([",", "\t", ";", "|", "::", " "]))
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    rows = [draw(st.lists(NAMES, min_size=1, max_size=5))]
    rows += draw(st.lists(st.lists(CELLS, min_size=1, max_size=5), max_size=6))
    encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"]))
    return end.join(separator.join(row) for row in rows).encode(encoding, "replace")


@st.composite
def objects(draw):
    """JSON: lines, an array, or something of the kind that is broken somewhere."""
    rows = draw(st.lists(st.dictionaries(NAMES, VALUES, max_size=5), min_size=1, max_size=4))
    text = json.dumps(rows) if draw(st.booleans()) else "\n".join(map(json.dumps, rows))
    cut = draw(st.one_of(st.none(), st.integers(0, len(text))))
    return text[:cut].encode()


def attempt(work):
    try:
        work()
    except (InvalidInput, Unavailable) as error:
        assert str(error)


def read_everything(path, seed):
    config = InputConfig(names=["user_id", "item_id", "timestamp"]) if seed % 5 == 0 else None
    attempt(lambda: collect(read_input(path, "events", config).frame, "events"))
    attempt(lambda: read_ids(path, "--users"))
    log = pl.DataFrame({"user_id": ["u"] * 3, "item_id": ["1", "2", "3"], "timestamp": [1, 2, 3]})
    out = path.parent / "out"
    attempt(lambda: prepare(path, None, out, split="leave-one-out", force=True))
    attempt(lambda: prepare(log, path, out, split="leave-one-out", force=True))
    attempt(lambda: prepare(log, None, out, users=path, split="leave-one-out", force=True))


@pytest.mark.slow
@settings(deadline=None, max_examples=120, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(tables(), objects(), st.binary(max_size=80)), ending=st.sampled_from(ENDINGS))
def test_odd_small_files_are_read_or_refused(tmp_path_factory, content, ending):
    path = tmp_path_factory.mktemp("odd") / f"file.{ending}"
    path.write_bytes(content)
    read_everything(path, len(content))


@pytest.mark.slow
@settings(deadline=None, max_examples=40, suppress_health_check=list(HealthCheck))
@given(content=st.one_of(tables(), objects()), how=st.sampled_from(["gz", "zip", "cut gz", "cut zip", "cut parquet"]))
def test_packed_files_are_read_or_refused(tmp_path_factory, content, how):
    path = tmp_path_factory.mktemp("packed") / f"file.csv.{how.split()[-1]}"
    if how.endswith("gz"):
        path.write_bytes(gzip.compress(content))
    elif how.endswith("zip"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", content)
    else:
        pl.DataFrame({"user_id": ["a"] * 50, "item_id": [str(content)] * 50}).write_parquet(path)
    if how.startswith("cut"):
        whole = path.read_bytes()
        path.write_bytes(whole[: random.Random(len(whole)).randrange(4, len(whole))])
    read_everything(path, len(content))


DTYPES = [
    pl.Series([1, 2, None]), pl.Series([1.5, float("nan"), float("inf")]), pl.Series(["a", "", None]),
    pl.Series([True, False, None]), pl.Series([[1], [], None]), pl.Series([{"id": "a"}, {"id": None}, None]),
    pl.Series(["x", "y", "x"], dtype=pl.Categorical), pl.Series([b"\xff", b"a", None]), pl.Series([None, None, None]),
    pl.Series([1, 2, 3]).cast(pl.Decimal(10, 2)), pl.Series([1, 2, 3]).cast(pl.Duration("us")),
    pl.Series([1, 2, 3]).cast(pl.Date), pl.Series([1, 2, 3]).cast(pl.Time),
    pl.Series([2**64 - 1, 1, 2], dtype=pl.UInt64),
    pl.Series([[["a"]], None, [[]]]), pl.Series([1, 2, 3]).cast(pl.Datetime("ns", "Asia/Tokyo")),
]  # fmt: skip


@pytest.mark.slow
@settings(deadline=None, max_examples=80, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_parquet_of_any_types_is_read_or_refused(tmp_path_factory, data):
    names = data.draw(st.lists(NAMES.filter(bool), min_size=2, max_size=6, unique=True))
    columns = [data.draw(st.sampled_from(DTYPES)).alias(name) for name in names]
    path = tmp_path_factory.mktemp("typed") / "file.parquet"
    pl.DataFrame(columns).write_parquet(path)
    read_everything(path, 1)
    if "user_id" in names:
        attempt(lambda: prepare(path, None, path.parent / "o", config=RunConfig().with_values(["data.strict=true"])))
