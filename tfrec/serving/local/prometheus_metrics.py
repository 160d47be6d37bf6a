"""What the server counts, under the names that TF Serving's dashboards know."""

from __future__ import annotations

import prometheus_client as prometheus

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """Counters of one server, in a registry of its own.

    `:tensorflow:serving:request_count{model_name, status}`, `:tensorflow:serving:request_latency` (a histogram in
    microseconds, by model, API and entrypoint), `tfrec_waiting_requests` and `tfrec_model_calls`.
    """

    def __init__(self) -> None:
        self.registry = prometheus.CollectorRegistry()
        # Counter would add "_total", and the dashboards would not find it.
        self._count = prometheus.Gauge(
            ":tensorflow:serving:request_count", "Requests.", ["model_name", "status"], registry=self.registry
        )
        self._latency = prometheus.Histogram(
            ":tensorflow:serving:request_latency",
            "Microseconds from request to answer.",
            ["model_name", "API", "entrypoint"],
            buckets=[1e6 * seconds for seconds in _SECONDS],
            registry=self.registry,
        )
        self.waiting = prometheus.Gauge("tfrec_waiting_requests", "Requests not answered yet.", registry=self.registry)
        self.calls = prometheus.Gauge("tfrec_model_calls", "Calls of models, of batches.", registry=self.registry)

    def record(self, model: str, status: str, entrypoint: str, seconds: float) -> None:
        """Counts a request.

        Args:
            model: A model that is served; pass "" for others, so that clients cannot make series without end.
            status: Name of the canonical code.
            entrypoint: "REST" or "GRPC".
            seconds: How long it took.
        """
        self._count.labels(model, status).inc()
        self._latency.labels(model, "Predict", entrypoint).observe(1e6 * seconds)

    def text(self) -> bytes:
        """The exposition format."""
        return prometheus.generate_latest(self.registry)
