#!/usr/bin/env bash
# grpcio 1.85.3: grpc.aio.Server.stop(grace) answers CANCELLED to calls that arrive while it stops.
#
# Guess: during the grace new calls are turned away as UNAVAILABLE, which clients may safely try again, and calls in
# flight are finished.
# Seen: calls in flight are finished, but some that arrive in the moment of the stop are answered with CANCELLED, as if
# the client had given up. A client that retries UNAVAILABLE alone loses them. A handler that aborts new calls with
# UNAVAILABLE for a moment before stop() is called leaves none.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet grpcio==1.85.3
cat > see.py <<'PY'
import asyncio
import collections
import random
import threading

import grpc


class Echo(grpc.GenericRpcHandler):
    stopping = False

    def service(self, details):
        async def answer(request, context):
            if self.stopping:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "stopping")
            await asyncio.sleep(0.003)
            return request

        return grpc.unary_unary_rpc_method_handler(answer)


def call_until_refused(port, codes):
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary("/a/b")
        while True:
            try:
                call(b"x", timeout=10)
            except grpc.RpcError as error:
                codes[error.code().name] += 1
                return


async def one_stop(codes, refuse_first):
    echo, server = Echo(), grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    server.add_generic_rpc_handlers((echo,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    clients = [threading.Thread(target=call_until_refused, args=(port, codes)) for _ in range(4)]
    for client in clients:
        client.start()
    await asyncio.sleep(random.uniform(0.05, 0.1))
    if refuse_first:
        echo.stopping = True
        await asyncio.sleep(0.3)
    await server.stop(5)
    await asyncio.to_thread(lambda: [client.join() for client in clients])


async def main():
    plain, refusing = collections.Counter(), collections.Counter()
    for _ in range(60):
        await one_stop(plain, refuse_first=False)
        if plain["CANCELLED"]:
            break
    for _ in range(10):
        await one_stop(refusing, refuse_first=True)
    print("stop alone:", dict(plain), "| refusing first:", dict(refusing))
    assert plain["CANCELLED"], "CHANGED: no call was cancelled in 60 stops"
    assert not refusing["CANCELLED"], "CHANGED: calls are cancelled even so"
    print("as found: stop(grace) cancels calls that arrive, refusing them first does not")


asyncio.run(main())
PY
venv/bin/python see.py
