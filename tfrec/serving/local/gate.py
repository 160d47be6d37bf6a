"""Turns away requests that may not be answered, before anything of them is read."""

from __future__ import annotations

from typing import Any, Final

import grpc

from tfrec.serving.local.access import is_loopback, is_own_name
from tfrec.serving.local.options import ServerOptions
from tfrec.serving.local.status_codes import Code, RequestError

_NO_TOKEN: Final = "Expected a token that the server knows: Authorization: Bearer TOKEN"


class Gate(grpc.aio.ServerInterceptor):
    """Asks for a token over REST and gRPC, and on loopback for a Host that is this machine.

    Only REST is asked for the Host: a browser cannot be made to speak gRPC.

    Args:
        options: Of the server.
    """

    def __init__(self, options: ServerOptions) -> None:
        self._access, self._names = options.access, (options.host, *options.allowed_hosts)
        self._checks_host = is_loopback(options.host) or bool(options.allowed_hosts)
        self._refusal = grpc.unary_unary_rpc_method_handler(_refuse)

    def check(self, host: str | None, authorization: str) -> None:
        """Lets a REST request pass or raises.

        Args:
            host: Its Host header; None if it has none, as no browser sends it.
            authorization: Its Authorization header, or "".

        Raises:
            RequestError: PERMISSION_DENIED or UNAUTHENTICATED.
        """
        if self._checks_host and host is not None and not is_own_name(host, self._names):
            name = ascii(host[:100])
            raise RequestError(
                Code.PERMISSION_DENIED,
                f"Expected this machine as the Host, received {name}. A proxy may send another: --allow-host names it.",
            )
        if not self._access.allows(authorization):
            raise RequestError(Code.UNAUTHENTICATED, _NO_TOKEN)

    async def intercept_service(self, continuation: Any, call: Any) -> Any:
        """Lets a gRPC call pass or refuses it."""
        authorization = dict(call.invocation_metadata).get("authorization", "")
        return await continuation(call) if self._access.allows(authorization) else self._refusal


async def _refuse(_: Any, context: Any) -> None:
    await context.abort(grpc.StatusCode.UNAUTHENTICATED, _NO_TOKEN)
