"""TensorFlow's canonical error codes, with the HTTP statuses of TF Serving."""

from __future__ import annotations

from enum import Enum


class Code(Enum):
    """An error code: its number in gRPC, and its HTTP status in TF Serving."""

    OK = (0, 200)
    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    PERMISSION_DENIED = (7, 403)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)
    UNAUTHENTICATED = (16, 401)

    @property
    def number(self) -> int:
        """Number of the code in gRPC."""
        return self.value[0]

    @property
    def http(self) -> int:
        """HTTP status of the code in TF Serving."""
        return self.value[1]


class RequestError(Exception):
    """An error to answer a request with, as a gRPC status or as JSON.

    Args:
        code: The error code.
        message: What is wrong with the request.
        http: HTTP status; by default that of the code.

    Example:
        >>> RequestError(Code.NOT_FOUND, "Servable not found for request: Latest(x)").code.http
        404
    """

    def __init__(self, code: Code, message: str, http: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.http = code, message, http or code.http

    def __reduce__(self) -> tuple[type[RequestError], tuple[Code, str, int]]:
        """Pickles it with all its arguments; an exception pickles its message alone."""
        return RequestError, (self.code, self.message, self.http)


def invalid(message: str) -> RequestError:
    """A `RequestError` with the code INVALID_ARGUMENT."""
    return RequestError(Code.INVALID_ARGUMENT, message)
