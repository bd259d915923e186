"""Connections, plain and encrypted, with limits on their number, time and bytes, so that no client locks others out.

uvicorn itself only limits how long a connection may be idle after an answer.
"""

import asyncio
import http
import json
import resource
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from tfdqn.serving.access import FileContent
from tfdqn.serving.payload import RequestError

MOST_BYTES = 128 * 2**20  # of all requests together
UNCOUNTED_BYTES = 2**16  # of each request: a small one always has its place, whatever large ones hold
CLIENT_SECONDS = 30.0
_MOST_CONNECTIONS = 512
_MOST_REFUSED = 64  # connections more, which are told so: one that is closed at once reads no answer
_CHECK_SECONDS = 1.0
_UNTOUCHED_SECONDS = 2.0  # within which no client has to make room for another; more than between two checks
_SHUTDOWN_SECONDS = 2.0  # for a client to confirm the end of TLS
_REQUEST, _BODY, _WORK, _TAKING = "request", "body", "work", "taking"


def most_connections() -> int:
    """Half of the files that this process may have open, or fewer."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, soft // 2)


class Connection(H11Protocol):
    """A connection to one client.

    The client has `CLIENT_SECONDS` for the head of a request, for its body, and to take the answer. If there are
    `config.limit_concurrency` connections already, the one whose client has kept the server waiting longest is closed.

    It adds to a request's `scope["state"]`: `is_gone()`, whether the client has closed the connection, and
    `is_one_too_many`, whether to refuse the request because no other connection could be closed.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ):
        state = {**app_state, "is_gone": self._is_gone, "is_one_too_many": False}
        super().__init__(config, server_state, state, _loop)
        assert config.limit_concurrency is not None
        self._most = config.limit_concurrency
        self.limit_concurrency = None  # uvicorn would refuse everyone's requests, not the newest connection
        self._seen: tuple[object, str] = (None, _REQUEST)
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.begin(transport)
        self.admit()

    def begin(self, transport: asyncio.Transport) -> None:
        """Begins to read requests and write answers through this transport."""
        super().connection_made(transport)

    def admit(self) -> None:
        """Adds it to the connections, in the place of another if there are too many."""
        self._since = self.loop.time()
        if len(self.connections) <= self._most or self._make_room():
            return
        self.app_state["is_one_too_many"] = True
        if len(self.connections) > self._most + _MOST_REFUSED:
            self.transport.abort()

    def end_if_slow(self, now: float) -> None:
        """Closes it if its client takes too long. To be called about once a second."""
        seen = (self.cycle, self._awaited)
        if seen != self._seen:
            self._seen, self._since = seen, now
        elif self._awaited != _WORK and now - self._since >= CLIENT_SECONDS:
            self._end()

    def end_waiting(self) -> None:
        """Closes it, unless its answer is being computed."""
        if self._awaited != _WORK:
            self._end()

    def send_400_response(self, msg: str) -> None:
        """Answers input that is not HTTP with status 400, unless an answer has already begun."""
        if self.cycle is not None and self.cycle.response_started:
            self.transport.abort()
        else:
            self._answer(400, "Malformed request: not HTTP/1.1")

    @property
    def _awaited(self) -> str:
        """What the connection waits for: a step of the client's, or `_WORK`."""
        cycle = self.cycle
        if cycle is None or (cycle.response_complete and not self.transport.get_write_buffer_size()):
            return _REQUEST
        if cycle.response_started:
            return _TAKING
        return _BODY if cycle.more_body else _WORK

    def _is_gone(self) -> bool:
        return self.transport.is_closing()

    def _make_room(self) -> bool:
        """Closes another connection; returns whether one could be closed."""
        latest = self.loop.time() - _UNTOUCHED_SECONDS
        others = [each for each in self.connections if isinstance(each, Connection) and each._awaited != _WORK]
        oldest = min(others, key=lambda each: each._since)
        if oldest._since > latest:
            return False
        self.connections.discard(oldest)
        oldest.transport.abort()
        return True

    def _end(self) -> None:
        if self._awaited == _REQUEST and self.conn.trailing_data[0] and not self.transport.is_closing():
            self._answer(408, f"the request's head did not come within {CLIENT_SECONDS:.0f} s")
        else:
            self.transport.abort()

    def _answer(self, status: int, problem: str) -> None:
        """Answers without the application, and closes the connection."""
        body = json.dumps({"error": problem}).encode()
        head = (
            f"HTTP/1.1 {status} {http.HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


class TlsConnection(Connection):
    """An encrypted connection, which makes the TLS handshake itself.

    asyncio's own TLS server reports a connection only after its handshake. Here connections count, and can be closed in
    favour of others, during the handshake too; and a new certificate is used as soon as it has been read.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        tls: FileContent[ssl.SSLContext],
    ):
        super().__init__(config, server_state, app_state, _loop)
        self._tls = tls
        self._is_encrypted = False
        self._early = bytearray()
        self._handshake: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self.connections.add(self)
        self.admit()
        transport.pause_reading()  # until the handshake takes over: nothing unencrypted is ever read as a request
        self._handshake = self.loop.create_task(self._shake_hands(transport))

    def data_received(self, data: bytes) -> None:
        if self._is_encrypted:
            super().data_received(data)
        else:  # with the handshake's last packet
            self._early += data

    async def _shake_hands(self, transport: asyncio.Transport) -> None:
        try:
            encrypted = await self.loop.start_tls(
                transport, self, self._tls.value, server_side=True, ssl_shutdown_timeout=_SHUTDOWN_SECONDS
            )
        except OSError:  # the client doesn't speak TLS, is silent, or has gone
            encrypted = None
        if encrypted is None or transport.is_closing():
            self.connections.discard(self)
            transport.abort()
            return
        self.begin(encrypted)
        self._is_encrypted = True
        if self._early:
            super().data_received(bytes(self._early))
            self._early.clear()


async def end_slow(connections: Iterable[Any]) -> None:
    """Closes connections whose clients take too long, until it is cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        await asyncio.sleep(_CHECK_SECONDS)
        for each in tuple(connections):
            each.end_if_slow(loop.time())


def end_waiting(connections: Iterable[Any]) -> None:
    """Closes connections that wait for their clients."""
    for each in tuple(connections):
        each.end_waiting()


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
