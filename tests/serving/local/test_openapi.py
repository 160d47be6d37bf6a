"""The OpenAPI document matches the server: schemathesis generates requests from it and checks the answers."""

import shutil

import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

# Not asked: that other methods get 405 (TF Serving answers 400), and that all the schema allows is taken (it can't say
# that the columns of a request have as many rows as each other).
CHECKS = [
    not_a_server_error,
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
]


@pytest.fixture(scope="module")
def shop(exported, tmp_path_factory):
    """A server of one real export, which has the label stable."""
    from tfrec.serving import LocalServer, label_versions

    folder = tmp_path_factory.mktemp("labelled") / "shop"
    shutil.copytree(exported, folder / exported.name)
    label_versions(folder, {"stable": int(exported.name)})
    with LocalServer(folder) as running:
        yield running


@pytest.fixture
def document(shop, ask_server):
    return ask_server(shop, "GET", "/openapi.json").body


@pytest.mark.slow
@pytest.mark.parametrize("examples", [4, pytest.param(40, marks=pytest.mark.nightly)])
@pytest.mark.parametrize(("mode", "operations"), [(GenerationMode.POSITIVE, 12), (GenerationMode.NEGATIVE, 10)])
def test_the_server_keeps_what_the_document_promises(shop, mode, operations, examples):
    api = schemathesis.openapi.from_url(f"{shop.rest}/openapi.json")
    found = [operation.ok() for operation in api.get_all_operations()]
    if mode is GenerationMode.NEGATIVE:  # where nothing is sent, nothing can be wrong
        found = [operation for operation in found if operation.body or operation.path_parameters]
    assert len(found) == operations
    for operation in found:

        @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
        @given(case=operation.as_strategy(generation_mode=mode))
        def kept(case):
            case.call_and_validate(checks=CHECKS)

        kept()


@pytest.mark.slow
def test_every_route_is_there_and_labels_are_those_given(document):
    which = ("", "/versions/{version}", "/labels/{label}")
    ends = ("", "/metadata", ":predict", ":explain")
    assert set(document["paths"]) == {f"/v1/models/shop{one}{end}" for one in which for end in ends}
    (label,) = document["paths"]["/v1/models/shop/labels/{label}"]["parameters"]
    assert label["schema"]["enum"] == ["stable"]


ROW = {"history_item_ids": ["i1"] * 6, "history_events": [""] * 6, "exclude_item_ids": [""] * 4}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("body", "fits"),
    [
        ({"instances": [ROW]}, True),
        ({"signature_name": "serving_default", "instances": [ROW]}, True),
        ({"inputs": {name: [row] for name, row in ROW.items()}}, True),
        ({"signature_name": "similar_items", "inputs": {"item_ids": ["i1"]}}, True),
        ({"signature_name": "similar_items", "inputs": ["i1", {"b64": "aTE="}]}, True),
        ({"signature_name": "similar_items", "instances": ["i1"]}, True),
        ({"signature_name": "nothing", "instances": [ROW]}, False),
        ({"instances": [{**ROW, "history_events": [""] * 5}]}, False),
        ({"instances": [{**ROW, "more": [""]}]}, False),
        ({"instances": [{**ROW, "history_events": [1] * 6}]}, False),
        ({"instances": []}, False),
        ({"instances": [ROW], "inputs": {name: [row] for name, row in ROW.items()}}, False),
        ({"signature_name": "similar_items", "inputs": [{"b64": "?"}]}, False),
        ({}, False),
    ],
)
def test_the_request_schema_accepts_what_the_server_accepts(document, shop, ask_server, body, fits):
    call = document["paths"]["/v1/models/shop:predict"]["post"]
    schema = call["requestBody"]["content"]["application/json"]["schema"]
    assert jsonschema.Draft202012Validator(schema).is_valid(body) is fits
    assert (ask_server(shop, "POST", "/v1/models/shop:predict", body).status == 200) is fits
