"""TF Serving's REST routes, on aiohttp."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from google.protobuf import json_format  # type: ignore[import-untyped]
from tensorflow_serving.apis import get_model_metadata_pb2

from tfrec.serving.local.model_server import Core
from tfrec.serving.local.openapi import openapi
from tfrec.serving.local.rest_json import parse_body, read_inputs, write_outputs
from tfrec.serving.local.status_codes import Code, RequestError, invalid
from tfrec.serving.version_folders import MAX_VERSION

_WHICH: Final = r"([^/:]+)(?:/versions/([0-9]+)|/labels/([^/:]+))?"
_CALL: Final = re.compile(rf"/v1/models/{_WHICH}:(classify|regress|predict)", re.IGNORECASE)
_ABOUT: Final = re.compile(rf"/v1/models/{_WHICH}(/metadata)?", re.IGNORECASE)
METRICS_PATH: Final = "/monitoring/prometheus/metrics"
SCHEMA_PATH: Final = "/openapi.json"

_log = logging.getLogger("tfrec.serving")


def rest_app(core: Core, max_body_bytes: int) -> web.Application:
    """The aiohttp application. All answers except the metrics are JSON; errors are `{"error": message}`."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.path == METRICS_PATH and request.method == "GET":
            core.metrics.waiting.set(core.batcher.waiting)
            core.metrics.calls.set(core.batcher.calls)
            return web.Response(body=core.metrics.text(), headers={"Content-Type": "text/plain; version=0.0.4"})
        if request.path == SCHEMA_PATH and request.method == "GET":
            return _json(openapi(core.models))
        if not request.path.lower().startswith("/v1/"):
            raise RequestError(Code.NOT_FOUND, f"Not found: {request.path}")
        if request.method == "POST" and (match := _CALL.fullmatch(request.path)):
            return await _call(core, request, match)
        if request.method == "GET" and (match := _ABOUT.fullmatch(request.path)):
            return _about(core, match)
        raise invalid(f"Malformed request: {request.method} {request.path}")

    app = web.Application(client_max_size=max_body_bytes, middlewares=[_errors])
    app.router.add_route("*", "/{path:.*}", handle)
    return app


async def _call(core: Core, request: web.Request, match: re.Match[str]) -> web.Response:
    model, version, label, method = match.groups()
    with core.counted(model, "REST"):
        loaded = core.find(model, _version(version), label or "")
        document = parse_body(await _body(request))
        if method.lower() != "predict":
            raise wrong_method_error(method.lower())
        signature = loaded.signature(document.get("signature_name", ""))
        inputs, row_format = read_inputs(document, signature.inputs)
        outputs = await core.batcher.run(signature, inputs)
        return _json(write_outputs(outputs, row_format))


async def _body(request: web.Request) -> bytes:
    """The body of a request, decompressed."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise RequestError(Code.RESOURCE_EXHAUSTED, error.text or error.reason, error.status) from None
    except web.RequestPayloadError as error:
        raise invalid(f"The body cannot be read: {error}") from None


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
    return web.Response(body=data, status=status, content_type="application/json")


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    try:
        return await handler(request)
    except RequestError as error:
        return _json({"error": error.message}, error.http)
    except web.HTTPException as error:
        return _json({"error": error.text or error.reason}, error.status)
    except Exception as error:
        _log.exception("%s %s failed", request.method, request.path)
        return _json({"error": f"Internal failure: {type(error).__name__}"}, 500)
