"""A client for TF Serving and `tfrec serve` over REST or gRPC, with deadlines and retries."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Self

from tfrec import schema
from tfrec.errors import InvalidInput, Unavailable
from tfrec.serving.client.credentials import Credentials
from tfrec.serving.client.transport import Arrays, Grpc, Rest, ServerError, Transport, TryAgain

_FIRST_WAIT: Final = 0.05
_LONGEST_WAIT: Final = 1.0
"""Seconds before the first retry, and at most: a deadline of a second still leaves room for several retries."""


class Client:
    """Calls the signatures of one model.

    A call is retried when the server cannot be reached or is overloaded (HTTP 429 and 503, gRPC UNAVAILABLE and
    RESOURCE_EXHAUSTED), after waits that double, with jitter. Retries are safe, as the signatures change nothing on the
    server. A client may be shared by threads.

    Args:
        address: "http://host:8501" or "https://host:8501" for REST, "host:8500" or, with TLS, "grpcs://host:8500" for
            gRPC (which needs the extra `serve`).
        model: Name of the model.
        version: Version to call; None for the newest.
        label: Label of the version to call, e.g. "stable". Give a version or a label, not both.
        deadline: Seconds that a call may take, retries included.
        retries: Most retries of a call.
        token: Bearer token that the server asks for. It is sent with TLS only, or to this machine.
        ca: PEM file with the certificates to trust; None for those of the system (over gRPC, those that it brings).
        cert: PEM files of this client's certificate and key, if the server asks for one.

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
        token: str | None = None,
        ca: str | Path | None = None,
        cert: tuple[str | Path, str | Path] | None = None,
    ) -> None:
        if version is not None and label is not None:
            raise InvalidInput(f"Expected a version or a label, received both: {version} and {label!r}.")
        if deadline <= 0 or retries < 0:
            raise InvalidInput(f"Expected deadline > 0 and retries ≥ 0, received {deadline} and {retries}.")
        self.model, self.deadline, self.retries = model, deadline, retries
        scheme, separator, _ = address.partition("://")
        credentials = Credentials(address, scheme in ("https", "grpcs"), token, ca, cert)
        kind = Rest if separator and scheme != "grpcs" else Grpc
        self._transport: Transport = kind(address, model, version, label, credentials)
        self._shapes: dict[str, dict[str, list[int]]] | None = None

    @property
    def url(self) -> str:
        """Address that calls are sent to."""
        return self._transport.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection; over REST only that of this thread."""
        self._transport.close()

    def predict(
        self,
        inputs: Mapping[str, Any],
        *,
        signature: str = schema.SIGNATURE_DEFAULT,
        deadline: float | None = None,
        user: str | None = None,
    ) -> Arrays:
        """Calls a signature.

        Args:
            inputs: Values by input name, as nested lists or an array; the first dimension is the batch.
            signature: Name of the signature.
            deadline: Seconds that the call may take; None for the client's deadline.
            user: Id of the user, for the request log of `tfrec serve` (`--request-log`), which has a pseudonym of it.
                It is sent as a header, and nothing else reads it. None, the default, sends none.

        Returns:
            Arrays by output name; strings are `str` in an object array. Over REST a single output is named "output",
            because the server sends no name for it.

        Raises:
            ServerError: the server answered with an error.
            Unavailable: there was no answer within the deadline and the retries.
        """
        return self._with_retries(lambda left: self._transport.predict(inputs, signature, left, user), deadline)

    def signatures(self) -> dict[str, dict[str, list[int]]]:
        """Shapes by signature and input name, with −1 for any size. The server is asked once."""
        if self._shapes is None:
            self._shapes = self._with_retries(self._transport.signatures, None)
        return self._shapes

    def recommend(
        self, history: Sequence[tuple[str, str]], k: int = 10, *, exclude: Sequence[str] = (), user: str | None = None
    ) -> list[tuple[str, float]]:
        """Recommends items for a history.

        Args:
            history: (item id, event kind) pairs, oldest first. Only the newest events that the export reads are sent.
            k: Number of items, at most the K of the export.
            exclude: Item ids that may not be recommended.
            user: As in `predict`.

        Returns:
            (item id, score) pairs, best first; fewer than `k` if no more items are left.

        Raises:
            InvalidInput: `k` is below 1, there are more exclusions than the export takes, or the model has no signature
                `recommend`.
        """
        if k < 1:
            raise InvalidInput(f"Expected k of at least 1, received {k}.")
        shapes = self.signatures().get(schema.SIGNATURE_RECOMMEND)
        if shapes is None:
            raise InvalidInput(f"Expected a model with the signature 'recommend'; {self.model} has no such signature.")
        longest, most = shapes[schema.HISTORY_ITEM_IDS][1], shapes[schema.EXCLUDE_ITEM_IDS][1]
        if len(exclude) > most:
            raise InvalidInput(f"Expected at most {most} exclusions (export.exclude_length), received {len(exclude)}.")
        recent = history[-longest:]
        inputs = {
            schema.HISTORY_ITEM_IDS: [_padded([item for item, _ in recent], longest)],
            schema.HISTORY_EVENTS: [_padded([event for _, event in recent], longest)],
            schema.EXCLUDE_ITEM_IDS: [_padded(list(exclude), most)],
        }
        answer = self.predict(inputs, signature=schema.SIGNATURE_RECOMMEND, user=user)
        count = min(k, int(answer[schema.COUNT][0]))
        items, scores = answer[schema.ITEM_IDS][0, :count], answer[schema.SCORES][0, :count]
        return list(zip(items.tolist(), scores.tolist(), strict=True))

    def _with_retries(self, call: Callable[[float], Any], deadline: float | None) -> Any:
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
        raise Unavailable(
            f"No answer from {self.url} within the deadline: {problem or 'too slow'}. Is the server running?"
        )


def _padded(values: list[str], length: int) -> list[str]:
    return [*values, *[""] * (length - len(values))]
