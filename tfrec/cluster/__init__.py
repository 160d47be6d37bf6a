"""Many machines: how a cluster is reached, and how work is given to it. What the work is, the other rooms know."""

from tfrec.cluster.workers import InThisProcess, Workers, whole_batches, workers_of

__all__ = ["InThisProcess", "Workers", "whole_batches", "workers_of"]
