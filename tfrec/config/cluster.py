"""Options of jobs that run on a cluster."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tfrec.config.base import Section


class ClusterConfig(Section):
    """Where the work is done: in this process, or by the workers of a Ray cluster. The result is the same."""

    engine: Literal["none", "ray"] = Field(
        "none", description="none: this process does all the work. ray: the workers of a Ray cluster share it."
    )
    address: str | None = Field(
        None,
        description="Address of a running cluster, as ray.init takes it: auto, HOST:6379, ray://HOST:10001. null: what "
        "RAY_ADDRESS says, else a cluster of this machine, which ends with the command.",
    )
    workers: int = Field(2, ge=1, description="How many workers share the work; the cluster must have room for them.")
    min_workers: int | None = Field(
        None,
        ge=1,
        description="train: with how many processes training goes on where machines are lost and none take their "
        "place; it takes in others as they come. null: with all of cluster.workers, or not at all.",
    )
    cpus_per_worker: float = Field(1.0, gt=0, description="Cores of each worker; a share of one is allowed.")
    spill: str | None = Field(
        None,
        description="Folder for what is between two steps, at the same path on every machine, about 25 bytes an event. "
        "null: beside the output, which then lies on storage that all machines share.",
    )
    table_shards: int = Field(
        0,
        ge=0,
        description="train, next-item: processes that hold the id vectors, each a part of the rows, with row-wise "
        "Adagrad; on this machine, or with engine=ray in the cluster. 0: the training process holds them, with Adam.",
    )
    retries: int = Field(
        3, ge=0, description="How often a task is repeated whose worker or machine has died, or that could not read."
    )
    timeout: float = Field(
        60.0,
        gt=0,
        description="Seconds to wait for the cluster and for its workers; without enough cores by then, or with none "
        "left later on, the command ends and says so.",
    )
