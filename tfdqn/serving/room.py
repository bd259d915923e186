"""`MemoryBudget`: how many bytes all requests together may hold, from their first byte to their answer's last."""

from tfdqn.serving.payload import RequestError

MOST_BYTES = 128 * 2**20
UNCOUNTED_BYTES = 2**16  # of each request: what is small always has its place, whatever large ones hold


class MemoryBudget:
    """Shared among the requests of one event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES):
        self.most_bytes = self.free_bytes = most_bytes

    def share(self) -> "Share":
        return Share(self)


class Share:
    """What one request holds, for as long as the block runs."""

    def __init__(self, room: MemoryBudget):
        self._room = room
        self._held = 0

    def __enter__(self) -> "Share":
        return self

    def __exit__(self, *reason: object) -> None:
        self._room.free_bytes += self._held
        self._held = 0

    def hold(self, count: int) -> None:
        """In place of what it held. Raises RequestError with 503 where there is no room for more."""
        more = max(0, count - UNCOUNTED_BYTES) - self._held
        if more > self._room.free_bytes:
            total = self._room.most_bytes // 2**20
            raise RequestError(
                f"the server holds {total} MiB of requests, the most it takes; try again later", 503
            )
        self._room.free_bytes -= more
        self._held += more
