"""The model server: starts, watches for new versions and stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Self

import grpc
from aiohttp import web

from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving.local.batching import Batcher, Limits
from tfrec.serving.local.grpc_services import add_services
from tfrec.serving.local.loaded_version import LoadedVersion
from tfrec.serving.local.model_server import Core
from tfrec.serving.local.prometheus_metrics import Metrics
from tfrec.serving.local.rest_routes import rest_app
from tfrec.serving.local.version_manager import Versions, read_version_policy

_log = logging.getLogger("tfrec.serving")


@dataclass(frozen=True)
class ServerOptions:
    """Address, timing and limits of a server.

    Args:
        host: Address to listen on. There is no authentication, so put a proxy in front of any other than loopback.
        rest_port: Port of the REST API; 0 for any free port, None for no REST.
        grpc_port: Port of the gRPC services; 0 for any free port, None for no gRPC.
        poll_seconds: Seconds between two looks for new versions.
        grace_seconds: Seconds that requests in flight get to finish when the server stops.
        threads: Threads that TensorFlow uses for one op; 0 for one for each core.
        limits: Limits of requests and batches.

    Raises:
        InvalidInput: A port is not one, or a time is negative or, for `poll_seconds`, 0.
    """

    host: str = "127.0.0.1"
    rest_port: int | None = 8501
    grpc_port: int | None = 8500
    poll_seconds: float = 2.0
    grace_seconds: float = 10.0
    threads: int = 0
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        for name, port in (("rest_port", self.rest_port), ("grpc_port", self.grpc_port)):
            if port is not None and not 0 <= port < 2**16:
                raise InvalidInput(f"Expected {name} in 0 to 65535, received {port}.")
        if self.poll_seconds <= 0 or self.grace_seconds < 0:
            raise InvalidInput(
                f"Expected poll_seconds above 0 and grace_seconds of at least 0, received {self.poll_seconds} and "
                f"{self.grace_seconds}."
            )


class ModelServer:
    """A model server for use inside a running event loop.

    Args:
        folders: Model folders, `saved_models/NAME`.
        options: Address, timing and limits.

    Raises:
        InvalidInput: two folders have the same name, or a folder does not exist.
    """

    def __init__(self, folders: Sequence[str | Path], options: ServerOptions | None = None) -> None:
        self.options = options or ServerOptions()
        paths = [Path(folder).resolve() for folder in folders]
        for path in paths:
            read_version_policy(path)
        if len({path.name for path in paths}) != len(paths):
            raise InvalidInput(f"Expected folders of different names, received {', '.join(p.name for p in paths)}.")
        load = partial(LoadedVersion, threads=self.options.threads)
        self.models = {path.name: Versions(path, load) for path in paths}
        self.core = Core(self.models, Batcher(self.options.limits), Metrics())
        self.rest_port = self.grpc_port = 0
        self._watcher: asyncio.Task[None] | None = None
        self._runner: web.AppRunner | None = None
        self._grpc: Any = None

    async def start(self) -> None:
        """Loads the models, then opens the ports.

        Raises:
            InvalidInput: no version of a model can be loaded; the message says why.
            Unavailable: a port is in use.
        """
        for model in self.models.values():
            await model.refresh()
            if not model.loaded:
                reasons = "; ".join(f"{n}: {s.error}" for n, s in model.states.items()) or "there is none"
                raise InvalidInput(f"Expected a version that loads in {model.folder}; {reasons}")
        limits, host = self.options.limits, self.options.host
        if self.options.rest_port is not None:
            self._runner = web.AppRunner(
                rest_app(self.core, limits.max_body_bytes), access_log=None, shutdown_timeout=0.1
            )
            await self._runner.setup()
            try:
                site = web.TCPSite(self._runner, host, self.options.rest_port)
                await site.start()
            except OSError as error:
                raise Unavailable(f"Cannot listen on {host}:{self.options.rest_port}: {error.strerror}.") from None
            self.rest_port = self._runner.addresses[0][1]
        if self.options.grpc_port is not None:
            size = ("grpc.max_receive_message_length", limits.max_body_bytes)
            self._grpc = grpc.aio.server(options=[size, ("grpc.so_reuseport", 0)])
            add_services(self._grpc, self.core)
            try:
                named = f"[{host}]" if ":" in host else host
                self.grpc_port = self._grpc.add_insecure_port(f"{named}:{self.options.grpc_port}")
            except RuntimeError:
                raise Unavailable(f"Cannot listen on {host}:{self.options.grpc_port}: the port is in use.") from None
            await self._grpc.start()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Closes the ports, waits up to `grace_seconds` for requests in flight, and unloads the models."""
        if self._watcher:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        if self._runner:
            for site in list(self._runner.sites):
                await site.stop()
        stopping = [self._grpc.stop(self.options.grace_seconds)] if self._grpc else []
        await asyncio.gather(self._drain(), *stopping)
        if self._runner:
            await self._runner.cleanup()
        self.core.batcher.close()
        for model in self.models.values():
            model.close()

    async def _drain(self) -> None:
        deadline = asyncio.get_running_loop().time() + self.options.grace_seconds
        while self.core.batcher.waiting and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)  # lets the last answers be written

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self.options.poll_seconds)
            for model in self.models.values():
                before = {n: s.error for n, s in model.states.items()}
                try:
                    changed = await model.refresh()
                except Exception:
                    _log.exception("cannot look for versions of %s", model.name)
                    continue
                for number, state in model.states.items():
                    if state.error and state.error != before.get(number):
                        _log.error("%s/%d does not load, the old version stays: %s", model.name, number, state.error)
                if changed:
                    _log.warning("%s: serving %s", model.name, sorted(model.loaded))


def serve(
    folders: Sequence[str | Path],
    options: ServerOptions | None = None,
    ready: Callable[[ModelServer], None] = lambda server: None,
) -> None:
    """Serves models until SIGINT or SIGTERM, then stops gracefully.

    Args:
        folders: Model folders, `saved_models/NAME`.
        options: Address, timing and limits.
        ready: Called when the server answers requests.
    """

    async def run() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        server = ModelServer(folders, options)
        try:
            await server.start()
            ready(server)
            await stop.wait()
        finally:
            await server.stop()

    asyncio.run(run())


class LocalServer:
    """A `ModelServer` in a background thread, for tests, notebooks and benchmarks: `with LocalServer(...) as server`.

    Args:
        *folders: Model folders, `saved_models/NAME`.
        options: Address, timing and limits; by default on free ports.
    """

    def __init__(self, *folders: str | Path, options: ServerOptions | None = None) -> None:
        self._loop = asyncio.new_event_loop()
        self.server = ModelServer(folders, options or ServerOptions(rest_port=0, grpc_port=0))
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        try:
            self._run(self.server.start())
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._run(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def rest(self) -> str:
        """Address of the REST API, e.g. "http://127.0.0.1:8501"."""
        return f"http://{self.server.options.host}:{self.server.rest_port}"

    @property
    def grpc(self) -> str:
        """Address of the gRPC services, e.g. "127.0.0.1:8500"."""
        return f"{self.server.options.host}:{self.server.grpc_port}"

    def refresh(self) -> None:
        """Looks for new versions at once, without waiting for the next poll."""
        for model in self.server.models.values():
            self._run(model.refresh())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
