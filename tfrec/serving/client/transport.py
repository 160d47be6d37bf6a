"""The client's transports: REST with the standard library, and gRPC."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol

import numpy as np

from tfrec import schema
from tfrec.errors import InvalidInput, TfrecError, Unavailable
from tfrec.serving.client.credentials import Credentials

Arrays = dict[str, "np.ndarray[Any, Any]"]

_OVERLOADED: Final = frozenset({429, 503})


class ServerError(TfrecError):
    """The server answered with an error. `status` is the HTTP status, or the name of the gRPC code."""

    def __init__(self, status: int | str, message: str) -> None:
        super().__init__(f"The server answered {status}: {message}")
        self.status = status


class TryAgain(Exception):
    """A failure after which the call may be retried; `cause` is the error."""

    def __init__(self, cause: Exception) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Transport(Protocol):
    """A way to reach a server.

    `left` is the number of seconds until the deadline; a call that takes longer raises `Unavailable`.
    """

    url: str

    def predict(self, inputs: Mapping[str, Any], signature: str, left: float, user: str | None = None) -> Arrays:
        """Calls a signature."""

    def signatures(self, left: float) -> dict[str, dict[str, list[int]]]:
        """Shapes by signature and input name, with −1 for any size."""

    def close(self) -> None:
        """Closes connections."""


class Rest:
    """TF Serving's REST routes, with a persistent connection for each thread."""

    def __init__(
        self, address: str, model: str, version: int | None, label: str | None, credentials: Credentials
    ) -> None:
        parsed = urllib.parse.urlsplit(address)
        if parsed.scheme not in ("http", "https") or not parsed.hostname:
            raise InvalidInput(f"Expected an address like http://host:8501 or host:8500, received {address!r}.")
        self._host, self._port = parsed.hostname, parsed.port
        self._kind: Callable[..., http.client.HTTPConnection] = http.client.HTTPConnection
        if credentials.secure:
            self._kind = partial(http.client.HTTPSConnection, context=credentials.ssl_context())
        self._headers = {"Content-Type": "application/json", **credentials.headers}
        suffix = f"/versions/{version}" if version is not None else ""
        suffix = f"/labels/{urllib.parse.quote(label, safe='')}" if label is not None else suffix
        self._path = f"{parsed.path.rstrip('/')}/v1/models/{urllib.parse.quote(model, safe='')}{suffix}"
        self.url = f"{parsed.scheme}://{parsed.netloc}{self._path}"
        self._local = threading.local()

    def predict(self, inputs: Mapping[str, Any], signature: str, left: float, user: str | None = None) -> Arrays:
        """Calls a signature. A single output is named "output", because the server sends no name for it."""
        plain = {name: _as_array(name, value).tolist() for name, value in inputs.items()}
        body = json.dumps({"signature_name": signature, "inputs": plain}, default=_json_string).encode()
        answer = self._request("POST", f"{self._path}:predict", body, left, _user_header(user))["outputs"]
        named = answer if isinstance(answer, dict) else {"output": answer}
        return {name: _array(value) for name, value in named.items()}

    def signatures(self, left: float) -> dict[str, dict[str, list[int]]]:
        """Shapes of all inputs, from the metadata route."""
        answer = self._request("GET", f"{self._path}/metadata", None, left)
        definitions = answer["metadata"]["signature_def"]["signature_def"]
        return {
            name: {k: [int(dim["size"]) for dim in i["tensor_shape"]["dim"]] for k, i in about["inputs"].items()}
            for name, about in definitions.items()
            if not name.startswith("__")
        }

    def close(self) -> None:
        """Closes this thread's connection."""
        if (connection := getattr(self._local, "connection", None)) is not None:
            connection.close()
            self._local.connection = None

    def _request(
        self, method: str, path: str, body: bytes | None, left: float, more: Mapping[str, str] | None = None
    ) -> Any:
        connection = getattr(self._local, "connection", None)
        if connection is None:
            connection = self._local.connection = self._kind(self._host, self._port, timeout=left)
        connection.timeout = left
        if connection.sock is not None:
            connection.sock.settimeout(left)
        try:
            connection.request(method, path, body, {**self._headers, **(more or {})})
            response = connection.getresponse()
            status, data = response.status, response.read()
        except TimeoutError:
            self.close()
            raise Unavailable(f"No answer from {self.url} within {left:.3g} s.") from None
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise Unavailable(
                f"The certificate of {self.url} is not trusted: {error.verify_message}. Pass ca=FILE of who signed it."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise TryAgain(error) from None
        if status == 200:
            return json.loads(data)
        problem = ServerError(status, _message(data))
        raise TryAgain(problem) if status in _OVERLOADED else problem


class Grpc:
    """TF Serving's PredictionService.

    Values are sent in the dtypes that the signature declares, which the server is asked for once.

    Raises:
        Unavailable: the extra `serve` is not installed.
    """

    def __init__(
        self, address: str, model: str, version: int | None, label: str | None, credentials: Credentials
    ) -> None:
        try:
            import grpc
            from tensorflow_serving.apis import prediction_service_pb2_grpc
        except ImportError:
            raise Unavailable("gRPC needs the extra `serve`: pip install 'tfrec-bert[serve]'. Or use REST.") from None
        self.url, self._target = address, (model, version, label)
        # gRPC's default back-off of a second and more would exceed short deadlines.
        options = [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.max_reconnect_backoff_ms", 1000)]
        options.append(("grpc.max_receive_message_length", -1))  # no limit
        if credentials.secure:
            target = address.partition("://")[2]
            self._channel = grpc.secure_channel(target, credentials.grpc_credentials(), options=options)
        else:
            self._channel = grpc.insecure_channel(address, options=options)
        self._headers = list(credentials.headers.items())
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self._definitions: Any = None

    def predict(self, inputs: Mapping[str, Any], signature: str, left: float, user: str | None = None) -> Arrays:
        """Calls Predict."""
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        if self._definitions is None:
            self._definitions = self._metadata(left)
        declared = self._definitions[signature].inputs if signature in self._definitions else {}
        request = self._spec(predict_pb2.PredictRequest(), signature)
        for name, value in inputs.items():
            dtype = tf.dtypes.as_dtype(declared[name].dtype) if name in declared else None
            request.inputs[name].CopyFrom(tf.make_tensor_proto(_typed(name, value, dtype)))
        response = self._call("Predict", request, left, _user_header(user))
        return {name: _decoded(tf.make_ndarray(proto)) for name, proto in response.outputs.items()}

    def signatures(self, left: float) -> dict[str, dict[str, list[int]]]:
        """Shapes of all inputs, from GetModelMetadata."""
        return {
            name: {key: [dim.size for dim in info.tensor_shape.dim] for key, info in about.inputs.items()}
            for name, about in self._metadata(left).items()
            if not name.startswith("__")
        }

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _spec(self, request: Any, signature: str = "") -> Any:
        model, version, label = self._target
        request.model_spec.name, request.model_spec.signature_name = model, signature
        if version is not None:
            request.model_spec.version.value = version
        if label is not None:
            request.model_spec.version_label = label
        return request

    def _metadata(self, left: float) -> Any:
        from tensorflow_serving.apis import get_model_metadata_pb2 as metadata

        request = self._spec(metadata.GetModelMetadataRequest(metadata_field=["signature_def"]))
        definitions = metadata.SignatureDefMap()
        self._call("GetModelMetadata", request, left).metadata["signature_def"].Unpack(definitions)
        return definitions.signature_def

    def _call(self, method: str, request: Any, left: float, more: Mapping[str, str] | None = None) -> Any:
        import grpc

        headers = [*self._headers, *((name.lower(), value) for name, value in (more or {}).items())]
        try:
            return getattr(self._stub, method)(request, timeout=left, metadata=headers)
        except grpc.RpcError as error:
            code, details = error.code(), error.details() or ""
        if code is grpc.StatusCode.DEADLINE_EXCEEDED:
            raise Unavailable(f"No answer from {self.url} within {left:.3g} s.")
        problem = ServerError(code.name, details)
        if code is grpc.StatusCode.UNAVAILABLE and "connect" in details.lower():
            raise TryAgain(ConnectionError(details))
        overloaded = code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)
        raise TryAgain(problem) if overloaded else problem


def _user_header(user: str | None) -> dict[str, str]:
    """The header that names the user: headers are ASCII, so other characters are percent-encoded."""
    return {} if user is None else {schema.USER_HEADER: urllib.parse.quote(user)}


def _as_array(name: str, value: Any) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(value)
    except ValueError:
        raise InvalidInput(f"Expected rows of the same length as the input {name!r}; pad them.") from None


def _json_string(value: Any) -> str | dict[str, str]:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    raise InvalidInput(f"Expected numbers and strings as inputs, received a {type(value).__name__}.")


def _typed(name: str, value: Any, dtype: Any) -> np.ndarray[Any, Any]:
    """The values in the dtype that the signature declares; unchanged if it is None."""
    array = _as_array(name, value)
    if array.dtype.kind in "OUS":
        flat = [v.encode() if isinstance(v, str) else v for v in array.ravel().tolist()]
        return np.array(flat, object).reshape(array.shape)
    if dtype is None or (dtype.name == "string" and array.size):
        return array
    try:
        if not array.size:  # NumPy gives an empty list the type float64
            return array.astype(dtype.as_numpy_dtype)
        return array.astype(dtype.as_numpy_dtype, casting="same_kind")
    except TypeError:
        raise InvalidInput(f"Expected {dtype.name} as the input {name!r}, received {array.dtype}.") from None


def _decoded(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if array.dtype.kind not in "OS":
        return array
    return np.array([v.decode("utf-8", "replace") for v in array.ravel().tolist()], object).reshape(array.shape)


def _array(value: Any) -> np.ndarray[Any, Any]:
    array = np.asarray(value)
    return array.astype(object) if array.dtype.kind == "U" else array


def _message(data: bytes) -> str:
    try:
        return str(json.loads(data)["error"])
    except (ValueError, KeyError, TypeError):
        return data.decode("utf-8", "replace")[:500]
