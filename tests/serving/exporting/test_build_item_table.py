"""An export with item vectors in small: its lists, its report, and what does not go together."""

import numpy as np
import pytest
import tensorflow as tf

from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.retrieval.approximate import product_codes
from tfrec.serving import check, export


@pytest.mark.slow
@pytest.mark.nightly
def test_an_export_of_int8_vectors_serves_nearly_the_same_scores(new_run, served, call_of, tmp_path, capsys):
    version = export(new_run("export.item_table=int8"), tmp_path / "shop")
    history = {"history_item_ids": [["i3", "i1"]], "history_events": [["view", "buy"]], "exclude_item_ids": [[]]}
    small, exact = (call("recommend", **history) for call in (call_of(version), served))
    ours = dict(zip(small.item_ids[0].tolist(), small.scores[0]))
    assert all(abs(ours[item] - score) < 0.2 for item, score in zip(exact.item_ids[0].tolist(), exact.scores[0]))
    assert any(ours[item] != score for item, score in zip(exact.item_ids[0].tolist(), exact.scores[0]))
    about = read_json(version / "tfrec.json")["item_table"]
    assert about["kind"] == "int8" and about["recall_at_10"] > 0.9
    assert (about["table_bytes"], about["float32_bytes"]) == (12 * 4 + 12 * 4, 12 * 4 * 4)
    assert "Item vectors as int8: 2.0 times smaller than float32" in capsys.readouterr().err
    assert "the answers are those of the export" in str(check(version))


@pytest.mark.slow
def test_an_export_of_product_codes_serves_lists_of_what_the_codes_hold(new_run, call_of, tmp_path, monkeypatch):
    monkeypatch.setattr(product_codes, "_VECTORS_A_WORD", 2)  # twelve items would share one word
    run = new_run("export.item_table=pq")
    version = export(run, tmp_path / "shop")
    about = read_json(version / "tfrec.json")["item_table"]
    # Twelve codes, each with a factor in float16, and four words of four values with their scale.
    assert (about["kind"], about["table_bytes"], about["float32_bytes"]) == ("pq", 12 * 3 + 4 * 4 + 4, 12 * 4 * 4)
    assert "the answers are those of the export" in str(check(version))
    lists = call_of(version)("recommend", history_item_ids=[["i3"]], history_events=[["view"]], exclude_item_ids=[[]])
    inputs = {"history_items": [[3]], "history_events": [[0]], "history_gaps": [[0.0]]}
    lengths = np.linalg.norm(run.model.history_vectors(), axis=1, keepdims=True)  # which an export keeps apart
    held = product_codes.product_codes(run.model.item_vectors().numpy()).decode()
    held *= lengths / np.linalg.norm(held, axis=1, keepdims=True)
    scores = run.model.scores({name: tf.constant(rows) for name, rows in inputs.items()}, tf.constant(held)).numpy()[0]
    best = np.sort(np.delete(scores, 3))[::-1]  # without the item of the history
    np.testing.assert_allclose(
        lists.scores[0][: lists.count[0]], best[: lists.count[0]], rtol=1e-3
    )  # factors are float16


def test_an_index_needs_vectors_in_float32(new_run, tmp_path):
    with pytest.raises(InvalidInput, match="export.index=ivf needs the item vectors in float32"):
        export(new_run("export.item_table=pq", "export.index=ivf"), tmp_path / "shop")
    assert not list(tmp_path.iterdir())
