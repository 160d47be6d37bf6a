"""Small parts of exports: compacted histories, warm-up bytes, op names, the comparison of answers."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from tfrec.errors import InvalidInput
from tfrec.guard.servable_ops import TEXT_OPS, refuse_unservable
from tfrec.serving.saved_model.example_requests import differences, example_requests, from_json, to_json


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.integers(-1, 5), min_size=5, max_size=5), min_size=1, max_size=4), st.integers(1, 7))
def test_compact_keeps_the_newest_real_entries_in_order(rows, length):
    import tensorflow as tf

    from tfrec.serving.modules.string_ops import compact

    ids = tf.constant(rows)
    moved = compact(ids >= 0, ids, tf.cast(ids, tf.float32)[..., None], length=length, pads=(-1, 0.0))
    width = min(5, length)
    for row, got, vector in zip(rows, moved[0].numpy(), moved[1].numpy()):
        kept = [i for i in row if i >= 0][-width:]
        assert got.tolist() == kept + [-1] * (width - len(kept))
        assert vector[:, 0].tolist() == kept + [0] * (width - len(kept))


def test_tables_find_the_first_and_nothing_else():
    import tensorflow as tf

    from tfrec.serving.modules.string_ops import fingerprint, hash_table, index_table

    table = index_table(["a", "b", "a", ""])
    assert table.lookup(tf.constant(["a", "b", "", "c"])).numpy().tolist() == [0, 1, -1, -1]
    texts = hash_table(["red hat ", "", "red hat"])
    assert texts.lookup(fingerprint(tf.constant(["red hat", "", "hat"]))).numpy().tolist() == [0, -1, -1]
    assert index_table([]).lookup(tf.constant([""])).numpy().tolist() == [-1]


def read_fields(data):
    """Independent reader of a protocol buffer message whose fields are all length-delimited or varints."""
    fields, at = [], 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 2:
            size = varint()
            fields.append((key >> 3, data[at : at + size]))
            at += size
        else:
            fields.append((key >> 3, varint()))
    return fields


def test_warmup_requests_are_prediction_logs(exported):
    import tensorflow as tf
    from tensorflow.core.framework.tensor_pb2 import TensorProto

    records = list(tf.data.TFRecordDataset(str(exported / "assets.extra/tf_serving_warmup_requests")))
    assert len(records) == 18
    ((number, predict),) = read_fields(records[1].numpy())
    assert number == 6
    ((number, request),) = read_fields(predict)
    assert number == 1
    fields = read_fields(request)
    assert read_fields(fields[0][1]) == [(1, b"shop"), (3, b"serving_default")]
    inputs = {dict(read_fields(entry))[1]: dict(read_fields(entry))[2] for n, entry in fields if n == 2}
    tensor = tf.make_ndarray(TensorProto.FromString(inputs[b"history_item_ids"]))
    assert sorted(inputs) == [b"exclude_item_ids", b"history_events", b"history_item_ids"] and tensor.shape == (5, 6)


def test_warmup_requests_are_read_by_the_servers_own_messages(exported):
    log = pytest.importorskip("tensorflow_serving.apis.prediction_log_pb2")
    import tensorflow as tf

    records = tf.data.TFRecordDataset(str(exported / "assets.extra/tf_serving_warmup_requests"))
    requests = [log.PredictionLog.FromString(record.numpy()).predict_log.request for record in records]
    assert {r.model_spec.name for r in requests} == {"shop"}
    assert "recommend_from_text" in {r.model_spec.signature_name for r in requests}
    assert tf.make_ndarray(requests[0].inputs["history_item_ids"]).shape == (1, 6)


def test_no_more_warmup_requests_than_the_server_takes(tmp_path):
    import tensorflow as tf

    from tfrec.serving.saved_model.warmup import write_warmup

    many = [("serving_default", {"x": np.array(["a"], object)})] * 1005
    assert write_warmup(tmp_path / "file", "m", many) == 1000
    assert sum(1 for _ in tf.data.TFRecordDataset(str(tmp_path / "file"))) == 1000


def test_text_ops_are_those_the_installed_tensorflow_text_registers():
    import tensorflow as tf
    import tensorflow_text  # noqa: F401
    from tensorflow.python.framework import op_def_registry

    assert len(set(TEXT_OPS)) == 38
    assert all(op_def_registry.get(op) is not None and not hasattr(tf.raw_ops, op) for op in TEXT_OPS)


@pytest.mark.parametrize("op", ["PyFunc", "EagerPyFunc", "ReadFile", "WriteFile", "ScannFindNeighbors"])
def test_ops_that_a_server_must_not_run_are_refused_by_name(op):
    with pytest.raises(InvalidInput, match=op):
        refuse_unservable(["MatMul", op, "CaseFoldUTF8"])


@pytest.mark.parametrize(
    "array",
    [np.array([["a", ""]], object), np.array([1.5, -2], np.float32), np.array([[True]]), np.zeros((0, 3), np.int32)],
)
def test_tensors_survive_json(array):
    back = from_json(to_json(array))
    assert back.dtype == array.dtype and back.shape == array.shape
    assert_array_equal(back, array)


def answer(ids, scores):
    return {"item_ids": to_json(np.array([ids], object)), "scores": to_json(np.array([scores], np.float32))}


@pytest.mark.parametrize(
    ("received", "wrong"),
    [
        (answer(["a", "b", "c"], [3, 1, 1]), 0),
        (answer(["a", "c", "b"], [3, 1, 1]), 0),  # a tie the other way round
        (answer(["a", "b", "d"], [3, 1, 1]), 0),  # a tie with an item that was cut off
        (answer(["b", "a", "c"], [3, 1, 1]), 1),
        (answer(["d", "b", "c"], [3, 1, 1]), 1),
        (answer(["a", "b", "c"], [3.1, 1, 1]), 1),
        (answer(["a", "b", "c"], [3, 1, float("nan")]), 1),
        (answer(["a", "b"], [3, 1]), 2),
        ({"scores": answer(["a"], [3, 1, 1])["scores"]}, 1),
    ],
)
def test_answers_differ_by_more_than_ties_and_rounding(received, wrong):
    assert len(differences(answer(["a", "b", "c"], [3, 1, 1]), received)) == wrong


def test_example_requests_hold_real_unknown_and_empty_rows():
    signatures = {"embed": {"texts": []}, "serving_default": {"history_item_ids": [4]}}
    requests = example_requests(signatures, item_ids=["i1", "i2"], texts=["hat"])
    assert [name for name, _ in requests] == ["serving_default", "embed"]
    ids = requests[0][1]["history_item_ids"]
    assert ids.shape == (5, 4) and set(ids[:3].ravel()) <= {"i1", "i2", ""} and all(ids[:3, 0] != "")
    assert set(ids[3].ravel()) <= {"no such thing", ""} and set(ids[4]) == {""}
    assert requests[1][1]["texts"].tolist() == ["hat", "hat", "hat", "no such thing", ""]


def test_example_requests_of_vectors_have_a_vector_wherever_the_mask_is_1():
    shapes = {"history_vectors": [4, 3], "history_mask": [4], "history_item_ids": [4]}
    ((_, request),) = example_requests({"recommend_from_vectors": shapes}, item_ids=["i1"])
    mask = request["history_mask"]
    assert request["history_vectors"].shape == (3, 4, 3) and request["history_vectors"].dtype == np.float32
    assert mask.dtype == np.int32 and mask[:2, 0].tolist() == [1, 1] and mask[2].tolist() == [0] * 4
    np.testing.assert_array_equal((request["history_vectors"] != 0).any(axis=2), mask == 1)
    np.testing.assert_array_equal(request["history_item_ids"] != "", mask == 1)
