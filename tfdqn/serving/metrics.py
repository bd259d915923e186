"""`RequestMetrics`: counts and times requests, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset(("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"))


class RequestMetrics:
    """Requests to one server by path, method and status. Clients can't add values to these labels.

    Args:
      registry: the server's own, so that several servers in one process count separately.
    """

    def __init__(self, registry: CollectorRegistry):
        labels = ("path", "method", "status")
        self._requests = Counter("tfdqn_requests_total", "Requests that were answered.", labels, registry=registry)
        self._seconds = Histogram(
            "tfdqn_request_seconds",
            "From a request's head to its answer's last byte.",
            ("path",),
            buckets=_SECONDS,
            registry=registry,
        )

    def add(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one request; `path` is its route's, with names in place of values."""
        self._requests.labels(path, method if method in _METHODS else "other", status).inc()
        self._seconds.labels(path).observe(seconds)
