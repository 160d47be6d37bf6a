"""A client for TF Serving and `tfrec serve`, over REST or gRPC, with deadlines and retries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Self

from tfrec import schema
from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving.client.transport import Arrays, Grpc, Rest, ServerError, Transport, TryAgain

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 1.0


class Client:
    """Calls the signatures of one model.

    What is retried: a server that cannot be reached or says that it is overloaded (HTTP 429, 503; UNAVAILABLE,
    RESOURCE_EXHAUSTED), after waits that double, with jitter. Our signatures only read, so a retry is safe.
    A client may be used by many threads.

    Args:
        address: "http://host:8501" for REST, "host:8500" for gRPC (which needs the extra `serve`).
        model: The model's name.
        version: A version; None for the newest.
        label: A label, e.g. "stable"; at most one of it and `version`.
        deadline: Seconds a call may take, with its retries.
        retries: How many times a call is tried again.

    Example:
        >>> Client("http://127.0.0.1:8501", "shop", label="stable", deadline=0.2).url
        'http://127.0.0.1:8501/v1/models/shop/labels/stable'
    """

    def __init__(
        self,
        address: str,
        model: str,
        *,
        version: int | None = None,
        label: str | None = None,
        deadline: float = 5.0,
        retries: int = 3,
    ) -> None:
        if version is not None and label is not None:
            raise InvalidInput(f"Expected a version or a label, received both: {version} and {label!r}.")
        if deadline <= 0 or retries < 0:
            raise InvalidInput(f"Expected deadline > 0 and retries ≥ 0, received {deadline} and {retries}.")
        self.model, self.deadline, self.retries = model, deadline, retries
        kind = Rest if "://" in address else Grpc
        self._transport: Transport = kind(address, model, version, label)
        self._shapes: dict[str, dict[str, list[int]]] | None = None

    @property
    def url(self) -> str:
        """Where calls go."""
        return self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; over REST, this thread's."""
        self._transport.close()

    def predict(
        self, inputs: Mapping[str, Any], *, signature: str = schema.SIGNATURE_DEFAULT, deadline: float | None = None
    ) -> Arrays:
        """Calls a signature.

        Args:
            inputs: Input name to (nested lists or an array of) values; the first dimension is the batch.
            signature: Its name.
            deadline: Seconds; None for the client's.

        Returns:
            Output name to array; strings are `str` in an object array. Over REST an only output is called "output", as
            the server does not name it.

        Raises:
            ServerError: the server refused, with its code and message.
            Unavailable: no answer within the deadline and the retries.
        """
        return self._try(lambda left: self._transport.predict(inputs, signature, left), deadline)

    def signatures(self) -> dict[str, dict[str, list[int]]]:
        """Signature → input → shape, −1 where any size goes; asked of the server once."""
        if self._shapes is None:
            self._shapes = self._try(self._transport.signatures, None)
        return self._shapes

    def recommend(
        self, history: Sequence[tuple[str, str]], k: int = 10, *, exclude: Sequence[str] = ()
    ) -> list[tuple[str, float]]:
        """The best `k` items after a history of (item id, event kind), oldest first, as (item id, score).

        A history longer than the export reads is cut to its newest events.

        Raises:
            InvalidInput: k below 1, more exclusions than the export takes, or a model without `recommend`. Of a k above
                the export's K, K items come.
        """
        if k < 1:
            raise InvalidInput(f"Expected k of at least 1, received {k}.")
        shapes = self.signatures().get(schema.SIGNATURE_RECOMMEND)
        if shapes is None:
            raise InvalidInput(f"Expected a model with the signature 'recommend'; {self.model} has none.")
        longest, most = shapes[schema.HISTORY_ITEM_IDS][1], shapes[schema.EXCLUDE_ITEM_IDS][1]
        if len(exclude) > most:
            raise InvalidInput(f"Expected at most {most} exclusions (export.exclude_length), received {len(exclude)}.")
        recent = history[-longest:]
        inputs = {
            schema.HISTORY_ITEM_IDS: [_padded([item for item, _ in recent], longest)],
            schema.HISTORY_EVENTS: [_padded([event for _, event in recent], longest)],
            schema.EXCLUDE_ITEM_IDS: [_padded(list(exclude), most)],
        }
        answer = self.predict(inputs, signature=schema.SIGNATURE_RECOMMEND)
        count = min(k, int(answer[schema.COUNT][0]))
        items, scores = answer[schema.ITEM_IDS][0, :count], answer[schema.SCORES][0, :count]
        return list(zip(items.tolist(), scores.tolist(), strict=True))

    def _try(self, call: Callable[[float], Any], deadline: float | None) -> Any:
        end = time.monotonic() + (self.deadline if deadline is None else deadline)
        problem: Exception | None = None
        for attempt in range(self.retries + 1):
            if (left := end - time.monotonic()) <= 0:
                break
            try:
                return call(left)
            except TryAgain as again:
                problem = again.cause
            if attempt < self.retries:
                wait = min(_FIRST_WAIT * 2**attempt, _LONGEST_WAIT) * random.uniform(0.5, 1.0)
                time.sleep(max(0.0, min(wait, end - time.monotonic())))
        if isinstance(problem, ServerError):
            raise problem
        raise Unavailable(f"No answer from {self.url} within the deadline: {problem or 'too slow'}. Is it running?")


def _padded(values: list[str], length: int) -> list[str]:
    return [*values, *[""] * (length - len(values))]
