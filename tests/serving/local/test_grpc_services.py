"""The contract of TF Serving's gRPC services."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(server.grpc) as channel:
        yield channel


@pytest.fixture
def predict(channel):
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)

    def call(inputs, signature="", model="m", version=None, label="", output_filter=()):
        request = predict_pb2.PredictRequest(output_filter=output_filter)
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        if label:
            request.model_spec.version_label = label
        for key, value in inputs.items():
            proto = value if hasattr(value, "SerializeToString") else tf.make_tensor_proto(value)
            request.inputs[key].CopyFrom(proto)
        return stub.Predict(request, timeout=30)

    return call


def arrays(response):
    return {key: tf.make_ndarray(proto) for key, proto in response.outputs.items()}


def test_predict_answers_with_tensors_and_says_what_answered(predict, tensors):
    response = predict({**tensors, "s": [b"a", "é".encode()]})
    got = arrays(response)
    assert got["y"].tolist() == [[2, 4], [6, 8]] and got["y"].dtype == np.float32
    assert got["t"].tolist() == [b"a!", "é!".encode()]
    spec = response.model_spec
    assert (spec.name, spec.version.value, spec.signature_name) == ("m", 2, "serving_default")


@pytest.mark.parametrize(("which", "factor"), [({"version": 1}, 1), ({"label": "stable"}, 1), ({"label": "canary"}, 2)])
def test_versions_and_labels(predict, which, factor):
    response = predict({"x": np.ones([1, 2], np.float32), "s": ["a"]}, **which)
    assert arrays(response)["y"].tolist() == [[factor, factor]] and response.model_spec.version.value == factor


def test_an_output_filter_leaves_out_the_rest(predict, tensors):
    response = predict({**tensors, "s": ["a", "b"]}, output_filter=["t"])
    assert sorted(response.outputs) == ["t"]


def test_values_may_come_as_bytes_or_as_a_list(predict):
    listed = tf.make_tensor_proto([1, 2, 3], tf.int64)
    packed = tf.make_tensor_proto(np.array([1, 2, 3], np.int64))
    assert arrays(predict({"n": listed}, "one"))["m"].tolist() == arrays(predict({"n": packed}, "one"))["m"].tolist()


def huge_claim():
    proto = tf.make_tensor_proto([1], tf.int64)
    proto.tensor_shape.dim[0].size = 2**40
    return proto


def negative_size():
    proto = tf.make_tensor_proto([1], tf.int64)
    proto.tensor_shape.dim[0].size = -5
    return proto


@pytest.mark.parametrize(
    ("inputs", "more", "code", "message"),
    [
        ({"n": [1]}, {"model": "other"}, "NOT_FOUND", "Servable not found"),
        ({"n": [1]}, {"model": ""}, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({"n": np.array([1])}, {"version": 9}, "NOT_FOUND", "Specific(m, 9)"),
        ({"n": np.array([1])}, {"label": "no"}, "INVALID_ARGUMENT", "Unrecognized servable version label: no"),
        ({"n": np.array([1])}, {"signature": "no"}, "FAILED_PRECONDITION", 'Serving signature key "no" not found.'),
        (
            {"z": np.array([1])},
            {"signature": "one"},
            "INVALID_ARGUMENT",
            "input tensor alias not found in signature: z",
        ),
        ({}, {"signature": "one"}, "INVALID_ARGUMENT", "input size does not match signature"),
        ({"n": np.array([1.0])}, {"signature": "one"}, "INVALID_ARGUMENT", "expected int64"),
        ({"n": np.array([[1]])}, {"signature": "one"}, "INVALID_ARGUMENT", "expected shape [-1], received [1, 1]"),
        ({"n": huge_claim()}, {"signature": "one"}, "INVALID_ARGUMENT", "received fewer"),
        ({"n": negative_size()}, {"signature": "one"}, "INVALID_ARGUMENT", "known shape"),
        ({"n": np.array([1])}, {"signature": "one", "output_filter": ["q"]}, "INVALID_ARGUMENT", "output tensor alias"),
    ],
)
def test_errors_have_their_codes(predict, inputs, more, code, message):
    with pytest.raises(grpc.RpcError) as error:
        predict(inputs, **more)
    assert error.value.code().name == code and message in error.value.details()


def test_a_message_past_the_limit_is_refused(predict):
    with pytest.raises(grpc.RpcError) as error:
        predict({"x": np.ones([1, 2], np.float32), "s": [b"x" * (17 * 2**20)]})
    assert error.value.code().name == "RESOURCE_EXHAUSTED"


def test_status_and_metadata(channel):
    status = get_model_status_pb2.GetModelStatusRequest()
    status.model_spec.name = "m"
    got = model_service_pb2_grpc.ModelServiceStub(channel).GetModelStatus(status)
    assert [(v.version, v.state) for v in got.model_version_status] == [(2, 30), (1, 30)]

    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    request.model_spec.name = "m"
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    stub.GetModelMetadata(request).metadata["signature_def"].Unpack(signatures)
    assert signatures.signature_def["one"].inputs["n"].dtype == tf.int64.as_datatype_enum


def test_classify_is_refused_as_the_server_refuses_it(channel):
    request = classification_pb2.ClassificationRequest()
    request.model_spec.name = "m"
    with pytest.raises(grpc.RpcError, match="tensorflow/serving/classify"):
        prediction_service_pb2_grpc.PredictionServiceStub(channel).Classify(request)


def test_a_long_string_is_not_repeated_to_fill_a_large_tensor(predict):
    proto = tf.make_tensor_proto(["x" * 10**6])
    proto.tensor_shape.dim[0].size = 1024
    with pytest.raises(grpc.RpcError) as error:
        predict({"x": np.ones([1024, 2], np.float32), "s": proto})
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    proto = tf.make_tensor_proto(["a"])
    proto.tensor_shape.dim[0].size = 3
    assert arrays(predict({"x": np.ones([3, 2], np.float32), "s": proto}))["t"].tolist() == [b"a!"] * 3


def test_a_request_of_many_rows_is_answered_row_by_row_in_its_order(predict):
    x, s = np.arange(300, dtype=np.float32).reshape(150, 2), [f"é{row}".encode() for row in range(150)]
    got = arrays(predict({"x": x, "s": s}))
    assert got["y"].tolist() == (2 * x).tolist() and got["t"].tolist() == [text + b"!" for text in s]
    filled = tf.make_tensor_proto(s[:1])
    filled.tensor_shape.dim[0].size = 150  # one value that stands for all of them
    assert arrays(predict({"x": x, "s": filled}))["t"].tolist() == [s[0] + b"!"] * 150
    for rows in (149, 151, 20):
        with pytest.raises(grpc.RpcError, match="rows as the other inputs have") as error:
            predict({"x": x, "s": (2 * s)[:rows]})
        assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
