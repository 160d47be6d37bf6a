"""The model server: starts, watches for new versions and stops."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self

from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving.local.gate import Gate
from tfrec.serving.local.grpc_services import grpc_server, stop_grpc
from tfrec.serving.local.http_server import HttpServer
from tfrec.serving.local.loaded_version import LoadedVersion
from tfrec.serving.local.model_server import Core
from tfrec.serving.local.options import ServerOptions
from tfrec.serving.local.rate_limited_log import LOGGER, RateLimit
from tfrec.serving.local.request_log import RequestLog
from tfrec.serving.local.rest_routes import rest_handler
from tfrec.serving.local.version_manager import Versions, read_version_policy


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
        self.core = Core(self.models, self.options.limits)
        self.rest_port = self.grpc_port = 0
        self._watchers: list[asyncio.Task[None]] = []
        self._http: HttpServer | None = None
        self._grpc: Any = None
        self._log_filter = RateLimit()

    async def start(self) -> None:
        """Loads the models, then opens the ports.

        Raises:
            InvalidInput: no version of a model can be loaded; the message says why.
            Unavailable: a port is in use.
        """
        LOGGER.addFilter(self._log_filter)
        for model in self.models.values():
            await model.refresh()
            if not model.loaded:
                reasons = "; ".join(f"{n}: {s.error}" for n, s in model.states.items()) or "there is none"
                raise InvalidInput(f"Expected a version that loads in {model.folder}; {reasons}")
        if self.options.request_log:
            self.core.log = RequestLog(self.options.request_log)
        if self.options.rest_port is not None:
            await self._start_rest(self.options.host, self.options.rest_port)
        if self.options.grpc_port is not None:
            await self._start_grpc(self.options.host, self.options.grpc_port)
        self._watchers = [asyncio.create_task(self._watch(model)) for model in self.models.values()]

    async def stop(self, quiet_seconds: float = 0.5) -> None:
        """Takes no new work, answers within `grace_seconds` what is in flight, and unloads the models.

        Args:
            quiet_seconds: How long to wait, once all is answered, for what may be on its way.
        """
        for watcher in self._watchers:
            watcher.cancel()
        await asyncio.gather(*self._watchers, return_exceptions=True)
        times = quiet_seconds, self.options.grace_seconds
        rest = [self._http.stop(*times)] if self._http else []
        grpc = [stop_grpc(self._grpc, self.core, *times)] if self._grpc else []
        await asyncio.gather(*rest, *grpc)
        self.core.close()
        LOGGER.removeFilter(self._log_filter)

    async def _start_rest(self, host: str, port: int) -> None:
        self._http = HttpServer(rest_handler(self.core, Gate(self.options)), self.options.limits)
        try:
            self.rest_port = await self._http.listen(host, port, self.options.access.ssl_context())
        except OSError as error:
            raise Unavailable(f"Cannot listen on {host}:{port}: {error.strerror}.") from None

    async def _start_grpc(self, host: str, port: int) -> None:
        self._grpc = grpc_server(self.core, Gate(self.options))
        try:
            address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
            credentials = self.options.access.grpc_credentials()
            secure = partial(self._grpc.add_secure_port, server_credentials=credentials)
            self.grpc_port = (secure if credentials else self._grpc.add_insecure_port)(address)
        except RuntimeError:
            raise Unavailable(f"Cannot listen on {host}:{port}: the port is in use.") from None
        await self._grpc.start()

    async def _watch(self, model: Versions) -> None:
        while True:
            await asyncio.sleep(self.options.poll_seconds)
            before = {n: s.error for n, s in model.states.items()}
            try:
                changed = await model.refresh()
            except Exception:
                LOGGER.exception("cannot look for versions of %s", model.name)
                continue
            for number, state in model.states.items():
                if state.error and state.error != before.get(number):
                    LOGGER.error("%s/%d does not load, the old version stays: %s", model.name, number, state.error)
            if changed:
                LOGGER.warning("%s: serving %s", model.name, sorted(model.loaded))


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
        self._run(self.server.stop(quiet_seconds=0.05))  # whoever asks is in this process too
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def rest(self) -> str:
        """Address of the REST API, e.g. "http://127.0.0.1:8501"."""
        scheme = "https" if self.server.options.access.tls_cert else "http"
        return f"{scheme}://{self.server.options.host}:{self.server.rest_port}"

    @property
    def grpc(self) -> str:
        """Address of the gRPC services, e.g. "127.0.0.1:8500", or with TLS "grpcs://127.0.0.1:8500"."""
        scheme = "grpcs://" if self.server.options.access.tls_cert else ""
        return f"{scheme}{self.server.options.host}:{self.server.grpc_port}"

    def refresh(self) -> None:
        """Looks for new versions at once, without waiting for the next poll."""
        for model in self.server.models.values():
            self._run(model.refresh())

    def _run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()
