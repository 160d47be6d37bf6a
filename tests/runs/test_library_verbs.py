"""The library's verbs: folders and objects are the same to them, and they do what the commands do."""

import tfrec

import os  # isort: skip
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tfrec import InvalidInput
from tfrec.files import read_json

pytestmark = pytest.mark.slow  # for the one run that they share

ITEMS = [f"i{item}" for item in range(12)]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """A folder with prepared data and a run of one epoch: 30 people walk round 12 items, and nobody comes back."""
    folder = tmp_path_factory.mktemp("verbs")
    rng = np.random.default_rng(1)
    rows = [
        (f"u{user}", ITEMS[(start + step) % 12], step)
        for user, start in enumerate(rng.integers(0, 12, 30))
        for step in range(6)
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    data = tfrec.prepare(events, pl.DataFrame({"item_id": ITEMS}), folder / "data", split="leave-one-out")
    small = {"training": {"epochs": 1, "balance": False}, "model": {"dim": 8, "heads": 2, "use_text": False}}
    tfrec.train(data, folder / "run", {**small, "evaluation.bootstrap": 10})
    return folder


def test_folders_and_objects_are_the_same(shop):
    data, run = tfrec.load_dataset(shop / "data"), tfrec.load_run(str(shop / "run"))
    assert tfrec.load_dataset(data) is data and tfrec.load_run(run) is run
    lists = tfrec.recommend(run, data)
    assert lists.equals(tfrec.recommend(str(shop / "run"), shop / "data", 10))
    assert tfrec.evaluate(run, data) == tfrec.evaluate(shop / "run", str(shop / "data"), split="test")


def test_recommend_leaves_out_what_the_run_says_and_no_more(shop):
    taken = {
        row["user_id"]: set(row["items"]) for row in pl.read_parquet(shop / "data" / "sequences.parquet").to_dicts()
    }
    assert set(map(len, taken.values())) == {6}
    lists = tfrec.recommend(shop / "run", shop / "data", k=12)
    assert lists.columns == ["user_id", "item_id", "rank", "score"]
    assert lists.dtypes == [pl.String, pl.String, pl.UInt32, pl.Float32]
    for user, found in lists.group_by("user_id"):
        assert sorted(found["item_id"]) == sorted(ITEMS[item] for item in set(range(12)) - taken[user[0]])
        assert found["rank"].to_list() == [1, 2, 3, 4, 5, 6]
    everything = tfrec.load_run(shop / "run").with_values({"retrieval.exclude_seen": False})
    assert tfrec.recommend(everything, shop / "data", k=12).height == 30 * 12


def test_users_are_ids_in_order_or_a_file_of_them(shop, tmp_path):
    def users(given):
        found = tfrec.recommend(shop / "run", shop / "data", 2, users=given)
        return found["user_id"].unique(maintain_order=True).to_list()

    (tmp_path / "users.txt").write_text("u3\nu1\n")
    for given in (["u3", "u1"], np.array(["u3", "u1"]), pl.Series(["u3", "u1"]), tmp_path / "users.txt"):
        assert users(given) == ["u3", "u1"]
    assert tfrec.recommend(shop / "run", shop / "data", users=[]).height == 0
    allowed = tfrec.recommend(shop / "run", shop / "data", users=["u0"], allow=["i1", "i7"])
    assert set(allowed["item_id"]) <= {"i1", "i7"}


def test_the_frame_is_what_the_command_writes(shop, tmp_path, monkeypatch):
    from tfrec.cli import main

    line = ["tfrec", "recommend", "--run", shop / "run", "--data", shop / "data", "--out", tmp_path / "command.parquet"]
    monkeypatch.setattr(sys, "argv", [str(part) for part in line])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    frame = tfrec.recommend(shop / "run", shop / "data", out=tmp_path / "call.parquet")
    for written in ("command.parquet", "call.parquet"):
        assert pl.read_parquet(tmp_path / written).equals(frame)


def test_lists_become_a_table_of_a_database(shop, tmp_path):
    pytest.importorskip("adbc_driver_sqlite")
    from tfrec.data.reading.databases import read_table

    url = f"sqlite:///{tmp_path / 'shop.db'}"
    frame = tfrec.recommend(shop / "run", shop / "data", 2, out=f"{url}::lists")
    assert read_table(url, "lists", "lists").collect().rows() == frame.rows()
    with pytest.raises(InvalidInput, match="--force replaces it"):
        tfrec.recommend(shop / "run", shop / "data", 3, out=f"{url}::lists")
    assert read_table(url, "lists", "lists").collect().height == frame.height


@pytest.mark.parametrize(
    "call, named",
    [
        (lambda run, data: tfrec.recommend(run, data, k=0), "k of at least 1"),
        (lambda run, data: tfrec.recommend(run, data, k="10"), "k of at least 1"),
        (lambda run, data: tfrec.recommend(run, data, users=["nobody"]), "nobody"),
        (lambda run, data: tfrec.recommend(run, data, users="nowhere.txt"), "nowhere.txt"),
        (lambda run, data: tfrec.recommend(run, data, out="lists.xlsx"), "lists.xlsx"),
        (lambda run, data: tfrec.recommend(run, data, out="sqlite:///shop.db"), "not the name of a table"),
        (lambda run, data: tfrec.recommend(run, data, ranker=run), "click-ranker"),
        (lambda run, data: tfrec.recommend(run, pl.DataFrame()), "tfrec.prepare"),
        (lambda run, data: tfrec.recommend(tfrec.load_run(run).scorer(), data), "tfrec.retrieval.recommend"),
        (lambda run, data: tfrec.evaluate(run, data, split="train"), "valid or test"),
        (lambda run, data: tfrec.evaluate(data, data), "is not a run"),
        (lambda run, data: tfrec.evaluate(run, run), "not a prepared dataset"),
        (lambda run, data: tfrec.evaluate(run, data, out="no-folder/metrics.json"), "no-folder"),
        (lambda run, data: tfrec.export("no-run", "saved_models/shop"), "no-run"),
        (lambda run, data: tfrec.train(data, "runs/x", {"training.epoch": 3}), "Did you mean training.epochs?"),
        (lambda run, data: tfrec.train(data, "runs/x", "no.yaml"), "no.yaml"),
        (lambda run, data: tfrec.train(data, "runs/x", 3), "received 3"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(shop, tmp_path, monkeypatch, call, named):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidInput, match=named):
        call(shop / "run", shop / "data")
    assert os.listdir(tmp_path) == []


def test_changed_options_leave_the_run_as_it_was(shop, tmp_path):
    run = tfrec.load_run(shop / "run")
    version = tfrec.export(run.with_values({"export.max_k": 3}), tmp_path / "shop", histories=shop / "data")
    assert read_json(version / "tfrec.json")["sizes"]["max_k"] == 3
    assert run.config.export.max_k == tfrec.load_run(shop / "run").config.export.max_k == 100


def test_users_who_are_measured_may_be_drawn(shop, tmp_path):
    run, data = tfrec.load_run(shop / "run"), tfrec.load_dataset(shop / "data")
    measured, ranks, every = {}, {}, data.queries("test").user_ids.tolist()
    for most in (5, len(every)):
        values = {"evaluation.most_users": most, "evaluation.bootstrap": 0}
        measured[most] = tfrec.evaluate(run.with_values(values), data, out=tmp_path / "metrics.json")
        lists = pl.read_parquet(run.path / "predictions.parquet")
        ranks[most] = dict(zip(lists["user_id"].to_list(), lists["ranks"].to_list(), strict=True))
    few, whole = measured[5], measured[len(every)]
    assert few["users"] == 5 == len(ranks[5]) and whole["users"] == len(every) == len(ranks[len(every)])
    assert ranks[5] == {user: ranks[len(every)][user] for user in ranks[5]}
    assert few["protocol"] == {**whole["protocol"], "targets": 5, "users_drawn_from": len(every)}
    assert few["baselines"]["cooccurrence"] != whole["baselines"]["cooccurrence"]  # with the same users


def test_the_old_name_of_evaluate_works_and_warns_at_the_line_that_calls_it(shop):
    run, data = tfrec.load_run(shop / "run"), tfrec.load_dataset(shop / "data")
    with pytest.warns(DeprecationWarning, match=r"goes in tfrec 0\.4; use evaluate\(run, data\)") as caught:
        found = tfrec.evaluate_run(run, dataset=data, split="valid")
    assert Path(caught[0].filename).name == "test_library_verbs.py"
    assert found == tfrec.evaluate(run, data, "valid")
    assert "evaluate_run" not in dir(tfrec)
