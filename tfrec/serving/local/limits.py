"""The limits of a server."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tfrec.errors import InvalidInput


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Args:
        max_batch_rows: Most rows in one call of the model. A request with more rows runs in pieces of a quarter of
            that, and requests that come meanwhile run between them.
        max_request_rows: Most rows of a request; larger ones are refused (INVALID_ARGUMENT).
        max_waiting: Most requests that wait or run; further ones are refused (UNAVAILABLE).
        max_body_bytes: Largest REST body or gRPC message.
        workers: Calls of models that run at the same time.
        max_connections: Most REST connections, and most gRPC calls; further ones are refused.
        header_seconds: Seconds that the headers of a REST request, or a TLS handshake, may take.
        body_seconds: Seconds that the body of a REST request may take.
        idle_seconds: Seconds after which a connection without a request is closed. Longer than the proxies' in front,
            so that it is them who close.

    Raises:
        InvalidInput: A number is below 1, or a time is not above 0.
    """

    max_batch_rows: int = 64
    max_request_rows: int = 1024
    max_waiting: int = 1000
    max_body_bytes: int = 16 * 2**20
    workers: int = 1
    max_connections: int = 1000
    header_seconds: float = 10.0
    body_seconds: float = 60.0
    idle_seconds: float = 75.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name.endswith("_seconds"):
                if not 0 < value < float("inf"):
                    raise InvalidInput(f"Expected {name} above 0, received {value}.")
            elif value < 1:
                raise InvalidInput(f"Expected {name} of at least 1, received {value}.")

    @property
    def piece_rows(self) -> int:
        """Rows of a piece of a request that is too large for one call."""
        return max(self.max_batch_rows // 4, 1)
