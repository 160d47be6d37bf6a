"""TF Serving's REST routes, on aiohttp, and `:explain`, which is `:predict` of the signature `explain`."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web
from google.protobuf import json_format  # type: ignore[import-untyped]
from tensorflow_serving.apis import get_model_metadata_pb2

from tfrec import schema
from tfrec.serving.local.gate import Gate
from tfrec.serving.local.http_server import Handler
from tfrec.serving.local.inputs import Declared
from tfrec.serving.local.model_server import Core
from tfrec.serving.local.openapi import openapi
from tfrec.serving.local.rate_limited_log import log_failure
from tfrec.serving.local.request_log import AnsweredRequest
from tfrec.serving.local.status_codes import Code, RequestError, invalid
from tfrec.serving.version_folders import MAX_VERSION

_WHICH: Final = r"([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_CALL: Final = re.compile(rf"/v1/models/{_WHICH}:(classify|regress|predict|explain)", re.IGNORECASE)
_ABOUT: Final = re.compile(rf"/v1/models/{_WHICH}(/metadata)?", re.IGNORECASE)
METRICS_PATH: Final = "/monitoring/prometheus/metrics"
SCHEMA_PATH: Final = "/openapi.json"


def rest_handler(core: Core, gate: Gate) -> Handler:
    """Answers REST requests. All answers except the metrics are JSON; errors are `{"error": message}`."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        try:
            gate.check(request.headers.get("Host"), request.headers.get("Authorization", ""))
            return await _route(core, request)
        except RequestError as error:
            return _json({"error": error.message}, error.http)
        except Exception as error:
            log_failure(f"{request.method} {request.path}", error)
            return _json({"error": f"Internal failure: {type(error).__name__}"}, 500)

    return answer


async def _route(core: Core, request: web.BaseRequest) -> web.StreamResponse:
    if request.path == METRICS_PATH and request.method == "GET":
        return web.Response(body=core.metrics_text(), headers={"Content-Type": "text/plain; version=0.0.4"})
    if request.path == SCHEMA_PATH and request.method == "GET":
        return _json(openapi(core.models))
    if not request.path.lower().startswith("/v1/"):
        raise RequestError(Code.NOT_FOUND, f"Not found: {request.path}")
    if request.method == "POST" and (match := _CALL.fullmatch(request.path)):
        return await _call(core, request, match)
    if request.method == "GET" and (match := _ABOUT.fullmatch(request.path)):
        return _about(core, match)
    raise invalid(f"Malformed request: {request.method} {request.path}")


async def _call(core: Core, request: web.BaseRequest, match: re.Match[str]) -> web.Response:
    model, version, label, method = match.groups()
    with core.counted(model, "REST"):
        loaded = core.find(model, _version(version), label or "")
        body = await _body(request, core.limits.body_seconds)
        if method.lower() not in ("predict", "explain"):
            raise wrong_method_error(method.lower())
        explains = method.lower() == "explain"
        signatures = _explaining(loaded.declared) if explains else loaded.declared
        name, row_format, pieces = await core.json.read(body, signatures)
        name = schema.SIGNATURE_EXPLAIN if explains else name
        outputs = await core.batcher.run(loaded.signature(name), pieces)
        if core.log:
            user = request.headers.get(schema.USER_HEADER)
            core.log.record(AnsweredRequest(model, loaded.number, name, user, pieces, outputs, len(body)))
        return _json(await core.json.write(outputs, row_format))


def _explaining(declared: Mapping[str, Declared]) -> dict[str, Declared]:
    """What a request to `:explain` may call, without naming it: the signature `explain`."""
    if schema.SIGNATURE_EXPLAIN not in declared:
        raise invalid(
            "This version has no signature 'explain'. Export a next-item run again, with export.explain_length above 0."
        )
    return dict.fromkeys((schema.SIGNATURE_DEFAULT, schema.SIGNATURE_EXPLAIN), declared[schema.SIGNATURE_EXPLAIN])


async def _body(request: web.BaseRequest, seconds: float) -> bytes:
    """The body of a request, decompressed."""
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request.writer.output_size = 0  # what is counted is the answer
    try:
        async with asyncio.timeout(seconds):
            return await request.read()
    except TimeoutError:
        raise RequestError(Code.DEADLINE_EXCEEDED, f"The body did not come within {seconds:g} s", 408) from None
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestError(Code.RESOURCE_EXHAUSTED, error.text or error.reason, error.status) from None
    except web.RequestPayloadError as error:
        raise invalid(f"The body cannot be read: {error}") from None
    except ConnectionError:
        raise RequestError(Code.CANCELLED, "The client has hung up") from None


def wrong_method_error(method: str) -> RequestError:
    """TF Serving's error for classify and regress on a signature for predict, as all signatures here are."""
    names = f"tensorflow/serving/{method}", "tensorflow/serving/predict"
    kind = {"classify": "classification", "regress": "regression"}[method]
    return invalid(f"Expected {kind} signature method_name to be {names[0]}. Was: {names[1]}")


def _about(core: Core, match: re.Match[str]) -> web.Response:
    model, version, label, metadata = match.groups()
    if not metadata:
        status = core.status(model, _version(version), label or "")
        return _json(_as_dict(status))
    response = core.metadata(model, _version(version), label or "")
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec = {"name": model, "signature_name": "", "version": str(response.model_spec.version.value)}
    return _json({"model_spec": spec, "metadata": {"signature_def": _as_dict(signatures)}})


def _version(text: str | None) -> int | None:
    if text is None:
        return None
    if len(text) > 19 or int(text) > MAX_VERSION:
        raise invalid(f"Failed to convert version: {text:.40} to numeric.")
    return int(text)


def _as_dict(message: Any) -> Any:
    options = {"preserving_proto_field_name": True, "always_print_fields_with_no_presence": True}
    return json_format.MessageToDict(message, **options)


def _json(body: Any, status: int = 200) -> web.Response:
    data = body if isinstance(body, bytes) else json.dumps(body, indent=1).encode()
    headers = {"WWW-Authenticate": "Bearer"} if status == Code.UNAUTHENTICATED.http else None
    return web.Response(body=data, status=status, content_type="application/json", headers=headers)
