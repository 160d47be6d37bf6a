"""An embedding table whose rows are held by several processes."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfrec.cluster.actor import Actor, ActorLost
from tfrec.cluster.actors import actors_of
from tfrec.config.cluster import ClusterConfig
from tfrec.errors import Unavailable
from tfrec.training.row_shard import RowShard


class ShardedRows:
    """An embedding table in parts of successive rows, each a `RowShard` in a process of its own.

    Args:
        shards: Actors of `RowShard`, in the order of their rows.
        bounds: int `[shards + 1]`, the first row of each, and the end.
        dim: int. Width of a row.

    Attributes:
        shape: Rows of the table, and their width.
        lost: The error of a process that has died, if one has; where TensorFlow calls the table, it hides errors.
    """

    def __init__(self, shards: Sequence[Actor], bounds: np.ndarray, dim: int) -> None:
        self._shards, self._bounds = shards, bounds
        self.shape = int(bounds[-1]), dim
        self.lost: Unavailable | None = None
        self._updates: list[Callable[[], Any]] = []

    def __getitem__(self, rows: np.ndarray) -> np.ndarray:
        """float32 `rows.shape + [dim]`, rows at int numbers of any shape."""
        numbers = rows.reshape(-1)
        found = np.empty((len(numbers), self.shape[1]), np.float32)
        with self._told():
            parts = [(mine, self._shards[shard].call("gather", numbers[mine])) for shard, mine in self._parts(numbers)]
            for mine, answer in parts:
                found[mine] = answer()
        return found.reshape(*rows.shape, self.shape[1])

    def update(self, rows: np.ndarray, gradients: np.ndarray, rate: float) -> None:
        """One step of the optimizer; returns before it is done.

        Args:
            rows, gradients, rate: As for `RowShard.update`.
        """
        with self._told():
            for shard, mine in self._parts(rows):
                self._updates.append(self._shards[shard].call("update", rows[mine], gradients[mine], float(rate)))

    def __setitem__(self, rows: np.ndarray, values: np.ndarray) -> None:
        """Sets the rows at int `[n]` distinct numbers to float32 `[n, dim]`."""
        with self._told():
            for shard, mine in self._parts(rows):
                self._shards[shard].call("assign", rows[mine], values[mine])()

    def save(self, prefix: Path) -> None:
        """Writes rows and state of the optimizer to two files whose names begin with that of `prefix`."""
        files = _files(prefix)
        for path, shape in zip(files, (self.shape, self.shape[:1]), strict=True):
            np.lib.format.open_memmap(path, "w+", np.float32, shape)  # on most file systems without taking space yet
        self._each("write", files)

    def restore(self, prefix: Path) -> None:
        """Reads what `save` wrote, perhaps from another number of processes."""
        self._each("read", _files(prefix))

    def _each(self, method: str, files: tuple[Path, Path]) -> None:
        with self._told():
            for answer in [shard.call(method, *files) for shard in self._shards]:
                answer()

    def _parts(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Each process that has some of the rows, with their places in `rows`."""
        holder = np.searchsorted(self._bounds, rows, side="right") - 1
        for shard in range(len(self._shards)):
            mine = np.flatnonzero(holder == shard)
            if len(mine):
                yield shard, mine

    @contextmanager
    def _told(self) -> Iterator[None]:
        """First waits for the updates before; says what to do where a process has died."""
        try:
            while self._updates:
                self._updates.pop()()
            yield
        except ActorLost as error:
            self.lost = Unavailable(
                f"A process that held a part of the item table has died: {error}. Continue from the last epoch with "
                "--resume; if it was ended for its memory, with a larger cluster.table_shards."
            )
            raise self.lost from None


def _files(prefix: Path) -> tuple[Path, Path]:
    return prefix.with_name(f"{prefix.name}.rows.npy"), prefix.with_name(f"{prefix.name}.squares.npy")


@contextmanager
def sharded_rows(config: ClusterConfig, rows: int, dim: int, stddev: float, seed: int) -> Iterator[ShardedRows]:
    """A table in `cluster.table_shards` processes, which end with the context.

    Args:
        config: Section `cluster`.
        rows: int. Rows of the table.
        dim, stddev, seed: As for `RowShard`.

    Raises:
        Unavailable: As for `actors_of`; and, inside the context, a process has died.
    """
    bounds = np.linspace(0, rows, min(config.table_shards, rows) + 1).astype(np.int64)
    arguments = [(int(start), int(stop), dim, stddev, seed) for start, stop in itertools.pairwise(bounds)]
    with actors_of(config, RowShard, arguments) as shards:
        table = ShardedRows(shards, bounds, dim)
        try:
            yield table
        except Exception:
            if table.lost is not None:
                raise table.lost from None
            raise
