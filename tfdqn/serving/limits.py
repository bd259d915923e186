"""How many connections there may be, and how much memory requests may use, so that no client locks others out."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager

from tfdqn.serving.payload import RequestError

MOST_BYTES = 128 * 2**20  # of all requests together
UNCOUNTED_BYTES = 2**16  # of each request: a small one always has its place, whatever large ones hold
_MOST_CONNECTIONS = 512


def most_connections() -> int:
    """Half of the files that this process may have open, or fewer."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, soft // 2)


class MemoryBudget:
    """How many bytes the requests of one event loop may hold together, from the first byte to the answer's last."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self.most_bytes = self.free_bytes = most_bytes

    @property
    def held_bytes(self) -> int:
        return self.most_bytes - self.free_bytes

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """The share of one request, while the block runs."""
        share = Share(self)
        try:
            yield share
        finally:
            share.hold(0)


class Share:
    """The bytes that one request holds."""

    def __init__(self, budget: MemoryBudget):
        self._budget = budget
        self._held = 0

    def hold(self, count: int) -> None:
        """Sets how many bytes it holds. Raises RequestError with 503 if there is no room for more."""
        more = max(0, count - UNCOUNTED_BYTES) - self._held
        if more > self._budget.free_bytes:
            most = self._budget.most_bytes // 2**20
            raise RequestError(f"the server holds {most} MiB of requests, the most it takes; try again later", 503)
        self._budget.free_bytes -= more
        self._held += more
