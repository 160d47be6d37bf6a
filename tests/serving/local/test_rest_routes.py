"""The contract of TF Serving's REST routes, as its documentation and its own tests state it."""

import base64
import gzip
import json

import pytest

PREDICT = "/v1/models/m:predict"


def test_row_format_gives_predictions_in_rows(rest):
    body = {"instances": [{"x": [1, 2], "s": "a"}, {"x": [3.5, -4], "s": "é"}]}
    answer = rest("POST", PREDICT, body)
    assert answer.status == 200 and answer.type.startswith("application/json")
    code = [{"b64": base64.b64encode(s.encode()).decode()} for s in "aé"]
    assert answer.body == {
        "predictions": [
            {"y": [2.0, 4.0], "t": "a!", "code_bytes": code[0]},
            {"y": [7.0, -8.0], "t": "é!", "code_bytes": code[1]},
        ]
    }


def test_column_format_gives_outputs_in_columns(rest):
    answer = rest("POST", PREDICT, {"inputs": {"x": [[1, 2]], "s": ["a"]}})
    assert answer.body == {"outputs": {"y": [[2.0, 4.0]], "t": ["a!"], "code_bytes": [{"b64": "YQ=="}]}}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"instances": [1, 2]}, {"predictions": [2, 3]}),
        ({"instances": [{"n": 1}, {"n": 2}]}, {"predictions": [2, 3]}),
        ({"inputs": [1, 2]}, {"outputs": [2, 3]}),
        ({"inputs": {"n": [1, 2]}}, {"outputs": [2, 3]}),
        ({"inputs": []}, {"outputs": []}),
    ],
)
def test_one_input_and_one_output_need_no_names(rest, body, expected):
    answer = rest("POST", PREDICT, {"signature_name": "one", **body})
    assert (answer.status, answer.body) == (200, expected)


def test_strings_may_come_in_base64(rest):
    answer = rest("POST", PREDICT, {"instances": [{"x": [0, 0], "s": {"b64": base64.b64encode(b"\xff\x00").decode()}}]})
    assert answer.body["predictions"][0]["code_bytes"] == {"b64": "/wA="}
    assert answer.body["predictions"][0]["t"] == "\ufffd\x00!"


def test_booleans_and_numbers_that_are_not_finite(rest):
    assert rest("POST", PREDICT, {"signature_name": "flags", "instances": [True, False]}).body == {
        "predictions": [False, True]
    }
    answer = rest("POST", PREDICT, '{"signature_name": "ratio", "inputs": [1.0, NaN, 2]}')
    assert str(answer.body["outputs"]) == "[inf, nan, 2.0]"


