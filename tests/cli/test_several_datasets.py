"""`--data` several times: one run of several datasets, which another catalogue's lists can come from."""

import json

import polars as pl
import pytest

from tests.unfitted_run import unfitted
from tfrec.data import prepare

SMALL = ["model.dim=8", "model.heads=1", "model.neighbours=2", "tracking.projector=0"]


@pytest.fixture
def folders(tmp_path):
    """Three shops of six items each."""
    for name in ("books", "toys", "new"):
        rows = [(f"u{u}", f"i{(u + step) % 6}", step) for u in range(5) for step in range(4)]
        events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
        items = pl.DataFrame({"item_id": [f"i{i}" for i in range(6)], "title": [f"{name} {i}" for i in range(6)]})
        prepare(events, items, tmp_path / name, split="leave-one-out")
    return tmp_path


@pytest.mark.slow
@pytest.mark.nightly
def test_train_takes_several_datasets_and_recommend_another(tfrec, folders, tiny_encoder, monkeypatch):
    from tfrec.models.next_item.family import NextItemFamily

    monkeypatch.setenv("TFREC_CACHE", str(folders / "cache"))
    monkeypatch.setattr(NextItemFamily, "fit", unfitted())
    several = ["--data", folders / "books", "--data", folders / "toys"]
    options = ["--encoder", tiny_encoder, *(word for value in SMALL for word in ("--set", value))]
    code, _, err = tfrec("train", *several, "--out", folders / "run", *options)
    assert code == 0, err
    assert json.loads((folders / "run" / "manifest.json").read_text())["domains"] == {"books": 6, "toys": 6}
    asked = ["--run", folders / "run", "--data", folders / "new", "--out", folders / "lists.parquet", "--k", 2]
    code, out, err = tfrec("recommend", *asked)
    assert code == 0 and "Wrote 10 rows for 5 users" in out, err
    assert "reads the 6 items by their text" in err

    code, _, err = tfrec("train", *several, "--data", folders / "books", "--out", folders / "twice", *options)
    assert code == 2 and "is given twice. Pass each dataset once." in err
    code, _, err = tfrec("evaluate", "--run", folders / "run", "--data", folders / "new")
    assert code == 2 and "Pass --out" in err
