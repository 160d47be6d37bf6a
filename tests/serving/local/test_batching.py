"""Which requests are batched, and that each gets its own answer."""

import asyncio
import threading
from functools import partial

import numpy as np
import pytest

from tfrec.serving.local.batching import Batcher
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.pieces import cut, joined
from tfrec.serving.local.status_codes import Code, RequestError


class Doubling:
    """A signature that doubles, refuses negative numbers, and waits for `gate` when its first number is 0."""

    batched = True
    inputs = {"x": None}

    def __init__(self):
        self.gate, self.sizes = threading.Event(), []

    def check(self, inputs):
        return len(inputs["x"])

    def __call__(self, inputs):
        x = inputs["x"]
        self.sizes.append(len(x))
        if x.flat[0] == 0:
            self.gate.wait(30)
        if (x < 0).any():
            raise RequestError(Code.INVALID_ARGUMENT, "negative")
        return {"y": 2 * x}


async def answer(batcher, signature, inputs):
    """The outputs of a request, cut as the servers cut it."""
    pieces = cut(inputs, signature.check(inputs), signature.batched, batcher.limits)
    return joined(await batcher.run(signature, [partial(dict, piece) for piece in pieces]))


def run(signature, requests, limits=None):
    """Outcomes of requests that all came while a first one, [0], was running."""

    async def scenario():
        batcher = Batcher(limits or Limits())
        first = asyncio.create_task(answer(batcher, signature, {"x": np.array([0])}))
        while not signature.sizes:
            await asyncio.sleep(0.001)
        work = [asyncio.create_task(answer(batcher, signature, {"x": np.array(r)})) for r in requests]
        await asyncio.sleep(0.01)
        signature.gate.set()
        outcomes = await asyncio.gather(*work, return_exceptions=True)
        await first
        assert batcher.waiting == 0
        batcher.close()
        return [o if isinstance(o, Exception) else o["y"].tolist() for o in outcomes]

    return asyncio.run(scenario())


def test_requests_that_wait_share_a_call_and_each_gets_its_own_rows():
    signature = Doubling()
    assert run(signature, [[1], [2, 3], [4]]) == [[2], [4, 6], [8]]
    assert signature.sizes == [1, 4]


def test_a_call_takes_no_more_rows_than_allowed():
    signature = Doubling()
    assert run(signature, [[1, 2], [3, 4], [5]], Limits(max_batch_rows=4)) == [[2, 4], [6, 8], [10]]
    assert signature.sizes == [1, 4, 1]


def test_a_large_request_runs_in_pieces_and_small_ones_overtake_it():
    signature = Doubling()
    large = list(range(1, 21))
    answers = run(signature, [large, [21], [22]], Limits(max_batch_rows=8))
    assert answers == [[2 * x for x in large], [42], [44]]
    assert signature.sizes == [1, 2, 2, *[2] * 9]  # a piece, both small ones in one call, the other pieces


def test_large_requests_take_turns():
    called = []

    class Noting(Doubling):
        def __call__(self, inputs):
            called.append(int(inputs["x"][0]))
            return super().__call__(inputs)

    run(Noting(), [[1] * 5, [2] * 5], Limits(max_batch_rows=4))
    assert called == [0, *[1, 2] * 5]


def test_a_large_request_stops_at_the_piece_that_fails():
    signature = Doubling()
    (bad,) = run(signature, [[1, -1, 1, 1, 1]], Limits(max_batch_rows=4))
    assert isinstance(bad, RequestError) and signature.sizes == [1, 1, 1]


def test_a_large_request_to_a_model_that_mixes_rows_is_one_call():
    class Summing(Doubling):
        def __call__(self, inputs):
            super().__call__(inputs)
            return {"y": np.array([inputs["x"].sum()])}

    signature = Summing()
    assert run(signature, [[1, 2, 3, 4, 5, 6, 7, 8, 9]], Limits(max_batch_rows=8)) == [[45]]
    assert signature.sizes == [1, 2, 9]


def test_a_bad_request_does_not_fail_the_others_of_its_batch():
    signature = Doubling()
    good, bad, other = run(signature, [[1], [-1], [2]])
    assert (good, other) == ([2], [4]) and isinstance(bad, RequestError) and bad.code is Code.INVALID_ARGUMENT
    assert signature.sizes == [1, 3, 1, 1, 1]


def test_signatures_without_a_batch_dimension_are_called_one_by_one():
    signature = Doubling()
    signature.batched = False
    assert run(signature, [[1], [2]]) == [[2], [4]] and signature.sizes == [1, 1, 1]


def test_too_many_waiting_requests_and_too_many_rows_are_refused():
    first, second = run(Doubling(), [[1], [2]], Limits(max_waiting=2))
    assert first == [2] and second.code is Code.UNAVAILABLE
    (wide,) = run(Doubling(), [[1, 2, 3]], Limits(max_request_rows=2))
    assert wide.code is Code.INVALID_ARGUMENT


def test_requests_of_clients_that_hung_up_are_not_run():
    signature = Doubling()

    async def scenario():
        batcher = Batcher(Limits())
        first = asyncio.create_task(answer(batcher, signature, {"x": np.array([0])}))
        while not signature.sizes:
            await asyncio.sleep(0.001)
        gone = asyncio.create_task(answer(batcher, signature, {"x": np.array([1])}))
        stays = asyncio.create_task(answer(batcher, signature, {"x": np.array([2])}))
        await asyncio.sleep(0.01)
        gone.cancel()
        await asyncio.sleep(0)
        signature.gate.set()
        assert (await stays)["y"].tolist() == [4]
        await first
        assert batcher.waiting == 0 and gone.cancelled()
        batcher.close()

    asyncio.run(scenario())
    assert signature.sizes == [1, 1]


@pytest.mark.parametrize("code", list(Code))
def test_codes_are_those_of_grpc(code):
    grpc = pytest.importorskip("grpc")
    assert {c.value[0]: c.name for c in grpc.StatusCode}[code.number] == code.name


@pytest.mark.parametrize("answer", [lambda x: np.float32(x.sum()), lambda x: x[:1]])
def test_an_answer_with_another_number_of_rows_is_not_shared(answer):
    class Summing(Doubling):
        def __call__(self, inputs):
            super().__call__(inputs)
            return {"y": np.asarray(answer(inputs["x"]))}

    signature = Summing()
    assert run(signature, [[1, 2], [3, 4]]) == [answer(np.array(r)).tolist() for r in ([1, 2], [3, 4])]


def test_requests_of_different_widths_run_separately():
    signature = Doubling()
    assert run(signature, [[[1, 2, 3]], [[4, 5]]]) == [[[2, 4, 6]], [[8, 10]]]
    assert signature.sizes == [1, 1, 1]


def test_every_failure_reaches_the_waiting_requests():
    class Broken(Doubling):
        def check(self, inputs):
            if len(inputs["x"]) == 2:
                raise MemoryError("no room")
            return super().check(inputs)

        def __call__(self, inputs):
            super().__call__(inputs)
            return {"y": inputs["x"]} if inputs["x"][0] == 0 else None

    problems = run(Broken(), [[1], [2], [3, 4]])
    assert [type(problem) for problem in problems] == [AttributeError, AttributeError, MemoryError]
