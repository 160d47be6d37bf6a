"""The HTTP server: connections with time limits and a cap, and a stop that answers whatever is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from tfrec.serving.local.limits import Limits
from tfrec.serving.local.rate_limited_log import LOGGER

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_REFUSAL_SECONDS: Final = 1.0


class HttpServer(web.Server):
    """A server of one handler.

    Args:
        handler: Answers a request. It is cancelled when the client hangs up.
        limits: Limits of connections and bodies.
    """

    def __init__(self, handler: Handler, limits: Limits) -> None:
        super().__init__(self._handle, request_factory=self._new_request, handler_cancellation=True)
        self.limits = limits
        self._handler = handler
        self._listener: asyncio.Server | None = None
        self._context: ssl.SSLContext | None = None
        self._stopping = False

    def __call__(self) -> Any:
        """A protocol for a new connection."""
        if len(self.connections) < self.limits.max_connections:
            return _Connection(self)
        LOGGER.warning("a connection beyond the limit of %d was refused", self.limits.max_connections)
        return _Refused()

    async def listen(self, host: str, port: int, context: ssl.SSLContext | None = None) -> int:
        """Opens a port, with TLS if there is a context, and returns its number; raises OSError if it is in use."""
        loop, self._context = asyncio.get_running_loop(), context
        self._listener = await loop.create_server(self, host, port, backlog=1024, **self._tls())
        return int(self._listener.sockets[0].getsockname()[1])

    async def stop(self, quiet_seconds: float, grace_seconds: float) -> None:
        """Takes no more connections, answers what is in flight, and closes the connections.

        Args:
            quiet_seconds: How long a connection without a request is kept: a request may be on its way.
            grace_seconds: How long all may take.
        """
        self._stopping = True
        await self._stop_listening()
        loop = asyncio.get_running_loop()
        quiet, end = loop.time() + quiet_seconds, loop.time() + grace_seconds
        while self.connections and loop.time() < end:
            if any(connection.active for connection in self.connections):
                quiet = loop.time() + quiet_seconds
            elif loop.time() > quiet:
                break
            await asyncio.sleep(0.005)
        await self.shutdown(0.1)

    async def _stop_listening(self) -> None:
        """Closes the port, after accepting the connections that wait in its queue: the system would reset them."""
        if self._listener is None:
            return
        loop, waiting = asyncio.get_running_loop(), []
        for listening in self._listener.sockets:
            loop.remove_reader(listening.fileno())
        for _ in range(3):  # those being accepted become connections
            await asyncio.sleep(0)
        for listening in self._listener.sockets:
            with listening.dup() as queue, contextlib.suppress(OSError):  # there are no more
                while True:
                    waiting.append(queue.accept()[0])
        self._listener.close()
        await asyncio.gather(*map(self._connect, waiting))

    async def _connect(self, accepted: socket.socket) -> None:
        accepted.setblocking(False)
        with contextlib.suppress(OSError):  # the client has hung up
            await asyncio.get_running_loop().connect_accepted_socket(self, accepted, **self._tls())

    def _tls(self) -> dict[str, Any]:
        if self._context is None:
            return {}
        return {"ssl": self._context, "ssl_handshake_timeout": self.limits.header_seconds}

    def _new_request(self, *parts: Any) -> web.BaseRequest:
        return web.BaseRequest(*parts, asyncio.get_running_loop(), client_max_size=self.limits.max_body_bytes)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        connection: _Connection = request.protocol
        connection.request_began()
        response = await self._handler(request)
        if self._stopping:
            response.force_close()  # and the connection is active until it is closed
        else:
            connection.request_ended()
        return response


class _Connection(web.RequestHandler):
    """A connection that is closed if the headers of a request take too long; aiohttp only limits idle ones."""

    def __init__(self, server: HttpServer) -> None:
        options = {"keepalive_timeout": server.limits.idle_seconds, "access_log": None, "logger": LOGGER}
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._header_seconds = server.limits.header_seconds
        self._header_timer: asyncio.TimerHandle | None = None
        self._answering = False

    @property
    def active(self) -> bool:
        """Whether a request is coming in, is being worked on, or is being answered."""
        unsent = self.transport is not None and self.transport.get_write_buffer_size() > 0
        return self._answering or self._header_timer is not None or unsent

    def data_received(self, data: bytes) -> None:
        """Takes bytes from the client; the first ones of a request start the clock."""
        if self._header_timer is None and not self._answering:
            loop = asyncio.get_running_loop()
            self._header_timer = loop.call_later(self._header_seconds, self.force_close)
        super().data_received(data)

    def request_began(self) -> None:
        """The headers are complete."""
        self._answering = True
        self._stop_clock()

    def request_ended(self) -> None:
        """The answer is known."""
        self._answering = False

    def connection_lost(self, exc: BaseException | None) -> None:
        """Either side has closed the connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def log_exception(self, *arguments: Any, **more: Any) -> None:
        """What is no HTTP is the client's fault: it gets a line, not a traceback."""
        if isinstance(error := more.get("exc_info"), HttpProcessingError):
            LOGGER.warning("a request that is no HTTP was refused: %s", error.message.splitlines()[0][:200])
        else:
            super().log_exception(*arguments, **more)

    def _stop_clock(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None


class _Refused(asyncio.Protocol):
    """A connection beyond the cap: it is answered 503 when it asks something, and closed soon in any case."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._timer = asyncio.get_running_loop().call_later(_REFUSAL_SECONDS, transport.close)

    def data_received(self, data: bytes) -> None:
        body = json.dumps({"error": "Too many connections; try again later"}).encode()
        head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        self._transport.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        self._transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._timer.cancel()
