"""Prometheus metrics under the names that TF Serving's dashboards use."""

from __future__ import annotations

import prometheus_client as prometheus

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)


class Metrics:
    """Metrics of one server, in a registry of their own.

    `:tensorflow:serving:request_count{model_name, status}`, `:tensorflow:serving:request_latency` (a histogram in
    microseconds, by model, API and entrypoint), `tfrec_waiting_requests`, `tfrec_model_calls` and
    `tfrec_request_log_lines{outcome}`.
    """

    def __init__(self) -> None:
        self.registry = prometheus.CollectorRegistry()
        # A Counter would append "_total" to the name, which dashboards do not expect.
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
        self.calls = prometheus.Gauge(
            "tfrec_model_calls", "Calls of models; a batch is one call.", registry=self.registry
        )
        self.log_lines = prometheus.Gauge(
            "tfrec_request_log_lines", "Lines for the request log.", ["outcome"], registry=self.registry
        )

    def record(self, model: str, status: str, entrypoint: str, seconds: float) -> None:
        """Counts a request.

        Args:
            model: Name of a served model; "" for others, so that clients cannot create unlimited series.
            status: Name of the canonical error code, or "OK".
            entrypoint: "REST" or "GRPC".
            seconds: Duration of the request.
        """
        self._count.labels(model, status).inc()
        self._latency.labels(model, "Predict", entrypoint).observe(1e6 * seconds)

    def text(self) -> bytes:
        """All metrics in the Prometheus text format."""
        return prometheus.generate_latest(self.registry)
