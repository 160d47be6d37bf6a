"""Dynamic batching: requests that wait at the same time are answered by one call of the model."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfrec.serving.local.inputs import Arrays, rows_of
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.loaded_version import Signature
from tfrec.serving.local.pieces import Piece, joined
from tfrec.serving.local.status_codes import Code, RequestError

_Lane = tuple[Signature, bool]
"""A queue of its own for the small requests, and for the pieces of the large ones, of each signature."""


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

    A request with more rows than a batch runs piece by piece, in a lane of its own: small requests wait for one piece
    of it at most, and large ones take turns.

    Args:
        limits: Limits of the server.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self._queues: dict[_Lane, deque[_Request]] = {}
        self._turns: deque[_Lane] = deque()
        self._running = 0
        self._waiting = 0
        self._threads = ThreadPoolExecutor(limits.workers, thread_name_prefix="model")
        self.calls = 0
        """Number of model calls so far; smaller than the number of requests when batches form."""

    @property
    def waiting(self) -> int:
        """Number of requests that are not answered yet."""
        return self._waiting

    async def run(self, signature: Signature, pieces: Sequence[Piece]) -> list[Arrays]:
        """Runs a request that comes in pieces and returns the outputs of each.

        A model whose answer to a piece has not as many rows as the piece is called once, with all of them.

        Raises:
            RequestError: a piece does not fit the signature, or too many requests wait.
        """
        with self._counted():
            answers: list[Arrays] = []
            large = len(pieces) > 1
            for piece in pieces:
                inputs = piece()
                rows = signature.check(inputs)
                answers.append(await self._answer_to((signature, large), inputs, rows))
                if large and not _has_rows(answers[-1], rows):
                    whole = joined([piece() for piece in pieces])
                    return [await self._answer_to((signature, large), whole, signature.check(whole))]
            return answers

    def close(self) -> None:
        """Waits until the running calls are done, and ends the threads."""
        self._threads.shutdown(wait=True)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        if self._waiting >= self.limits.max_waiting:
            raise RequestError(Code.UNAVAILABLE, f"{self._waiting} requests are waiting already; try again later")
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def _answer_to(self, lane: _Lane, inputs: Arrays, rows: int) -> Arrays:
        request = _Request(inputs, rows, asyncio.get_running_loop().create_future())
        if lane not in self._queues:
            self._queues[lane] = deque()
            self._turns.append(lane)
        self._queues[lane].append(request)
        self._start_batches()
        return await request.answer

    def _start_batches(self) -> None:
        while self._running < self.limits.workers and self._turns:
            lane = self._turns.popleft()
            batch = self._take_batch(lane)
            if not self._queues[lane]:
                del self._queues[lane]  # drops the last reference to a version that was replaced
            else:
                self._turns.append(lane)
            if batch:
                self._running += 1
                asyncio.get_running_loop().create_task(self._answer(lane[0], batch))

    def _take_batch(self, lane: _Lane) -> list[_Request]:
        queue, (signature, large), rows = self._queues[lane], lane, 0
        most = 0 if large or not signature.batched else self.limits.max_batch_rows  # 0: one at a time
        batch: list[_Request] = []
        while queue and (not batch or rows + queue[0].rows <= most):
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
        return [rows_of(answer, end - request.rows, end) for request, end in zip(batch, ends, strict=True)]


def _run_together(signature: Signature, batch: list[_Request]) -> Arrays | None:
    """The outputs of all requests in one call; None if their shapes do not match or the call fails."""
    rows = [{key: value.shape[1:] for key, value in request.inputs.items()} for request in batch]
    if any(shapes != rows[0] for shapes in rows):
        return None
    answer = _result_or_error(signature, joined([request.inputs for request in batch]))
    if isinstance(answer, Exception) or not _has_rows(answer, sum(request.rows for request in batch)):
        return None
    return answer


def _has_rows(outputs: Arrays, rows: int) -> bool:
    return all(value.shape[:1] == (rows,) for value in outputs.values())


def _result_or_error(signature: Signature, inputs: Arrays) -> Arrays | Exception:
    try:
        return signature(inputs)
    except Exception as error:
        return error
