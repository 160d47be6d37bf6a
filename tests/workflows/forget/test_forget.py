"""Erasure from a whole folder: nothing is left of the people, whatever comes between, and the receipt is signed."""

import tfrec  # noqa: F401  (the Keras guard comes before TensorFlow)

import hashlib  # isort: skip
import hmac
import json
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from tests.fits import Killed
from tests.unfitted_run import unfitted
from tfrec.config import RunConfig
from tfrec.data import prepare
from tfrec.data.dataset import PreparedDataset
from tfrec.errors import InvalidInput, TfrecError
from tfrec.models.next_item.family import NextItemFamily
from tfrec.runs import Run, train
from tfrec.serving.exporting.export import export, run_id
from tfrec.workflows.forget import forget, rebuild, verify_receipt
from tfrec.workflows.forget.inventory import ids_in
from tfrec.workflows.forget.tables import names_users, without_rows

GONE = ["person-3", "person-5"]
NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def people(without=()):
    rows = [(f"person-{u}", f"i{(u * u + step) % 6}", step) for u in range(8) for step in range(5)]
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return frame.filter(~pl.col("user_id").is_in(without))


ITEMS = pl.DataFrame({"item_id": [f"i{i}" for i in range(6)], "title": list("abcdef")})


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path_factory):
    """Models that are built from the counts of the log and never fitted."""
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path_factory.getbasetemp() / "forget-cache"))
    monkeypatch.setattr(NextItemFamily, "fit", unfitted())


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "key"
    path.write_text("ab" * 32)
    path.chmod(0o600)
    return path


@pytest.fixture
def config(tiny_encoder):
    small = ["model.dim=8", "model.heads=1", "model.layers=0", "model.neighbours=2"]
    return RunConfig().with_values([*small, f"encoder.name={tiny_encoder}", "tracking.projector=0"])


@pytest.fixture
def home(tmp_path):
    """A folder with data, a table of lists, a log, and data of other people."""
    home = tmp_path / "home"
    prepare(people(), ITEMS, home / "data" / "shop", split="leave-one-out")
    other = people(GONE).with_columns(pl.concat_str(pl.lit("other-"), "user_id").alias("user_id"))
    prepare(other, ITEMS, home / "data" / "other", split="leave-one-out")
    pl.DataFrame({"user_id": ["person-3", "person-4"], "item_id": ["i1", "i2"]}).write_csv(home / "lists.csv")
    people().write_parquet(home / "raw.parquet")
    return home


@pytest.fixture
def home_with_run(home, config):
    """The folder, with a run on the data."""
    train(home / "data" / "shop", home / "runs" / "one", config)
    return home


