"""The real quickstart, with fewer epochs."""

import json

import pytest

from tfrec import InvalidInput
from tfrec.workflows.quickstart import quickstart


def test_invalid_epochs_are_refused_before_anything_is_downloaded(tmp_path, monkeypatch):
    monkeypatch.setenv("TFREC_CACHE", str(tmp_path / "cache"))
    with pytest.raises(InvalidInput, match="epochs"):
        quickstart(tmp_path / "out", epochs=0)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_real_quickstart_with_one_epoch(tmp_path, capsys):
    made = quickstart(tmp_path, epochs=1)
    out = capsys.readouterr().out
    assert made.metrics["users"] == 943 and made.metrics["items"] == 1682
    assert {"popularity", "text", "cooccurrence"} <= set(made.metrics["baselines"])
    assert made.metrics["ndcg@10"] >= 1.3 * made.metrics["baselines"]["popularity"]["ndcg@10"] > 0
    assert made.version == tmp_path / "saved_models" / "movielens" / "1"
    assert json.loads((tmp_path / "runs" / "quickstart" / "metrics.json").read_text())["users"] == 943
    assert out.count("Recommended") == 3 and " 10. " in out
    assert "docker run -p 8501:8501" in out and "curl -d @" in out
    request = json.loads((tmp_path / "runs" / "quickstart" / "request.json").read_text())
    lengths = {name: len(rows[0]) for name, rows in request["inputs"].items()}
    assert lengths == {"history_item_ids": 500, "history_events": 500, "exclude_item_ids": 100}
    answer = served(made.version, request)
    assert answer["count"].numpy().tolist() == [100] and not answer["fallback"].numpy()[0]


def served(version, request):
    """What the exported signature answers to the printed request."""
    import tensorflow as tf

    signature = tf.saved_model.load(str(version)).signatures[request["signature_name"]]
    return signature(**{name: tf.constant(rows) for name, rows in request["inputs"].items()})
