"""What the parts of `serve.py` have in common: the size of the vectors and the lists, and how calls are timed."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

DIM, K = 128, 10


def in_turns(calls: dict[str, Callable[[], object]], seconds: float) -> dict[str, list[float]]:
    """Latencies of each call, made in turns for a number of seconds, after three calls each to warm up."""
    for call in calls.values():
        for _ in range(3):
            call()
    latencies: dict[str, list[float]] = {name: [] for name in calls}
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(next(iter(latencies.values()))) < 5:
        for name, call in calls.items():
            started = time.perf_counter()
            call()
            latencies[name].append(time.perf_counter() - started)
    return latencies


def summary(seconds: list[float]) -> dict[str, float]:
    """Median and 99th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {"p50_ms": 1e3 * statistics.median(ordered), "p99_ms": 1e3 * ordered[int(0.99 * (len(ordered) - 1))]}
