"""A part of the rows of an embedding table, with the state of their optimizer. Needs no TensorFlow."""

from __future__ import annotations

from pathlib import Path

import numpy as np

EPSILON = 1e-8

_BLOCK = 4096
"""Rows that one random generator starts, so that what a row starts with depends on its number alone."""


class RowShard:
    """Rows of an embedding table, updated by row-wise Adagrad.

    A row that a step uses moves by `rate · gradient / √s`, where s is the sum of the mean squares of its gradients so
    far: one number a row, where Adam keeps two for each weight. (Row-wise Adagrad as in FBGEMM and DLRM,
    https://arxiv.org/abs/1906.00091, section 3; Duchi et al. 2011.)

    Args:
        start: int. Number of the first row in the table.
        stop: int. Number of the row after the last.
        dim: int. Width of a row.
        stddev: float. Standard deviation of the normal distribution that rows start from; 0 starts them at 0.
        seed: int. Of what they start from.

    Example:
        >>> shard = RowShard(10, 13, dim=2)
        >>> shard.update(np.array([11]), np.array([[3.0, 4.0]], np.float32), rate=0.1)
        >>> shard.gather(np.array([10, 11])).astype(float).round(3).tolist()  # 0.1 · 3 / √12.5
        [[0.0, 0.0], [-0.085, -0.113]]
    """

    def __init__(self, start: int, stop: int, dim: int, stddev: float = 0.0, seed: int = 0) -> None:
        self.start, self.stop = start, stop
        self.rows = first_rows(start, stop, dim, stddev, seed)
        self.squares = np.zeros(stop - start, np.float32)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """float32 `[n, dim]`, rows at int `[n]` numbers."""
        return self.rows[rows - self.start]

    def assign(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Sets the rows at int `[n]` distinct numbers to float32 `[n, dim]`; their state stays."""
        self.rows[rows - self.start] = values

    def update(self, rows: np.ndarray, gradients: np.ndarray, rate: float) -> None:
        """One step of the optimizer.

        Args:
            rows: int `[n]`, distinct numbers.
            gradients: float32 `[n, dim]`.
            rate: float. Learning rate.
        """
        local = rows - self.start
        squares = self.squares[local] + np.square(gradients).mean(axis=1)
        self.squares[local] = squares
        self.rows[local] -= np.float32(rate) * gradients / (np.sqrt(squares) + np.float32(EPSILON))[:, None]

    def write(self, rows: Path, squares: Path) -> None:
        """Writes rows and state into their places in two .npy files of the whole table, which are there already."""
        for path, values in ((rows, self.rows), (squares, self.squares)):
            with path.open("r+b") as file:  # not memory-mapped: pages of the file would be memory of this process
                file.seek(self._place(path))
                values.tofile(file)

    def read(self, rows: Path, squares: Path) -> None:
        """Reads what `write` wrote, in as many parts as there were then."""
        for path, values in ((rows, self.rows), (squares, self.squares)):
            read = np.fromfile(path, np.float32, values.size, offset=self._place(path))
            values[:] = read.reshape(values.shape)

    def _place(self, path: Path) -> int:
        """Where the first of these rows is in a file of all rows, in bytes."""
        whole = np.load(path, mmap_mode="r")
        return int(whole.offset + self.start * whole[:1].nbytes)


def first_rows(start: int, stop: int, dim: int, stddev: float, seed: int) -> np.ndarray:
    """What the rows `start` to `stop` of a table start with, float32 `[stop - start, dim]`.

    Args:
        start, stop, dim, stddev, seed: As for `RowShard`.
    """
    rows = np.zeros((stop - start, dim), np.float32)
    if not stddev:
        return rows
    for block in range(start // _BLOCK, -(-stop // _BLOCK)):
        first = block * _BLOCK
        drawn = np.random.default_rng([seed, block]).standard_normal((_BLOCK, dim), np.float32)
        inside = slice(max(start, first), min(stop, first + _BLOCK))
        rows[inside.start - start : inside.stop - start] = drawn[inside.start - first : inside.stop - first]
    rows *= np.float32(stddev)
    return rows
