"""An export with item vectors in small: its lists, its report, and what does not go together."""

import pytest

from tfrec.errors import InvalidInput
from tfrec.files import read_json
from tfrec.serving import check, export


@pytest.mark.slow
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


def test_an_index_needs_vectors_in_float32(new_run, tmp_path):
    with pytest.raises(InvalidInput, match="export.index=ivf needs the item vectors in float32"):
        export(new_run("export.item_table=pq", "export.index=ivf"), tmp_path / "shop")
    assert not list(tmp_path.iterdir())
