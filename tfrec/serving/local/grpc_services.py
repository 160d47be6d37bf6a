"""TF Serving's PredictionService and ModelService, on grpc.aio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfrec import schema
from tfrec.serving.local.gate import Gate
from tfrec.serving.local.model_server import Core
from tfrec.serving.local.rate_limited_log import log_failure
from tfrec.serving.local.request_log import AnsweredRequest
from tfrec.serving.local.rest_routes import wrong_method_error
from tfrec.serving.local.status_codes import Code, RequestError, invalid
from tfrec.serving.local.tensor_protos import fill, to_pieces

_CODES = {code.value[0]: code for code in grpc.StatusCode}


def grpc_server(core: Core, gate: Gate) -> Any:
    """A `grpc.aio` server with both services, without a port yet."""
    limits = core.limits
    options = {
        "grpc.max_receive_message_length": limits.max_body_bytes,
        "grpc.so_reuseport": 0,
        "grpc.server_handshake_timeout_ms": int(1000 * limits.header_seconds),
        "grpc.max_connection_idle_ms": int(1000 * limits.idle_seconds),
    }
    server = grpc.aio.server(
        interceptors=[gate], options=list(options.items()), maximum_concurrent_rpcs=limits.max_connections
    )
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(core), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Model(core), server)
    return server


async def stop_grpc(server: Any, core: Core, quiet_seconds: float, grace_seconds: float) -> None:
    """Turns new calls away as UNAVAILABLE, answers those in flight, and stops the server.

    `grpc.aio` answers CANCELLED to calls that come in while it stops, as if their clients had hung up. So it is stopped
    only when clients have had some time to learn that they are turned away.
    """
    core.stopping, loop = True, asyncio.get_running_loop()
    end = loop.time() + grace_seconds
    while core.in_flight and loop.time() < end:
        await asyncio.sleep(0.005)
    await asyncio.sleep(quiet_seconds)
    await server.stop(max(end - loop.time(), 0.0))


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    def __init__(self, core: Core) -> None:
        self._core = core

    async def Predict(self, request: Any, context: Any) -> Any:
        async with _errors_as_statuses(self._core, request.model_spec.name, context):
            loaded = self._core.find(*_model_version_label(request.model_spec))
            name = request.model_spec.signature_name or "serving_default"
            if name not in loaded.signatures:
                raise RequestError(Code.FAILED_PRECONDITION, f'Serving signature key "{name}" not found.')
            signature = loaded.signatures[name]
            for key in request.inputs:
                if key not in signature.inputs:
                    raise invalid(
                        f"input tensor alias not found in signature: {key}. "
                        f"Inputs expected to be in the set {{{','.join(signature.inputs)}}}."
                    )
            for key in request.output_filter:
                if key not in signature.outputs:
                    raise invalid(f"output tensor alias not found in signature: {key}")
            pieces = to_pieces(request.inputs, signature, self._core.limits)
            answers = await self._core.batcher.run(signature, pieces)
            if log := self._core.log:
                user = dict(context.invocation_metadata()).get(schema.USER_HEADER.lower())
                model, size = request.model_spec.name, request.ByteSize()
                log.record(AnsweredRequest(model, loaded.number, name, user, pieces, answers, size))
            response = predict_pb2.PredictResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = loaded.number
            response.model_spec.signature_name = name
            await fill(response, answers, list(request.output_filter) or signature.outputs)
            return response

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        async with _errors_as_statuses(self._core, request.model_spec.name, context):
            if list(request.metadata_field) not in ([], ["signature_def"]):
                raise invalid(f"Metadata field {list(request.metadata_field)} is not supported; only signature_def is")
            return self._core.metadata(*_model_version_label(request.model_spec))

    async def Classify(self, request: Any, context: Any) -> Any:
        async with _errors_as_statuses(self._core, request.model_spec.name, context):
            self._core.find(*_model_version_label(request.model_spec))
            raise wrong_method_error("classify")

    async def Regress(self, request: Any, context: Any) -> Any:
        async with _errors_as_statuses(self._core, request.model_spec.name, context):
            self._core.find(*_model_version_label(request.model_spec))
            raise wrong_method_error("regress")


class _Model(model_service_pb2_grpc.ModelServiceServicer):  # type: ignore[misc]
    def __init__(self, core: Core) -> None:
        self._core = core

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        async with _errors_as_statuses(self._core, request.model_spec.name, context):
            return self._core.status(*_model_version_label(request.model_spec))


@asynccontextmanager
async def _errors_as_statuses(core: Core, model: str, context: Any) -> AsyncIterator[None]:
    """Turns errors into gRPC statuses and counts the request."""
    if core.stopping:
        await context.abort(grpc.StatusCode.UNAVAILABLE, "The server is stopping; ask another")
    try:
        with core.counted(model, "GRPC"):
            yield
    except RequestError as error:
        await context.abort(_CODES[error.code.number], error.message)
    except Exception as error:
        log_failure("a gRPC request", error)
        await context.abort(grpc.StatusCode.INTERNAL, f"Internal failure: {type(error).__name__}")


def _model_version_label(spec: Any) -> tuple[str, int | None, str]:
    if not spec.name:
        raise invalid("Missing ModelSpec")
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label
