"""`Monitor`: what watches the server asks: whether it lives, whether it takes requests, and its metrics."""

from collections.abc import Iterator, Sized

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tfdqn.serving.batching import Batcher
from tfdqn.serving.limits import MemoryBudget
from tfdqn.serving.metrics import CONTENT_TYPE, Family, Labels, Metrics, gauge, process_families, text
from tfdqn.serving.model_versions import ModelVersions


class Monitor:
    """The answers.

    Attributes:
      is_ready: whether new requests should come; no more when the server is about to end.
      metrics: of requests.
    """

    def __init__(self, name: str, versions: ModelVersions, batcher: Batcher, budget: MemoryBudget, connections: Sized):
        self.is_ready = True
        self.metrics = Metrics()
        self._name = name
        self._versions = versions
        self._batcher = batcher
        self._budget = budget
        self._connections = connections

    async def live(self, request: Request) -> Response:
        return JSONResponse({"live": True})

    async def ready(self, request: Request) -> Response:
        return JSONResponse({"ready": self.is_ready}, 200 if self.is_ready else 503)

    async def prometheus(self, request: Request) -> Response:
        families = (*self.metrics.families(), *self._families(), *process_families())
        return Response(text(families), media_type=CONTENT_TYPE)

    def _families(self) -> Iterator[Family]:
        batches = self._batcher.batches.samples()
        yield Family("tfdqn_batch_rows", "histogram", "Rows of each call of the model; the sum is all rows.", batches)
        yield gauge("tfdqn_waiting_requests", "Requests that wait for a call of the model.", self._batcher.waiting)
        yield gauge("tfdqn_connections", "Open connections.", len(self._connections))
        held = self._budget.most_bytes - self._budget.free_bytes
        yield gauge("tfdqn_large_request_bytes", "Bytes that large requests hold.", held)
        states: dict[Labels, float] = {
            (("model", self._name), ("version", version), ("state", found.state)): 1
            for version, found in sorted(self._versions.states.items())
        }
        yield gauge("tfdqn_model_version", "1 for each version in the state that it is in.", states)
        yield gauge("tfdqn_ready", "Whether new requests should come.", int(self.is_ready))
