"""A server of a model that is made of Python: it starts at once, and shows what it was asked."""

import asyncio
import json
import threading
from types import SimpleNamespace

import numpy as np

from tfrec.serving.local.gate import Gate
from tfrec.serving.local.http_server import HttpServer
from tfrec.serving.local.inputs import Declared, Input, check_inputs
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.model_server import Core
from tfrec.serving.local.options import ServerOptions
from tfrec.serving.local.rest_routes import rest_handler


class Doubling:
    """A signature that doubles the numbers x; one that gets a 0 waits for `gate`."""

    batched = True
    inputs = {"x": Input(np.dtype("int64"), (None,))}

    def __init__(self):
        self.gate, self.sizes = threading.Event(), []

    def check(self, inputs):
        return check_inputs(inputs, self.inputs, self.batched)

    def __call__(self, inputs):
        self.sizes.append(len(inputs["x"]))
        if 0 in inputs["x"]:
            self.gate.wait(30)
        return {"y": 2 * inputs["x"]}


def core_of(signature, limits):
    """The core of a server with the model m, whose one signature this is."""
    version = SimpleNamespace(
        declared={"serving_default": Declared(signature.inputs, signature.batched)}, signature=lambda name: signature
    )
    model = SimpleNamespace(find=lambda version_number, label: version, states={}, close=lambda: None)
    return Core({"m": model}, limits)


def with_server(scenario, options=None, **limits):
    """What `scenario(running)` returns; `running` has `server`, `port`, `core` and `signature`."""
    options = options or ServerOptions()

    async def run():
        signature, chosen = Doubling(), Limits(**limits)
        core = core_of(signature, chosen)
        server = HttpServer(rest_handler(core, Gate(options)), chosen)
        running = SimpleNamespace(server=server, core=core, signature=signature)
        running.port = await server.listen("127.0.0.1", 0, options.access.ssl_context())
        try:
            return await asyncio.wait_for(scenario(running), 30)
        finally:
            signature.gate.set()
            await server.stop(0.05, 1)
            core.close()

    return asyncio.run(run())


def request(numbers, *headers):
    """The bytes of a request."""
    body = json.dumps({"inputs": numbers}).encode()
    lines = ["POST /v1/models/m:predict HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def answer(reader):
    """Status, headers in lower case and parsed body of the next answer; None if the connection was closed instead."""
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower().splitlines()
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return SimpleNamespace(status=int(head[0].split()[1]), headers=headers, body=json.loads(body) if body else None)
