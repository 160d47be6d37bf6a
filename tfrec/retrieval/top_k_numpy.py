"""Top-k of given scores in NumPy, with the same rules as `TopK`."""

from __future__ import annotations

import numpy as np

from tfrec.errors import InvalidInput


def top_k_numpy(
    scores: np.ndarray, k: int, exclude: np.ndarray | None = None, allow: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The `k` best items of each row.

    Args:
        scores: float `[batch, items]`; never changed. NaN counts as −inf.
        k: int, at least 1.
        exclude: int `[batch, n]`. Item indices to leave out; indices outside the catalogue, such as −1, are ignored.
        allow: bool `[items]` or `[batch, items]`. Items that may be returned.

    Returns:
        indices int32 `[batch, k]`, scores `[batch, k]` descending, and count int32 `[batch]`: how many are real. Where
        fewer than `k` items are left, the rest of the row is −1 and −inf. Ties go to the item first in the catalogue.

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
    unclear = np.isnan(scores)
    if allow is None and exclude is None and not unclear.any():
        return scores
    scores = np.where(unclear if allow is None else unclear | ~np.asarray(allow), -np.inf, scores).astype(scores.dtype)
    if exclude is not None:
        rows, places = np.nonzero((np.asarray(exclude) >= 0) & (np.asarray(exclude) < scores.shape[1]))
        scores[rows, np.asarray(exclude)[rows, places]] = -np.inf
    return scores


def _candidates(scores: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and scores `[batch, k or more]` among which are the `k` best of each row; in order of the columns.

    A row longer than its share may be padded with column 0 and −inf at the end.
    """
    batch, items = scores.shape
    share = items // (4 * k)
    if share >= 8:
        # Items in groups of `share`: the k-th largest of the groups' maxima is reached by k items, so by the best k,
        # and by few others.
        groups = items // share
        tops = scores[:, :groups].copy()
        for start in range(groups, groups * share, groups):
            np.maximum(tops, scores[:, start : start + groups], out=tops)
        least = np.partition(tops, groups - k, axis=1)[:, groups - k]
        flat = np.flatnonzero(scores >= least[:, None])
        counts = np.bincount(flat // items, minlength=batch)
        if counts.max() <= 4 * k:  # more are tied: the other way is as good
            inside = np.arange(counts.max()) < counts[:, None]
            columns = np.zeros(inside.shape, np.int64)
            columns[inside] = flat % items
            values = np.full(inside.shape, -np.inf, scores.dtype)
            values[inside] = scores.reshape(-1)[flat]
            return columns, values
    # Flat positions: NumPy finds the few true ones of a flat mask many times as fast as those of a table.
    places = np.flatnonzero(_first_best(scores, k)).reshape(batch, k)
    columns = places - np.arange(batch)[:, None] * items
    return columns, np.take_along_axis(scores, columns, axis=1)


def _first_best(scores: np.ndarray, k: int) -> np.ndarray:
    """bool like `scores`, exactly `k` true a row: the best, and of those tied for the last places the first."""
    at = scores.shape[1] - k
    least = np.partition(scores, at, axis=1)[:, at]
    chosen = scores >= least[:, None]
    for row, mask in enumerate(chosen):
        surplus = np.count_nonzero(mask) - k
        if surplus:
            mask[np.flatnonzero(scores[row] == least[row])[-surplus:]] = False
    return chosen
