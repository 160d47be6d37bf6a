"""What shares the work of a command: a function is called for each part, somewhere, and the results come back in order.

The rooms that have work to share know only this. What they give must not depend on where it runs: each call reads its
part, and writes what is large to a file that every machine can read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

from tfrec.config.cluster import ClusterConfig

T = TypeVar("T")


class Workers(Protocol):
    """Calls functions in other places.

    Attributes:
        count: How many work at the same time.
    """

    count: int

    def map(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]], label: str) -> list[T]:
        """The results of `function(*call)` for each call, in their order; an error of one is raised here.

        A call is repeated where its worker was lost, so it must give the same result and leave the same files again.

        Args:
            function: A function of a module.
            calls: Its arguments; what several of them share is passed through `share`.
            label: What is being done, for progress and the dashboard of the cluster.
        """

    def share(self, value: Any) -> Any:
        """Something large that many calls take as an argument, sent to each machine once; they get the value itself."""


class InThisProcess:
    """No cluster: the calls run here, one after the other.

    Example:
        >>> InThisProcess(2).map(divmod, [(7, 2), (9, 4)], "Dividing")
        [(3, 1), (2, 1)]
    """

    def __init__(self, count: int = 1) -> None:
        self.count = count

    def map(self, function: Callable[..., T], calls: Sequence[tuple[Any, ...]], label: str) -> list[T]:
        """As for `Workers`."""
        return [function(*call) for call in calls]

    def share(self, value: Any) -> Any:
        """The value."""
        return value


def whole_batches(rows: int, batch: int, parts: int) -> list[slice]:
    """Cuts rows into about as many parts as asked, each a number of whole batches but for the last.

    A worker that goes through its part in batches then has those of a single process, and so the same last bits.

    Args:
        rows: How many there are.
        batch: Rows of a batch.
        parts: How many parts there should be; there are fewer where batches are few.

    Example:
        >>> whole_batches(10, batch=2, parts=3)
        [slice(0, 4, None), slice(4, 8, None), slice(8, 12, None)]
    """
    batches = -(-rows // batch)
    size = batch * max(1, -(-batches // parts))
    return [slice(start, start + size) for start in range(0, rows, size)]


@contextmanager
def workers_of(config: ClusterConfig) -> Iterator[Workers]:
    """The workers that `cluster.engine=ray` asks for. A cluster that was started for them ends with the context.

    Raises:
        Unavailable: Ray is not installed, the cluster cannot be reached, it has too few cores, or its workers have
            other versions than this process.
    """
    from tfrec.cluster.ray_workers import RayWorkers, connected

    with connected(config):
        yield RayWorkers(config)
