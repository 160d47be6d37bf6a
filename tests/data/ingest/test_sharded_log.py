"""A log that is read in shards is the log that one process reads, to the byte."""

import contextlib
import itertools

import polars as pl
import pytest

from tests.messy_log import ITEMS, messy_log, prepared, written_as
from tfrec.cluster import InThisProcess
from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.data.ingest import event_source
from tfrec.errors import InvalidInput


@pytest.fixture
def in_shards(monkeypatch):
    """Stands for a cluster: `cluster.engine=ray` reads shards of 60 rows in this process."""

    @contextlib.contextmanager
    def workers_of(config):
        yield InThisProcess(config.workers)

    monkeypatch.setattr(event_source, "workers_of", workers_of)
    monkeypatch.setattr(event_source, "LEAST_ROWS", 60)


@pytest.mark.parametrize("form", ["parquet", "jsonl", "csv"])
def test_a_folder_in_shards_prepares_to_the_same_bytes(in_shards, tmp_path, capsys, form):
    folder = written_as(messy_log().drop("split"), tmp_path / "log", form)
    ours = prepared(folder, ITEMS, tmp_path / "one", capsys, split="leave-one-out")
    in_parts = {"cluster.engine": "ray", "cluster.workers": 2}
    assert prepared(folder, ITEMS, tmp_path / "many", capsys, split="leave-one-out", config=in_parts) == ours
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "many", "one"]  # nothing else is left


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"data.ties": "file", "data.exact_duplicates": "keep"},
        {"data.near_duplicate_seconds": 7200, "data.max_events_per_minute": 3, "data.normalise_ratings": True},
        {"data.min_user_events": 20, "data.min_item_events": 30, "data.held_out_items": 0.3},
        {"data.max_age": 5, "data.until": "2023-11-24"},
        {"data.positive": 1, "data.event_map": {"tag": "view"}, "data.targets": ["view", "purchase"]},
        {"data.timestamp_unit": "s"},
        {"data.timestamp_unit": "order", "data.near_duplicate_seconds": 3},
        {"data.latest": "2023-11-16"},  # refused: most are later
        {"data.min_user_events": 10_000},  # refused: nothing is left
        {"data.null_words": ["ann", " bob ", "0012", "12", "12.0", "NA", "Zoë", "eve"]},  # refused: no user is left
        {"data.strict": True},
    ],
    ids=lambda options: ",".join(options) or "default",
)
def test_every_rule_gives_the_same_in_shards(in_shards, tmp_path, capsys, options):
    log = messy_log()
    ours = prepared(log, ITEMS, tmp_path / "one", capsys, config=options)
    many = {**options, "cluster.engine": "ray", "cluster.workers": 2}
    assert prepared(log, ITEMS, tmp_path / "many", capsys, config=many) == ours


def test_a_given_split_a_catalogue_of_the_log_and_pseudonyms_are_the_same_in_shards(in_shards, tmp_path, capsys):
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    log = messy_log().sort("timestamp", maintain_order=True)
    part = pl.when(pl.int_range(pl.len()) < 200).then(pl.lit("train")).otherwise(pl.lit("test"))
    middle = pl.int_range(pl.len()).is_between(200, 300)
    log = log.with_columns(pl.when(middle).then(pl.lit("valid")).otherwise(part).alias("split"))
    options = {"data.pseudonym_key": str(key), "data.item_columns": ["context_page"], "data.earliest": "1960-01-01"}
    ours = prepared(log, None, tmp_path / "one", capsys, split="given", config=options)
    assert len(ours[0]) == 64, ours[0]
    many = {**options, "cluster.engine": "ray"}
    assert prepared(log, None, tmp_path / "many", capsys, split="given", config=many) == ours


def test_numbers_and_names_of_rows_and_files_are_those_of_the_whole_log(in_shards, tmp_path, capsys):
    folder = tmp_path / "log"
    folder.mkdir()
    for number, user in itertools.product(range(3), "ab"):
        rows = pl.DataFrame({"item": [f"i{n % 7}" for n in range(90)], "who": user})
        rows.write_parquet(folder / f"{user}{number}.parquet")
    options = {"data.events.columns": {"user_id": "@file", "item_id": "item", "timestamp": "@row"}}
    ours = prepared(folder, None, tmp_path / "one", capsys, config=options)
    assert len(ours[0]) == 64, ours[0]
    assert prepared(folder, None, tmp_path / "many", capsys, config={**options, "cluster.engine": "ray"}) == ours


def test_a_shard_that_cannot_be_read_is_named(in_shards, tmp_path):
    folder = written_as(messy_log(), tmp_path / "log", "parquet")
    content = bytearray((folder / "part-2.parquet").read_bytes())
    content[8:400] = bytes(392)
    (folder / "part-2.parquet").write_bytes(bytes(content))
    with pytest.raises(InvalidInput, match=r"part-2\.parquet"):
        prepare(folder, ITEMS, tmp_path / "out", config={"cluster.engine": "ray"})
    (folder / "part-1.parquet").write_bytes(b"PAR1 but not much of it")
    with pytest.raises(InvalidInput, match=r"part-1\.parquet"):
        prepare(folder, ITEMS, tmp_path / "out", config={"cluster.engine": "ray"})
    assert not (tmp_path / "out").exists()


def test_lists_of_what_was_shown_are_for_one_process(in_shards, tmp_path):
    with pytest.raises(InvalidInput, match=r"data\.events\.impressions is read by one process only"):
        config = RunConfig().with_values({"cluster.engine": "ray", "data.events.impressions": "shown"})
        prepare(messy_log(), ITEMS, tmp_path / "out", config=config)
