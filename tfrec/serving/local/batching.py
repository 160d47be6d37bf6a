"""Dynamic batching: requests that wait at the same time are answered by one call of the model."""

from __future__ import annotations

import asyncio
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tfrec.errors import InvalidInput
from tfrec.serving.local.loaded_version import Arrays, Signature
from tfrec.serving.local.status_codes import Code, RequestError, invalid


@dataclass(frozen=True)
class Limits:
    """Limits of a server.

    Args:
        max_batch_rows: Most rows in one call of the model; a request with more rows runs alone.
        max_request_rows: Most rows of a request; larger ones are refused (INVALID_ARGUMENT).
        max_waiting: Most requests that wait or run; further ones are refused (UNAVAILABLE).
        max_body_bytes: Largest REST body or gRPC message.
        workers: Calls of models that run at the same time.

    Raises:
        InvalidInput: A limit is below 1.
    """

    max_batch_rows: int = 64
    max_request_rows: int = 1024
    max_waiting: int = 1000
    max_body_bytes: int = 16 * 2**20
    workers: int = 1

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < 1:
                raise InvalidInput(f"Expected {name} of at least 1, received {value}.")


@dataclass
class _Request:
    inputs: Arrays
    rows: int
    answer: asyncio.Future[Arrays]


class Batcher:
    """Runs requests in batches.

    There is no timer: a request that finds the model idle starts at once. While the model is busy, requests gather, and
    the next call takes as many of them as fit. So batches grow with the load, and no request waits to fill a batch. If
    a shared call fails, each of its requests is run again alone, so that only the faulty one fails.

    Args:
        limits: Limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._queues: dict[Signature, deque[_Request]] = {}
        self._turns: deque[Signature] = deque()
        self._running = 0
        self._waiting = 0
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="model")
        self.calls = 0
        """Number of model calls so far; smaller than the number of requests when batches form."""

    @property
    def waiting(self) -> int:
        """Number of requests that are not answered yet."""
        return self._waiting

    async def run(self, signature: Signature, inputs: Arrays) -> Arrays:
        """Runs a request and returns the outputs by name.

        Raises:
            RequestError: the request does not fit the signature or exceeds a limit.
        """
        rows = signature.check(inputs)
        if rows > self.limits.max_request_rows:
            raise invalid(f"Expected at most {self.limits.max_request_rows} rows in a request, received {rows}")
        if self._waiting >= self.limits.max_waiting:
            raise RequestError(Code.UNAVAILABLE, f"{self._waiting} requests are waiting already; try again later")
        request = _Request(inputs, rows, asyncio.get_running_loop().create_future())
        self._waiting += 1
        try:
            if signature not in self._queues:
                self._queues[signature] = deque()
                self._turns.append(signature)
            self._queues[signature].append(request)
            self._start_batches()
            return await request.answer
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Waits until the running calls are done, and ends the threads."""
        self._threads.shutdown(wait=True)

    def _start_batches(self) -> None:
        while self._running < self.limits.workers and self._turns:
            signature = self._turns.popleft()
            batch = self._take_batch(signature)
            if not self._queues[signature]:
                del self._queues[signature]  # drops the last reference to a version that was replaced
            else:
                self._turns.append(signature)
            if batch:
                self._running += 1
                asyncio.get_running_loop().create_task(self._answer(signature, batch))

    def _take_batch(self, signature: Signature) -> list[_Request]:
        queue, rows = self._queues[signature], 0
        batch: list[_Request] = []
        while queue and (not batch or (signature.batched and rows + queue[0].rows <= self.limits.max_batch_rows)):
            request = queue.popleft()
            if not request.answer.done():  # else the client has hung up
                batch.append(request)
                rows += request.rows
        return batch

    async def _answer(self, signature: Signature, batch: list[_Request]) -> None:
        loop = asyncio.get_running_loop()
        try:
            outcomes = await loop.run_in_executor(self._threads, self._call, signature, batch)
            for request, outcome in zip(batch, outcomes, strict=True):
                if request.answer.done():
                    continue
                if isinstance(outcome, Exception):
                    request.answer.set_exception(outcome)
                else:
                    request.answer.set_result(outcome)
        except Exception as error:  # whatever happens, no request may wait for ever
            for request in batch:
                if not request.answer.done():
                    request.answer.set_exception(error)
        finally:
            self._running -= 1
            self._start_batches()

    def _call(self, signature: Signature, batch: list[_Request]) -> list[Any]:
        self.calls += 1
        if len(batch) == 1:
            return [_result_or_error(signature, batch[0].inputs)]
        answer = _run_together(signature, batch)
        if answer is None:
            return [_result_or_error(signature, request.inputs) for request in batch]
        ends = np.cumsum([request.rows for request in batch])
        return [{k: v[end - r.rows : end] for k, v in answer.items()} for r, end in zip(batch, ends, strict=True)]


def _run_together(signature: Signature, batch: list[_Request]) -> Arrays | None:
    """The outputs of all requests in one call; None if their shapes do not match or the call fails."""
    rows = [{key: value.shape[1:] for key, value in request.inputs.items()} for request in batch]
    if any(shapes != rows[0] for shapes in rows):
        return None
    answer = _result_or_error(
        signature, {key: np.concatenate([r.inputs[key] for r in batch]) for key in signature.inputs}
    )
    total = sum(request.rows for request in batch)
    if isinstance(answer, Exception) or any(value.shape[:1] != (total,) for value in answer.values()):
        return None
    return answer


def _result_or_error(signature: Signature, inputs: Arrays) -> Arrays | Exception:
    try:
        return signature(inputs)
    except Exception as error:
        return error
