"""Requests with many rows in pieces, so that other requests run between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tfrec.serving.local.inputs import Arrays, rows_of
from tfrec.serving.local.limits import Limits
from tfrec.serving.local.status_codes import invalid

Piece = Callable[[], Arrays]
"""Makes the inputs of some rows of a request, when it is their turn."""


def cut(inputs: Arrays, rows: int, batched: bool, limits: Limits) -> list[Arrays]:
    """The inputs in pieces if they are more than a batch of a model that takes any number of rows.

    Raises:
        RequestError: INVALID_ARGUMENT if there are more rows than a request may have.
    """
    return [rows_of(inputs, *ends) for ends in bounds(rows, batched, limits)]


def bounds(rows: int, batched: bool, limits: Limits) -> list[tuple[int, int]]:
    """First row of each piece, and the row after its last; raises like `cut`.

    Example:
        >>> bounds(100, True, Limits(max_batch_rows=64))[-2:]
        [(80, 96), (96, 112)]
    """
    if rows > limits.max_request_rows:
        raise invalid(f"Expected at most {limits.max_request_rows} rows in a request, received {rows}")
    if not batched or rows <= limits.max_batch_rows:
        return [(0, rows)]
    return [(start, start + limits.piece_rows) for start in range(0, rows, limits.piece_rows)]


def joined(pieces: Sequence[Arrays]) -> Arrays:
    """The rows of all pieces, one below the other."""
    if len(pieces) == 1:
        return pieces[0]
    return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}
