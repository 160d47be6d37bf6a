"""The models of a server and the answers to requests, whichever way they came in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

from google.protobuf import any_pb2  # type: ignore[import-untyped]
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tfrec.serving.local.batching import Batcher
from tfrec.serving.local.loaded_version import LoadedVersion
from tfrec.serving.local.prometheus_metrics import Metrics
from tfrec.serving.local.status_codes import Code, RequestError
from tfrec.serving.local.version_manager import Versions


class Core:
    """What REST and gRPC share.

    Args:
        models: By name.
        batcher: Runs the requests.
        metrics: Counts them.
    """

    def __init__(self, models: Mapping[str, Versions], batcher: Batcher, metrics: Metrics) -> None:
        self.models, self.batcher, self.metrics = models, batcher, metrics

    def find(self, model: str, version: int | None, label: str) -> LoadedVersion:
        """The version that answers; NOT_FOUND for other models."""
        if model not in self.models:
            asked = f"Latest({model})" if version is None else f"Specific({model}, {version})"
            raise RequestError(Code.NOT_FOUND, f"Servable not found for request: {asked}")
        return self.models[model].find(version, label)

    def status(self, model: str, version: int | None, label: str = "") -> Any:
        """A GetModelStatusResponse: the state of the version asked for, or of all that were seen."""
        if label:
            version = self.find(model, None, label).number
        states = self.models[model].states if model in self.models else {}
        shown = {number: s for number, s in states.items() if version is None or number == version}
        if not shown:
            asked = f"version {version} of model" if version is not None else "any versions of model"
            raise RequestError(Code.NOT_FOUND, f"Could not find {asked} {model}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, state in sorted(shown.items(), reverse=True):
            entry = response.model_version_status.add(version=number, state=state.state)
            entry.status.error_code = Code.UNKNOWN.number if state.error else Code.OK.number
            entry.status.error_message = state.error
        return response

    def metadata(self, model: str, version: int | None, label: str) -> Any:
        """A GetModelMetadataResponse with the signature definitions."""
        found = self.find(model, version, label)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = model
        response.model_spec.version.value = found.number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in found.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    @contextmanager
    def counted(self, model: str, entrypoint: str) -> Any:
        """Counts what happens inside, by the error that leaves it."""
        started, status = time.perf_counter(), "OK"
        try:
            yield
        except RequestError as error:
            status = error.code.name
            raise
        except asyncio.CancelledError:  # the client hung up
            status = Code.CANCELLED.name
            raise
        except BaseException:
            status = Code.INTERNAL.name
            raise
        finally:
            known = model if model in self.models else ""
            self.metrics.record(known, status, entrypoint, time.perf_counter() - started)
