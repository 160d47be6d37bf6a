"""A raw retail log, simulated, from its CSV file to numbers: defaults, and a split by time."""

import json

import pytest

from tfrec.data.datasets.simulated_retail import retail_log


@pytest.mark.nightly
@pytest.mark.slow
def test_the_default_model_beats_popularity_on_a_raw_retail_log(tfrec, tiny_encoder, tmp_path):
    log, catalogue = retail_log(users=500, products=300)
    log.write_csv(tmp_path / "events.csv")
    catalogue.write_csv(tmp_path / "items.csv")
    data, run = tmp_path / "data", tmp_path / "run"
    source = ("--events", tmp_path / "events.csv", "--items", tmp_path / "items.csv")
    for command in (
        ("prepare", *source, "--out", data, "--split", "global-time"),
        ("train", "--data", data, "--out", run, "--encoder", tiny_encoder),
        ("evaluate", "--run", run, "--data", data),
    ):
        code, _, err = tfrec(*command)
        assert code == 0, err
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["ndcg@10"] >= 1.3 * metrics["baselines"]["popularity"]["ndcg@10"] > 0
