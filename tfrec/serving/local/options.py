"""How a server is started."""

from __future__ import annotations

from dataclasses import dataclass, field

from tfrec.errors import InvalidInput
from tfrec.serving.local.access import Access
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.request_log_options import RequestLogOptions


@dataclass(frozen=True)
class ServerOptions:
    """Address, timing and limits of a server.

    Args:
        host: Address to listen on. Beyond loopback, TLS and tokens or client certificates are needed (`access`).
        rest_port: Port of the REST API; 0 for any free port, None for no REST.
        grpc_port: Port of the gRPC services; 0 for any free port, None for no gRPC.
        poll_seconds: Seconds between two looks for new versions.
        grace_seconds: Seconds that requests in flight get to finish when the server stops.
        threads: Threads that TensorFlow uses for one op; 0 for one for each core.
        limits: Limits of requests and batches.
        access: Who may ask, and TLS.
        allowed_hosts: Names beside those of this machine that a REST request may have as its Host, e.g. the one that a
            proxy is asked by. A server beyond loopback checks the Host only if there are some.
        request_log: What of the requests is logged; None, the default, for nothing.

    Raises:
        InvalidInput: A port is not one, a time is negative or, for `poll_seconds`, 0, or anyone could ask from beyond
            this machine.
    """

    host: str = "127.0.0.1"
    rest_port: int | None = 8501
    grpc_port: int | None = 8500
    poll_seconds: float = 2.0
    grace_seconds: float = 10.0
    threads: int = 0
    limits: Limits = field(default_factory=Limits)
    access: Access = field(default_factory=Access)
    allowed_hosts: tuple[str, ...] = ()
    request_log: RequestLogOptions | None = None

    def __post_init__(self) -> None:
        self.access.refuse_open(self.host)
        for name, port in (("rest_port", self.rest_port), ("grpc_port", self.grpc_port)):
            if port is not None and not 0 <= port < 2**16:
                raise InvalidInput(f"Expected {name} in 0 to 65535, received {port}.")
        if self.poll_seconds <= 0 or self.grace_seconds < 0:
            raise InvalidInput(
                f"Expected poll_seconds above 0 and grace_seconds of at least 0, received {self.poll_seconds} and "
                f"{self.grace_seconds}."
            )
