"""`tfrec explain` on the command line."""

from types import SimpleNamespace


def test_the_options_reach_the_library(tfrec, monkeypatch, tmp_path):
    import tfrec as library

    calls = []

    def explain(*arguments, **options):
        import polars as pl

        calls.append((arguments, options))
        return pl.DataFrame({"user_id": ["a", "a", "b"]})

    monkeypatch.setattr("tfrec.explanation.explain_lists.explain", explain)
    monkeypatch.setattr(library, "load_run", lambda path: SimpleNamespace(with_values=lambda values: ("run", values)))
    out = tmp_path / "why.parquet"
    arguments = ["--run", "r", "--data", "d", "--out", out, "--item", "i1", "--item", "i2", "--k", 3, "--events", 2]
    code, said, error = tfrec("explain", *arguments, "--set", "retrieval.exclude_seen=false")
    assert code == 0 and "Wrote 3 rows for 2 users" in said, error
    (given,) = calls
    assert given[0][0] == ("run", ["retrieval.exclude_seen=false"]) and given[0][2] == 3
    expected = {"users": None, "items": ["i1", "i2"], "events": 2, "counterfactuals": 5}
    assert given[1] == {**expected, "out": out, "force": False}
    assert tfrec("explain", "--run", "r", "--data", "d", "--out", out, "--k", 0)[0] == 2
