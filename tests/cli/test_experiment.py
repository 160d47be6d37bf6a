"""`tfrec experiment` from the plan to the report."""

import numpy as np
import polars as pl
import pytest

START, DAY = 1_700_000_000, 86_400


@pytest.mark.slow
def test_plan_assign_analyse_report(tfrec, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    users = [f"u{i}" for i in range(300)]
    (tmp_path / "users.txt").write_text("\n".join(users))
    (tmp_path / "e.yaml").write_text(
        "name: ranker\nplanned_users: 300\nsimulated: true\nmetrics:\n  - {name: clicks, event: click, role: primary}\n"
    )
    rows = rng.integers(0, 300, 6000)
    past = pl.DataFrame(
        {
            "user_id": [users[row] for row in rows],
            "event": "click",
            "timestamp": START - rng.integers(0, 20 * DAY, 6000),
        }
    )
    past.write_parquet("past.parquet")
    code, out, err = tfrec("experiment", "plan", "--spec", "e.yaml", "--outcomes", "past.parquet", "--effect", "0.1")
    assert code == 0, err
    assert "14 days, 300 users: clicks detects a change of" in out and "users detect 10.00%" in out

    code, out, err = tfrec(*"experiment assign --spec e.yaml --users users.txt --out arms.csv".split())
    assert code == 0 and "treatment" in out, err
    arms = pl.read_csv("arms.csv")
    arms.with_columns(timestamp=pl.lit(START)).write_parquet("exposures.parquet")
    twice = pl.concat(
        [
            pl.DataFrame({"user_id": user, "event": "click", "timestamp": START + rng.integers(1, DAY, n)})
            for user, arm in arms.iter_rows()
            if (n := rng.poisson(8 if arm == "treatment" else 4))
        ]
    )
    pl.concat([past, twice]).write_parquet("outcomes.parquet")
    logs = "--spec e.yaml --exposures exposures.parquet --outcomes outcomes.parquet".split()
    code, out, err = tfrec("experiment", "analyse", *logs, "--out", "effects.csv")
    assert code == 0, err
    assert "SIMULATED" in out and "treatment: ship" in out and "users_in_both_arms 0" in out
    assert pl.read_csv("effects.csv")["metric"].to_list() == ["clicks"]
    code, out, err = tfrec("experiment", "report", *logs, "--out", "page.html")
    assert code == 0 and "treatment: ship it." in (tmp_path / "page.html").read_text(), err
    code, _, err = tfrec("experiment", "report", *logs, "--out", "page.html")
    assert code == 2 and "--force" in err
    code, _, err = tfrec("experiment", "analyse", *logs[:4], "--outcomes", "nothing.parquet")
    assert code == 2 and "nothing.parquet" in err
