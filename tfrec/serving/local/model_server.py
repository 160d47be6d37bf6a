"""The models of a server and what REST and gRPC requests need from them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

from google.protobuf import any_pb2  # type: ignore[import-untyped]
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2

from tfrec.serving.local.batching import Batcher
from tfrec.serving.local.json_worker import JsonWorker
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.loaded_version import LoadedVersion
from tfrec.serving.local.prometheus_metrics import Metrics
from tfrec.serving.local.request_log import RequestLog
from tfrec.serving.local.status_codes import Code, RequestError
from tfrec.serving.local.version_manager import Versions


class Core:
    """The state that REST routes and gRPC services share.

    Args:
        models: Versions of each model, by name.
        limits: Limits of requests.
    """

    def __init__(self, models: Mapping[str, Versions], limits: Limits) -> None:
        self.models, self.limits = models, limits
        self.batcher, self.json, self.metrics = Batcher(limits), JsonWorker(limits), Metrics()
        self.log: RequestLog | None = None
        """Log of the requests, where there is one."""
        self.in_flight = 0
        """Requests that `counted` has seen begin and not end."""
        self.stopping = False
        """Whether gRPC calls are turned away. REST connections are told by a header instead."""

    def close(self) -> None:
        """Ends threads and processes, and drops the models."""
        self.json.close()
        self.batcher.close()
        if self.log:
            self.log.close()
        for model in self.models.values():
            model.close()

    def metrics_text(self) -> bytes:
        """The metrics in the Prometheus text format."""
        self.metrics.waiting.set(self.batcher.waiting)
        self.metrics.calls.set(self.batcher.calls)
        if self.log:
            self.metrics.log_lines.labels("written").set(self.log.written)
            self.metrics.log_lines.labels("dropped").set(self.log.dropped)
        return self.metrics.text()

    def find(self, model: str, version: int | None, label: str) -> LoadedVersion:
        """The version that answers a request; raises NOT_FOUND for unknown models and versions."""
        if model not in self.models:
            request = f"Latest({model})" if version is None else f"Specific({model}, {version})"
            raise RequestError(Code.NOT_FOUND, f"Servable not found for request: {request}")
        return self.models[model].find(version, label)

    def status(self, model: str, version: int | None, label: str = "") -> Any:
        """A GetModelStatusResponse with the state of one version, or of all versions seen so far."""
        if label:
            version = self.find(model, None, label).number
        states = self.models[model].states if model in self.models else {}
        shown = {number: s for number, s in states.items() if version is None or number == version}
        if not shown:
            subject = f"version {version} of model" if version is not None else "any versions of model"
            raise RequestError(Code.NOT_FOUND, f"Could not find {subject} {model}")
        response = get_model_status_pb2.GetModelStatusResponse()
        for number, state in sorted(shown.items(), reverse=True):
            entry = response.model_version_status.add(version=number, state=state.state)
            entry.status.error_code = Code.UNKNOWN.number if state.error else Code.OK.number
            entry.status.error_message = state.error
        return response

    def metadata(self, model: str, version: int | None, label: str) -> Any:
        """A GetModelMetadataResponse with the signature definitions."""
        loaded = self.find(model, version, label)
        response = get_model_metadata_pb2.GetModelMetadataResponse()
        response.model_spec.name = model
        response.model_spec.version.value = loaded.number
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in loaded.definitions.items():
            signatures.signature_def[name].CopyFrom(definition)
        packed = any_pb2.Any()
        packed.Pack(signatures)
        response.metadata["signature_def"].CopyFrom(packed)
        return response

    @contextmanager
    def counted(self, model: str, entrypoint: str) -> Any:
        """Counts a request, with the status that the body's exception stands for."""
        started, status = time.perf_counter(), "OK"
        self.in_flight += 1
        try:
            yield
        except RequestError as error:
            status = error.code.name
            raise
        except asyncio.CancelledError:  # the client has hung up
            status = Code.CANCELLED.name
            raise
        except BaseException:
            status = Code.INTERNAL.name
            raise
        finally:
            self.in_flight -= 1
            known = model if model in self.models else ""
            self.metrics.record(known, status, entrypoint, time.perf_counter() - started)
