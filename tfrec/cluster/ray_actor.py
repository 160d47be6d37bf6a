"""An actor on some machine of a Ray cluster."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

from tfrec.cluster.actor import ActorLost
from tfrec.cluster.ray_workers import ray_module
from tfrec.config.cluster import ClusterConfig


class RayActor:
    """As for `Actor`. There must be a connection to the cluster.

    Args:
        config: Section `cluster`: the cores that an actor takes.
        make: The class of the object.
        arguments: Its arguments.
    """

    def __init__(self, config: ClusterConfig, make: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        self._ray = ray_module()
        self._actor = self._ray.remote(make).options(num_cpus=config.cpus_per_worker).remote(*arguments)

    def call(self, method: str, *arguments: Any) -> Callable[[], Any]:
        """As for `Actor`."""
        answer = getattr(self._actor, method).remote(*arguments)

        def wait() -> Any:
            try:
                return self._ray.get(answer)
            except self._ray.exceptions.RayActorError as error:
                raise ActorLost(str(error).strip().splitlines()[0]) from None
            except self._ray.exceptions.RayTaskError as error:
                raise error.cause from None

        return wait

    def __enter__(self) -> RayActor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.kill(self._actor)
