"""TF Serving's PredictionService and ModelService, on grpc.aio."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from tensorflow_serving.apis import (
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tfrec.serving.local.model_server import Core
from tfrec.serving.local.rest_routes import wrong_method_error
from tfrec.serving.local.status_codes import Code, RequestError, invalid
from tfrec.serving.local.tensor_protos import to_array, to_proto

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_log = logging.getLogger("tfrec.serving")


def add_services(server: Any, core: Core) -> None:
    """Adds both services to a `grpc.aio` server."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(core), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_Model(core), server)


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
            inputs = {key: to_array(key, proto, signature.inputs[key]) for key, proto in request.inputs.items()}
            outputs = await self._core.batcher.run(signature, inputs)
            response = predict_pb2.PredictResponse()
            response.model_spec.name = request.model_spec.name
            response.model_spec.version.value = loaded.number
            response.model_spec.signature_name = name
            for key in request.output_filter or outputs:
                response.outputs[key].CopyFrom(to_proto(outputs[key]))
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
    try:
        with core.counted(model, "GRPC"):
            yield
    except RequestError as error:
        await context.abort(_CODES[error.code.number], error.message)
    except Exception as error:
        _log.exception("a request to %s failed", model)
        await context.abort(grpc.StatusCode.INTERNAL, f"Internal failure: {type(error).__name__}")


def _model_version_label(spec: Any) -> tuple[str, int | None, str]:
    if not spec.name:
        raise invalid("Missing ModelSpec")
    return spec.name, spec.version.value if spec.HasField("version") else None, spec.version_label