def files_of(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def asked(*users):
    return pl.DataFrame({"user_id": list(users)})


def erase(home, key, *users, **options):
    return forget(home, asked(*users), key=key, receipt=home.parent / "receipt.json", now=NOON, force=True, **options)


@pytest.mark.slow
def test_nothing_is_left_of_the_people_and_the_run_is_that_of_a_log_without_them(home_with_run, key, config, tmp_path):
    home = home_with_run
    untouched = files_of(home / "data" / "other")
    receipt = erase(home, key, *GONE, "stranger")
    assert (receipt["users"]["asked"], receipt["users"]["found"], receipt["users"]["unknown"]) == (3, 2, 1)
    assert receipt["datasets"]["data/shop"]["events"] == 10 and receipt["tables"] == {"lists.csv": 1, "raw.parquet": 10}
    assert receipt["scan"]["found"] == [] and list(receipt["runs"]) == ["runs/one"]
    assert not [path for path in home.rglob("*") if path.is_file() and names_users(path, GONE)]
    assert files_of(home / "data" / "other") == untouched and not (home / "forget.partial").exists()

    wanted = train(prepare(people(GONE), ITEMS, tmp_path / "wanted", split="leave-one-out"), tmp_path / "run", config)
    run = Run(home / "runs" / "one")
    assert run.manifest["data"] == wanted.manifest["data"] == receipt["datasets"]["data/shop"]["after"]
    for one, other in zip(run.model.get_weights(), wanted.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)

    again = erase(home, key, *GONE)
    assert again["users"]["found"] == 0 and not again["datasets"] and not again["tables"]


@pytest.mark.slow
@pytest.mark.parametrize("killed_at", ["_build_run", "swap"])
def test_killed_it_has_changed_nothing_or_goes_on_to_the_end(home_with_run, key, killed_at, monkeypatch):
    home, before = home_with_run, files_of(home_with_run)
    publish, done = rebuild.publish, []

    def dies(*arguments, **options):
        if done or killed_at == "_build_run":
            raise Killed
        done.append(publish(*arguments, **options))  # the data are swapped, the run is not

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(rebuild, "train" if killed_at == "_build_run" else "publish", dies)
        erase(home, key, *GONE)
    after = {name: content for name, content in files_of(home).items() if not name.startswith("forget.partial")}
    assert (after == before) == (killed_at == "_build_run")
    with pytest.raises(InvalidInput, match="an erasure of other users that was interrupted"):
        erase(home, key, "person-1")
    receipt = erase(home, key, *GONE)
    assert receipt["users"]["found"] == 2 and receipt["datasets"]["data/shop"]["events"] == 10
    assert Run(home / "runs" / "one").manifest["data"] == receipt["datasets"]["data/shop"]["after"]
    assert not (home / "forget.partial").exists()


@pytest.mark.slow
def test_a_run_on_other_data_that_learned_from_one_that_read_the_people_is_made_again(home_with_run, key, config):
    """By `training.start_from`, and by a teacher that was itself taught: no weight comes from the people any more."""
    home = home_with_run
    for name, values in (
        ("two", {"training.start_from": str(home / "runs" / "one")}),
        ("three", {"training.teachers": [str(home / "runs" / "two")]}),
        ("four", {}),
    ):
        train(home / "data" / "other", home / "runs" / name, config.with_values(values))
    untouched = files_of(home / "runs" / "four") | files_of(home / "data" / "other")
    receipt = erase(home, key, *GONE)
    assert sorted(receipt["runs"]) == ["runs/one", "runs/three", "runs/two"]
    for name in ("two", "three"):
        options = Run(home / "runs" / name).config.training
        assert options.start_from is None and options.teachers == []
    assert untouched == files_of(home / "runs" / "four") | files_of(home / "data" / "other")


def test_who_is_in_no_data_is_counted_and_nothing_changes(home, key):
    before = files_of(home)
    assert erase(home, key, "stranger")["users"] | {"marks": 0} == {"asked": 1, "found": 0, "unknown": 1, "marks": 0}
    assert files_of(home) == before


def test_a_receipt_is_signed_names_nobody_and_is_refused_once_edited(home, key, tmp_path):
    erase(home, key, "stranger")
    receipt = tmp_path / "receipt.json"
    assert verify_receipt(receipt, key)["what"] == "erasure" and "stranger" not in receipt.read_text()
    text = receipt.read_text()
    receipt.write_text(text.replace('"unknown": 1', '"unknown": 0'))
    with pytest.raises(InvalidInput, match="no receipt signed with"):
        verify_receipt(receipt, key)
    receipt.write_text(text)
    key.write_text("cd" * 32)
    with pytest.raises(InvalidInput, match="no receipt signed with"):
        verify_receipt(receipt, key)
    key.chmod(0o644)
    with pytest.raises(InvalidInput, match="--key: others than its owner may read"):
        erase(home, key, "stranger")


def test_files_of_others_that_name_somebody_are_told_and_left(home, key):
    (home / "runs" / "one").mkdir(parents=True)
    (home / "runs" / "one" / "manifest.json").write_text(json.dumps({"kind": "next-item", "data": "of elsewhere"}))
    (home / "notes.txt").write_text("called person-3 on Monday")
    pl.DataFrame({"item_id": ["i1"], "note": ["person-3"]}).write_parquet(home / "items.parquet")
    with pytest.raises(TfrecError, match=r"1 files that tfrec does not know still name .* such as notes.txt"):
        erase(home, key, "person-3")
    receipt = verify_receipt(home.parent / "receipt.json", key)
    assert (
        receipt["scan"]["found"] == ["notes.txt"]
        and "runs/one: its data are not in the folder" in receipt["not_covered"]
    )


def test_a_served_model_whose_data_a_job_has_not_kept_is_told(home, key):
    job, data = home / "job", home / "data" / "other"
    fingerprint = PreparedDataset(data).manifest["fingerprint"]
    for night, read in ((1, "of a night before"), (2, fingerprint)):
        (job / "nights" / f"{night:04d}" / "run").mkdir(parents=True)
        about = json.dumps({"kind": "next-item", "data": read})
        (job / "nights" / f"{night:04d}" / "run" / "manifest.json").write_text(about)
    data.rename(job / "nights" / "0002" / "data")
    champions = [{"version": night, "night": night} for night in (1, 2)]
    state = {"format": 1, "out": str(home / "out"), "champions": champions, "current": 1, "last": {"night": 2}}
    (job / "state.json").write_text(json.dumps(state))
    untold = erase(home, key, "stranger")["not_covered"]
    assert [line for line in untold if "job" in line] == ["job/nights/0001/run: its data are not in the folder"]


def test_pseudonyms_of_the_people_are_found(home, key):
    data = prepare(
        people(), ITEMS, home / "data" / "named", split="leave-one-out", config={"data.pseudonym_key": str(key)}
    )
    inside = set(data.histories().user_ids)

    there = ids_in(data, ["person-3", "stranger"])
    assert list(there.values()) == ["person-3"] and set(there) <= inside and "person-3" not in inside


def test_lines_of_request_logs_go_by_their_pseudonyms_and_others_stay_as_they_are(home, key, tmp_path):
    keys, logs = tmp_path / "log.key", home / "logs"
    logs.mkdir()

    def line(user, *keys):
        for each in keys:
            user = hmac.new(bytes.fromhex(each), user.encode(), hashlib.sha256).hexdigest()[:32]
        return f'{{"user_id":"{user}", "inputs": {{"history_item_ids":[["i1"]]}}}}\n'

    old, new = "0a" * 32, "0b" * 32
    stay = line("person-4", old, new) + '{"user_id":null,"inputs":{"item_ids":["i2"]}}\n'
    (logs / "requests-2026-04-30.jsonl").write_text(line("person-3", old) + stay)
    (logs / "requests-2026-05-01.jsonl").write_text(stay + line("stranger", old, new))
    keys.write_text(f"{old}\n{new}\n")
    keys.chmod(0o600)
    receipt = erase(home, key, "stranger", "person-3", log_key=keys)
    assert {name: count for name, count in receipt["tables"].items() if name.startswith("logs")} == {
        "logs/requests-2026-04-30.jsonl": 1,
        "logs/requests-2026-05-01.jsonl": 1,
    }
    assert {path.read_text() for path in logs.iterdir()} == {stay}


def test_ids_that_are_numbers_are_no_row_numbers_and_no_counts(key, tmp_path):
    home, few = tmp_path / "numbers", people().with_columns(pl.col("user_id").str.strip_prefix("person-"))
    data = prepare(few, ITEMS, home / "data", split="leave-one-out")
    few.with_columns(pl.col("user_id").cast(pl.Int64).alias("userId")).drop("user_id").write_csv(home / "log.csv")
    (home / "about.json").write_text('{"users": 3, "valid_users": 5, "listed": {"users": [4]}}')
    pl.DataFrame({"group": ["a", "b"], "users": [3, 1]}).write_parquet(home / "groups.parquet")
    receipt = erase(home, key, "3", "5")
    assert receipt["tables"] == {"log.csv": 10} and receipt["scan"]["found"] == []
    left = PreparedDataset(data.path)
    assert len(left.queries("test")) == 6 and "3" not in left.histories().user_ids
    (home / "about.json").write_text('{"listed": {"users": [3]}}')
    assert names_users(home / "about.json", ["3"]) and not names_users(home / "about.json", ["4"])


def test_lines_that_name_somebody_elsewhere_are_found_and_broken_ones_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"user_id": 42, "who": {"friends": ["person-3"]}}\n\n')
    assert [names_users(path, [user]) for user in ("person-3", "42", "person-4")] == [True, True, False]
    path.write_text('{"user_id": 42}\n{"user_id":')
    with pytest.raises(InvalidInput, match="cannot be read as a table"):
        without_rows(path, ["42"])


