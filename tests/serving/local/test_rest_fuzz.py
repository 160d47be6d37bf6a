"""Whatever comes as JSON is an answer or a 400, never a failure; what is sent comes back."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_array_equal

from tfrec.serving.local.inputs import Input
from tfrec.serving.local.rest_json import parse_body, read_inputs, write_outputs
from tfrec.serving.local.status_codes import Code, RequestError

STRINGS, NUMBERS = np.dtype(object), np.dtype("float32")
WANTED = {"n": Input(np.dtype("int64"), (None,)), "s": Input(STRINGS, (None, 2)), "x": Input(NUMBERS, None)}
LEAF = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    | st.builds(lambda v: {"b64": v}, st.sampled_from(["YQ==", "?", "", "\x84"]))
)  # fmt: skip
ANY = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
    st.sampled_from(["n", "s", "x", "b64", "q"]), inner, max_size=3), max_leaves=8)  # fmt: skip
BODY = st.dictionaries(st.sampled_from(["instances", "inputs", "signature_name", "other"]), ANY, max_size=3)


@settings(max_examples=300, deadline=None)
@given(BODY | ANY, st.sampled_from([WANTED, {"n": WANTED["n"]}, {"s": WANTED["s"]}]))
def test_any_json_is_read_or_refused(body, wanted):
    try:
        arrays, _ = read_inputs(parse_body(json.dumps(body).encode()), wanted)
    except RequestError as error:
        assert error.code is Code.INVALID_ARGUMENT and error.message
        return
    assert set(arrays) == set(wanted)
    for name, array in arrays.items():
        assert array.dtype == wanted[name].dtype
        assert name != "s" or all(isinstance(value, bytes) for value in array.ravel())


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_json_or_refused(data):
    try:
        assert isinstance(parse_body(data), dict)
    except RequestError as error:
        assert error.code is Code.INVALID_ARGUMENT


@settings(max_examples=100, deadline=None)
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=1, max_dims=3, max_side=4), elements=st.floats(width=32)),
    st.booleans(),
)
def test_numbers_come_back_as_they_were_sent(array, row_format):
    sent = json.loads(write_outputs({"x": array}, row_format))
    (values,) = sent.values()
    document = {"instances" if row_format else "inputs": values}
    got, rows = read_inputs(parse_body(json.dumps(document).encode()), {"x": Input(NUMBERS, None)})
    assert rows is row_format and got["x"].dtype == np.float32
    assert_array_equal(got["x"], array)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=2), min_size=1, max_size=4))
def test_strings_come_back_as_they_were_sent(rows):
    got, _ = read_inputs(parse_body(json.dumps({"inputs": rows}).encode()), {"s": WANTED["s"]})
    assert [[value.decode() for value in row] for row in got["s"]] == rows
    assert json.loads(write_outputs(got, False)) == {"outputs": rows}


@pytest.mark.parametrize("text", ["?", "YQ", "\x84", "é==="])
def test_base64_that_is_none_is_refused(text):
    with pytest.raises(RequestError, match="base64") as error:
        read_inputs({"inputs": [{"b64": text}]}, {"s": Input(STRINGS, (None,))})
    assert error.value.code is Code.INVALID_ARGUMENT


def test_outputs_that_do_not_share_rows_cannot_be_in_row_format():
    outputs = {"a": np.zeros([2]), "b": np.zeros([3])}
    with pytest.raises(RequestError, match="inconsistent batch sizes"):
        write_outputs(outputs, True)
    assert json.loads(write_outputs(outputs, False))["outputs"]["b"] == [0, 0, 0]
