"""Objects that live in processes of their own for as long as a piece of work takes, to hold what is too large for one.

The processes are of this machine or, with `cluster.engine=ray`, of any machine of a Ray cluster. The callers know only
`Actor`. One that dies takes with it what it held, so nothing here starts it again: its caller has to know what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from tfrec.cluster.actor import Actor
from tfrec.config.cluster import ClusterConfig


@contextmanager
def actors_of(
    config: ClusterConfig, make: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]
) -> Iterator[list[Actor]]:
    """Objects `make(*each)` in processes of their own, which end with the context.

    Args:
        config: Section `cluster`: `engine` says where.
        make: A class, or a function of a module.
        arguments: Those of each object.

    Raises:
        Unavailable: With Ray: it is not installed, or the cluster cannot be reached or has too few cores.
    """
    with ExitStack() as stack:
        if config.engine == "ray":
            from tfrec.cluster.ray_actor import RayActor
            from tfrec.cluster.ray_workers import connected

            stack.enter_context(connected(config.model_copy(update={"workers": len(arguments)})))
            yield [stack.enter_context(RayActor(config, make, each)) for each in arguments]
        else:
            from tfrec.cluster.process_actor import ProcessActor

            yield [stack.enter_context(ProcessActor(make, each)) for each in arguments]
