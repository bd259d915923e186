"""`Monitor`: answers whether the server is alive, whether it is ready, and how busy it is."""

from collections.abc import Callable, Iterator, Sized

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import GaugeMetricFamily
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfdqn.serving.batching import Batcher
from tfdqn.serving.limits import MemoryBudget
from tfdqn.serving.model import ModelVersions

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_METHODS = frozenset(("GET", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"))


class Monitor:
    """Counts requests, answers health checks, and gives Prometheus its metrics: those of this server alone.

    Attributes:
      is_ready: whether the server takes new requests; false once it is about to end.
    """

    def __init__(self, name: str, versions: ModelVersions, batcher: Batcher, budget: MemoryBudget, connections: Sized):
        self.is_ready = True
        self._registry = registry = CollectorRegistry()
        labels = ("path", "method", "status")
        self._requests = Counter("tfdqn_requests_total", "Requests that were answered.", labels, registry=registry)
        help = "From a request's head to its answer's last byte."
        self._seconds = Histogram("tfdqn_request_seconds", help, ("path",), buckets=_SECONDS, registry=registry)
        registry.register(batcher.batch_rows)
        self._gauge("tfdqn_waiting_requests", "Requests that wait for a call of the model.", lambda: batcher.waiting)
        self._gauge("tfdqn_connections", "Open connections.", lambda: len(connections))
        self._gauge("tfdqn_large_request_bytes", "Bytes that large requests hold.", lambda: budget.held_bytes)
        self._gauge("tfdqn_ready", "Whether new requests should come.", lambda: self.is_ready)
        registry.register(_VersionStates(name, versions))
        ProcessCollector(registry=registry)

    def count(self, path: str, method: str, status: int, seconds: float) -> None:
        """Counts one request; `path` is its route's, with names in place of values, so that clients add no labels."""
        self._requests.labels(path, method if method in _METHODS else "other", status).inc()
        self._seconds.labels(path).observe(seconds)

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        return JSONResponse({"ready": self.is_ready}, 200 if self.is_ready else 503)

    async def prometheus(self, request: Request) -> Response:
        return Response(generate_latest(self._registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    def _gauge(self, name: str, help: str, value: Callable[[], float]) -> None:
        """Adds a metric whose value is computed whenever metrics are collected."""
        Gauge(name, help, registry=self._registry).set_function(value)


class _VersionStates(Collector):
    """The state of every version of the model that the server has seen."""

    def __init__(self, name: str, versions: ModelVersions):
        self._name = name
        self._versions = versions

    def collect(self) -> Iterator[GaugeMetricFamily]:
        labels = ("model", "version", "state")
        family = GaugeMetricFamily("tfdqn_model_version", "1 for each version in its present state.", labels=labels)
        for version, found in sorted(self._versions.states.items()):
            family.add_metric((self._name, str(version), found.state), 1)
        yield family