@pytest.mark.parametrize(
    ("path", "factor"),
    [
        ("/v1/models/m:predict", 2),
        ("/v1/models/m/versions/1:predict", 1),
        ("/v1/models/m/labels/stable:predict", 1),
        ("/v1/models/m/labels/canary:predict", 2),
        ("/V1/Models/m:Predict", 2),
    ],
)
def test_the_version_is_the_newest_or_the_one_asked_for(rest, path, factor):
    answer = rest("POST", path, {"inputs": {"x": [[1, 1]], "s": ["a"]}})
    assert answer.body["outputs"]["y"] == [[factor, factor]]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("", "JSON Parse error"),
        ("{", "JSON Parse error"),
        ("[" * 100_000, "JSON Parse error"),
        ("[1]", "Is not object"),
        (b'{"instances": ["\xff"]}', "JSON Parse error"),
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [1], "inputs": [1]}, "only one of"),
        ({"signature_name": 1, "inputs": [1]}, "signature_name"),
        ({"signature_name": "nope", "inputs": [1]}, 'Serving signature name: "nope" not found in signature def'),
        ({"instances": 1}, "list/array"),
        ({"instances": []}, "No values in 'instances' array"),
        ({"instances": [1]}, "expecting list of objects"),
        ({"instances": [{"x": [1, 2], "s": "a"}, 3]}, "Expecting object"),
        ({"instances": [{"x": [1, 2]}]}, "keys must be equal to: s,x"),
        ({"instances": [{"x": [1, 2], "s": "a", "z": 1}]}, "keys must be equal to: s,x"),
        ({"instances": [{"x": [1, 2], "s": "a"}, {"x": [1], "s": "a"}]}, "unexpected size: 1"),
        ({"inputs": {"x": [[1, 2]]}}, "Missing named input: s"),
        ({"inputs": [1]}, "expecting an object"),
        ({"inputs": {"x": [[1, 2, 3]], "s": ["a"]}}, "x: expected shape [-1, 2], received [1, 3]"),
        ({"inputs": {"x": [1, 2], "s": ["a"]}}, "x: expected shape"),
        ({"inputs": {"x": [[1, 2]], "s": ["a", "b"]}}, "rows"),
        ({"inputs": {"x": [["1", 2]], "s": ["a"]}}, "not of expected type: float32"),
        ({"inputs": {"x": [[True, 2]], "s": ["a"]}}, "not of expected type: float32"),
        ({"inputs": {"x": [[None, 2]], "s": ["a"]}}, "not of expected type: float32"),
        ({"inputs": {"x": [[1, 2]], "s": [7]}}, "not of expected type: string"),
        ({"inputs": {"x": [[1, 2]], "s": [{"b64": "?"}]}}, "base64"),
        ({"inputs": {"x": [[1, 2]], "s": ["\ud800"]}}, "UTF-8"),
        ({"inputs": {"x": [[1, [2]]], "s": ["a"]}}, "list at unexpected level"),
        ({"signature_name": "one", "inputs": [1.5]}, "not of expected type: int64"),
        ({"signature_name": "one", "inputs": [2**70]}, "int64"),
        ({"signature_name": "one", "inputs": [1] * 2000}, "at most 1024 rows"),
    ],
)
def test_unreadable_bodies_are_a_400_with_a_reason(rest, body, message):
    answer = rest("POST", PREDICT, body)
    assert answer.status == 400 and list(answer.body) == ["error"]
    assert message in answer.body["error"]


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/v1/models/other:predict", 404, "Servable not found for request: Latest(other)"),
        ("POST", "/v1/models/m/versions/7:predict", 404, "Servable not found for request: Specific(m, 7)"),
        ("POST", "/v1/models/m/labels/nope:predict", 400, "Unrecognized servable version label: nope"),
        ("POST", "/v1/models/m/versions/99999999999999999999:predict", 400, "to numeric"),
        ("GET", "/v1/models/m:predict", 400, "Malformed request: GET /v1/models/m:predict"),
        ("PUT", "/v1/models/m:predict", 400, "Malformed request"),
        ("POST", "/v1/models/m:guess", 400, "Malformed request"),
        ("GET", "/v1/models", 400, "Malformed request"),
        ("GET", "/v1/models/other", 404, "Could not find any versions of model other"),
        ("GET", "/v1/models/m/versions/7", 404, "Could not find version 7 of model m"),
        ("GET", "/v1/models/other/metadata", 404, "Servable not found"),
        ("POST", "/v1/models/m:classify", 400, "tensorflow/serving/classify"),
        ("POST", "/v1/models/m:regress", 400, "tensorflow/serving/regress"),
        ("GET", "/elsewhere", 404, "Not found"),
    ],
)
def test_other_errors_have_their_codes(rest, method, path, status, message):
    body = {"signature_name": "one", "examples": [{"n": 1}]} if method == "POST" else None
    answer = rest(method, path, body)
    assert answer.status == status and message in answer.body["error"]


def test_status_names_each_version_and_its_state(rest):
    answer = rest("GET", "/v1/models/m")
    states = [(v["version"], v["state"], v["status"]) for v in answer.body["model_version_status"]]
    fine = {"error_code": "OK", "error_message": ""}
    assert states == [("2", "AVAILABLE", fine), ("1", "AVAILABLE", fine)]
    for path in ("/v1/models/m/versions/1", "/v1/models/m/labels/stable"):
        assert [v["version"] for v in rest("GET", path).body["model_version_status"]] == ["1"]


