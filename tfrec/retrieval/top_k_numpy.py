"""Top-k of given scores in NumPy, with the rules of `TopK`."""

from __future__ import annotations

import numpy as np

from tfrec.errors import InvalidInput


def top_k_numpy(
    scores: np.ndarray, k: int, exclude: np.ndarray | None = None, allow: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `k` best items of each row.

    Args:
        scores: float `[batch, items]`; not changed. NaN counts as −inf.
        k: int. Number of items to return, at least 1.
        exclude: int `[batch, n]`. Item indices to exclude; indices outside the catalogue, such as −1, are ignored.
        allow: bool `[items]` or `[batch, items]`. Items that may be returned.

    Returns:
        indices: int32 `[batch, k]`, padded with −1. scores: `[batch, k]`, descending, in the dtype of the input, padded
        with −inf. count: int32 `[batch]`, number of items in each row. Ties go to the item first in the catalogue.

    Example:
        >>> top_k_numpy(np.array([[0.1, 0.5, 0.5, 0.9]]), 2, exclude=np.array([[3]]))[0]
        array([[1, 2]], dtype=int32)
    """
    if k < 1:
        raise InvalidInput(f"Expected k of at least 1, received {k}.")
    scores = _masked(np.asarray(scores), exclude, allow)
    batch, items = scores.shape
    width = min(k, items)
    indices, best = np.full((batch, k), -1, np.int32), np.full((batch, k), -np.inf, scores.dtype)
    if batch and items:
        columns, values = _candidates(scores, width)
        order = np.argsort(-values, axis=1, kind="stable")[:, :width]
        best[:, :width] = np.take_along_axis(values, order, axis=1)
        indices[:, :width] = np.take_along_axis(columns, order, axis=1)
    indices[np.isneginf(best)] = -1
    return indices, best, (indices >= 0).sum(axis=1, dtype=np.int32)


def _masked(scores: np.ndarray, exclude: np.ndarray | None, allow: np.ndarray | None) -> np.ndarray:
    is_nan = np.isnan(scores)
    if allow is None and exclude is None and not is_nan.any():
        return scores
    scores = np.where(is_nan if allow is None else is_nan | ~np.asarray(allow), -np.inf, scores).astype(scores.dtype)
    if exclude is not None:
        rows, places = np.nonzero((np.asarray(exclude) >= 0) & (np.asarray(exclude) < scores.shape[1]))
        scores[rows, np.asarray(exclude)[rows, places]] = -np.inf
    return scores


def _candidates(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """A superset of the `k` best items of each row: columns, ascending, and scores, both `[batch, k or more]`.

    Rows may be padded at the end with column 0 and score −inf.
    """
    batch, items = scores.shape
    share = items // (4 * k)
    if share >= 8:
        # Split the items into groups of `share`. At least k items reach the k-th largest group maximum, so the best k
        # do, and few others.
        groups = items // share
        tops = scores[:, :groups].copy()
        for start in range(groups, groups * share, groups):
            np.maximum(tops, scores[:, start : start + groups], out=tops)
        least = np.partition(tops, groups - k, axis=1)[:, groups - k]
        flat = np.flatnonzero(scores >= least[:, None])
        counts = np.bincount(flat // items, minlength=batch)
        if counts.max() <= 4 * k:  # otherwise many are tied, and the method below is as fast
            inside = np.arange(counts.max()) < counts[:, None]
            columns = np.zeros(inside.shape, np.int64)
            columns[inside] = flat % items
            values = np.full(inside.shape, -np.inf, scores.dtype)
            values[inside] = scores.reshape(-1)[flat]
            return columns, values
    # flatnonzero on a flat mask is many times faster than nonzero on a table.
    places = np.flatnonzero(_first_best(scores, k)).reshape(batch, k)
    columns = places - np.arange(batch)[:, None] * items
    return columns, np.take_along_axis(scores, columns, axis=1)


def _first_best(scores: np.ndarray, k: int) -> np.ndarray:
    """A mask like `scores` with exactly `k` true per row: the best items; ties go to the first columns."""
    at = scores.shape[1] - k
    least = np.partition(scores, at, axis=1)[:, at]
    chosen = scores >= least[:, None]
    for row, mask in enumerate(chosen):
        surplus = np.count_nonzero(mask) - k
        if surplus:
            mask[np.flatnonzero(scores[row] == least[row])[-surplus:]] = False
    return chosen
