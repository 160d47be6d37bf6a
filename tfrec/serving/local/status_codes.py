"""TensorFlow's canonical error codes, as TF Serving answers with them."""

from __future__ import annotations

from enum import Enum


class Code(Enum):
    """(number of the code in gRPC, HTTP status that TF Serving gives it)."""

    OK = (0, 200)
    CANCELLED = (1, 499)
    UNKNOWN = (2, 500)
    INVALID_ARGUMENT = (3, 400)
    DEADLINE_EXCEEDED = (4, 504)
    NOT_FOUND = (5, 404)
    RESOURCE_EXHAUSTED = (8, 429)
    FAILED_PRECONDITION = (9, 400)
    UNIMPLEMENTED = (12, 501)
    INTERNAL = (13, 500)
    UNAVAILABLE = (14, 503)

    @property
    def number(self) -> int:
        """What gRPC calls it."""
        return self.value[0]

    @property
    def http(self) -> int:
        """The HTTP status."""
        return self.value[1]


class RequestError(Exception):
    """A request that cannot be answered, and why; it becomes a gRPC status or a JSON error of status `http`, which is
    that of the code unless it is given.

    Example:
        >>> RequestError(Code.NOT_FOUND, "Servable not found for request: Latest(x)").code.http
        404
    """

    def __init__(self, code: Code, message: str, http: int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.http = code, message, http or code.http


def invalid(message: str) -> RequestError:
    """An INVALID_ARGUMENT error."""
    return RequestError(Code.INVALID_ARGUMENT, message)