def test_metadata_holds_the_signatures(rest):
    body = rest("GET", "/v1/models/m/versions/1/metadata").body
    assert body["model_spec"] == {"name": "m", "signature_name": "", "version": "1"}
    default = body["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert default["method_name"] == "tensorflow/serving/predict"
    x = default["inputs"]["x"]
    assert x["dtype"] == "DT_FLOAT" and [d["size"] for d in x["tensor_shape"]["dim"]] == ["-1", "2"]
    assert default["outputs"]["t"]["dtype"] == "DT_STRING"


def test_a_body_past_the_limit_is_refused_unread(rest):
    answer = rest("POST", PREDICT, b" " * (17 * 2**20))
    assert answer.status == 413 and "error" in answer.body


def test_a_compressed_body_is_read_and_does_not_get_around_the_limit(rest):
    good = gzip.compress(json.dumps({"signature_name": "one", "inputs": [1]}).encode())
    answer = rest("POST", PREDICT, good, headers={"Content-Encoding": "gzip"})
    assert answer.body == {"outputs": [2]}
    bomb = gzip.compress(b" " * (40 * 2**20))
    answer = rest("POST", PREDICT, bomb, headers={"Content-Encoding": "gzip"})
    assert answer.status == 413
    counted = 'request_count{model_name="m",status="RESOURCE_EXHAUSTED"}'
    assert counted in rest("GET", "/monitoring/prometheus/metrics").body


def test_metrics_are_counted_by_model_and_status(rest):
    def value(text, wanted):
        return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(wanted))

    path = "/monitoring/prometheus/metrics"
    good = ':tensorflow:serving:request_count{model_name="m",status="OK"}'
    bad = ':tensorflow:serving:request_count{model_name="m",status="INVALID_ARGUMENT"}'
    before = rest("GET", path).body
    rest("POST", PREDICT, {"signature_name": "one", "inputs": [1]})
    rest("POST", PREDICT, {"signature_name": "one", "inputs": ["1"]})
    rest("POST", "/v1/models/made-up-name:predict", {"inputs": [1]})
    after = rest("GET", path)
    assert after.type.startswith("text/plain")
    assert value(after.body, good) - value(before, good) == 1
    assert value(after.body, bad) - value(before, bad) == 1
    assert "made-up-name" not in after.body
    assert value(after.body, ":tensorflow:serving:request_latency_count") >= 3


def test_lists_deeper_than_any_tensor_are_refused(rest):
    for depth in (33, 70, 900):
        body = '{"signature_name": "one", "inputs": ' + "[" * depth + "1" + "]" * depth + "}"
        answer = rest("POST", PREDICT, body)
        assert answer.status == 400 and f"{depth} deep" in answer.body["error"]


def test_a_body_with_a_wrong_content_encoding_is_refused(rest):
    answer = rest("POST", PREDICT, b"not gzip", headers={"Content-Encoding": "gzip"})
    assert answer.status == 400 and "body" in answer.body["error"]


def test_explain_is_predict_of_the_signature_of_that_name(rest):
    assert rest("POST", "/v1/models/m:explain", {"instances": [1, 2]}).body == {"predictions": [2, 4]}
    assert rest("POST", "/v1/models/m/labels/stable:explain", {"inputs": {"n": [3]}}).body == {"outputs": [6]}
    assert rest("POST", "/v1/models/m:explain", {"signature_name": "one", "inputs": [1]}).status == 400


def test_an_export_without_the_signature_is_said():
    from tfrec.serving.local.rest_routes import _explaining
    from tfrec.serving.local.status_codes import RequestError

    with pytest.raises(RequestError, match="no signature 'explain'. Export a next-item run again"):
        _explaining({"serving_default": None})