@pytest.mark.parametrize("name", ["log.jsonl", "log.csv", "log.parquet"])
def test_who_may_not_read_a_table_may_not_read_what_takes_its_place(tmp_path, name):
    path, frame = tmp_path / name, pl.DataFrame({"user_id": ["person-3", "person-4"]})
    {".jsonl": frame.write_ndjson, ".csv": frame.write_csv, ".parquet": frame.write_parquet}[path.suffix](path)
    path.chmod(0o600)
    assert without_rows(path, ["person-3"]) == 1 and path.stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
def test_an_export_of_two_stages_is_made_again_of_both(home_with_run, key, config, monkeypatch):
    home, made = home_with_run, []
    train(home / "data" / "shop", home / "runs" / "two", config.with_values(["training.seed=2"]))
    version = home / "models" / "shop" / "1"
    version.mkdir(parents=True)
    one, two = (run_id(Run(home / "runs" / name)) for name in ("one", "two"))
    about = {"name": "shop", "version": 1, "exclude_seen": False, "run": one, "ranker": {"run": two}}
    (version / "tfrec.json").write_text(json.dumps(about))

    def exported(run, out, *, exclude_seen, ranker):
        made.append((run.path, ranker.path, exclude_seen))
        (out / "2").mkdir()
        (out / "2" / "tfrec.json").write_text(json.dumps({"run": run_id(run), "ranker": {"run": run_id(ranker)}}))
        return out / "2"

    monkeypatch.setattr(rebuild, "export", exported)
    receipt = erase(home, key, *GONE)
    assert receipt["exports"] == {"models/shop/1": "models/shop/2"} and not version.exists()
    assert made == [(home / "runs" / "one", home / "runs" / "two", False)]


@pytest.mark.slow
def test_an_export_of_two_stages_of_which_one_is_elsewhere_is_refused(home_with_run, key):
    version = home_with_run / "models" / "shop" / "1"
    version.mkdir(parents=True)
    about = {"name": "shop", "version": 1, "run": run_id(Run(home_with_run / "runs" / "one")), "ranker": {}}
    (version / "tfrec.json").write_text(json.dumps(about))
    before = files_of(home_with_run)
    with pytest.raises(InvalidInput, match="two stages, and only one of their runs is in the folder or known"):
        erase(home_with_run, key, *GONE)
    assert files_of(home_with_run) == before


@pytest.mark.nightly
def test_exported_versions_are_replaced_and_go_after_the_grace_time(home_with_run, key):
    home, out = home_with_run, home_with_run / "models" / "shop"
    export(home / "runs" / "one", out)
    receipt = erase(home, key, *GONE, grace=2.0)
    assert receipt["exports"] == {"models/shop/1": "models/shop/2"} and (out / "1").is_dir() and (out / "2").is_dir()
    assert (
        json.loads((out / "2" / "tfrec.json").read_text())["run"]
        != json.loads((out / "1" / "tfrec.json").read_text())["run"]
    )
    later = NOON + timedelta(days=3)
    forget(home, asked("stranger"), key=key, receipt=home.parent / "later.json", now=later)
    assert not (out / "1").exists() and (out / "2").is_dir()
