"""Connections, with limits on their number, time and bytes, so that no client locks others out.

uvicorn itself only limits how long a connection may be idle after an answer, and its fast parser, llhttp (httptools),
leaves off where a request offers another protocol, as Java's client does, which asks by HTTP/1.1 nevertheless.
"""

import asyncio
import http
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from tfdqn.serving.flow import Flow, is_reset

CLIENT_SECONDS = 30.0
_MOST_REFUSED = 64  # connections more, which are told so: one that is closed at once reads no answer
_IDLE_SECONDS = 1.0  # at the server's end, for a request that a client may just be sending
_UNTOUCHED_SECONDS = 2.0  # within which no client has to make room for another; more than between two checks
_MOST_HEAD_BYTES = 2**16  # of a request's head, or of what follows its body
_MOST_WAITING = 64  # requests on one connection, sent before the answers to those before them
_LENGTHS = (b"content-length", b"transfer-encoding")
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"  # a client passes over it, expected or not (RFC 9110, section 15.2)
_REQUEST, _BODY, _WORK, _TAKING = "request", "body", "work", "taking"


class Connection(HttpToolsProtocol):
    """A connection to one client.

    The client has `CLIENT_SECONDS` for the head of a request, for its body, and to take the answer. If there are
    `config.limit_concurrency` connections already, the one whose client has kept the server waiting longest is closed.

    It adds to a request's `scope["state"]`: `is_gone()`, whether the client has closed the connection, `has_next()`,
    whether further requests wait for this one's answer, and `is_one_too_many`, whether to refuse the request because no
    other connection could be closed.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ):
        own = {"is_gone": self._is_gone, "has_next": lambda: bool(self.pipeline), "is_one_too_many": False}
        state = {**app_state, **own}
        super().__init__(config, server_state, state, _loop)
        assert config.limit_concurrency is not None
        self._most = config.limit_concurrency
        self.limit_concurrency = None  # uvicorn would refuse everyone's requests, not the newest connection
        self._seen: tuple[object, str] = (None, _REQUEST)
        self._since = 0.0
        self._answered: RequestResponseCycle | None = None  # `cycle` is the last that was read, which may wait
        self._head_bytes = 0  # since a request or a part of a body ended
        self._is_head_known = False
        self._is_input_over = False
        self._is_half_closed = False
        self._is_lingering = False  # since its last answer: what comes is read and dropped

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.begin(transport)
        self.admit()

    def begin(self, transport: asyncio.Transport) -> None:
        """Begins to read requests and write answers through this transport."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)

    def admit(self) -> None:
        """Adds it to the connections, in the place of another if there are too many."""
        self._since = self.loop.time()
        if len(self.connections) <= self._most or self._make_room():
            return
        self.app_state["is_one_too_many"] = True
        if len(self.connections) > self._most + _MOST_REFUSED:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._leave_unanswered()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._is_input_over:  # and it stays open for the answers to the requests before
            return
        self._head_bytes += len(data)
        try:
            self._parse(memoryview(data))
        except httptools.HttpParserError as error:
            self.send_400_response(str(error))
            return
        if self._head_bytes > _MOST_HEAD_BYTES:
            self.send_400_response("the head is too long")
        elif len(self.pipeline) > _MOST_WAITING:
            self.transport.abort()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Whether the connection stays open: for the answers to requests that have come whole.

        A client that has closed the connection can't be told by this from one that will only send no more. An interim
        response tells them apart, because it makes the former's host reset the connection. HTTP/1.0 has none, so that
        its clients count as gone.
        """
        has_whole = self._end_input()
        if not has_whole or self._answered is None or self._answered.scope["http_version"] != "1.1":
            return False
        self._is_half_closed = True
        if self._awaited == _WORK:
            self.transport.write(_INTERIM)
        return True

    def on_headers_complete(self) -> None:
        if self._is_head_known or self._is_lingering or self.transport.is_closing():
            return
        names = [name for name, _ in self.headers]
        if self.parser.get_http_version() == "1.1" and names.count(b"host") != 1:
            raise ValueError("RFC 9112, section 3.2: one Host")
        if b"transfer-encoding" in names and dict(self.headers)[b"transfer-encoding"].lower() != b"chunked":
            raise ValueError("another coding than chunked")
        super().on_headers_complete()
        self.headers = []  # what follows the body is not added to the head

    def on_body(self, body: bytes) -> None:
        self._head_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes = 0
        if not self.parser.should_upgrade():  # else its body is still to come
            super().on_message_complete()
            if self._is_lingering and self.cycle.response_complete:
                self.transport.close()
            elif not self.parser.should_keep_alive():  # what follows the body may say so, too
                self.cycle.keep_alive = False

    def end_if_slow(self, now: float) -> None:
        """Closes it if its client takes too long. To be called about once a second."""
        if self._waited_seconds(now) >= CLIENT_SECONDS and self._awaited != _WORK:
            self._end(408, f"the request did not come within {CLIENT_SECONDS:.0f} s")

    def end_if_idle(self, now: float, since: float) -> None:
        """Closes it if nothing of a request has come for `_IDLE_SECONDS`, counted from `since` at the earliest."""
        is_idle = self._awaited == _REQUEST and not self._head_bytes and not self._is_in_body
        if min(self._waited_seconds(now), now - since) >= _IDLE_SECONDS and is_idle:
            self.transport.close()

    def end_waiting(self) -> None:
        """Refuses the request that its client has not finished, or closes it, unless its answer is being computed."""
        if self._awaited != _WORK:
            self._end(503, "the server ends")

    def send_400_response(self, msg: str) -> None:
        """Answers input that is not HTTP with status 400, unless an answer has already begun.

        Behind whole requests it is not answered: the connection is closed after their answers.
        """
        if self._end_input():
            return
        last = self._answered
        if last is not None and last.more_body and last.response_started:  # it is this request's body
            self.transport.abort()
        else:
            self._answer(400, "Malformed request: not HTTP/1.1")

    @property
    def _awaited(self) -> str:
        """What the connection waits for: a step of the client's, or `_WORK`."""
        cycle = self._answered
        if cycle is None or cycle.disconnected:
            return _REQUEST
        if cycle.response_complete:
            return _TAKING if self.transport.get_write_buffer_size() else _REQUEST
        if cycle.response_started:
            return _TAKING
        return _BODY if cycle.more_body else _WORK

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle

        async def answering(scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
            await app(scope, receive, partial(self._send, cycle, send))

        super()._start_asgi_task(cycle, answering)

    async def _send(self, cycle: RequestResponseCycle, send: Callable[[Any], Awaitable[None]], message: Any) -> None:
        """Sends a part of an answer."""
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        is_end = is_last and not cycle.keep_alive  # the head has told the client of the end
        if is_end:
            self._is_lingering = cycle.keep_alive = True  # uvicorn would close it at once
            self.pipeline.clear()
        await send(message)
        if is_end:
            self._linger()

    def _linger(self) -> None:
        """Ends it on this side, and reads until the client ends it, too: a reset would hide the answer from it."""
        if self.transport.is_closing():
            return
        if self._is_half_closed:
            self.transport.close()
        elif self.transport.can_write_eof():
            self._is_input_over, self._head_bytes = True, 0
            self.transport.write_eof()
            self.flow.resume_reading()
            self._unset_keepalive_if_required()
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        elif not self._is_in_body:  # with TLS, which ends in both directions at once
            self.transport.close()

    def _parse(self, data: memoryview) -> None:
        """Parses what has come. A request's offer of another protocol is passed over."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as offer:  # the parser ends after the head, and at this offset
                data = data[offer.args[0] :]
            lengths = [each for each in self.cycle.scope["headers"] if each[0] in _LENGTHS]
            self.parser = httptools.HttpRequestParser(self)
            self._is_head_known = True
            self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % b"".join(b"%b: %b\r\n" % each for each in lengths))
            self._is_head_known = False

    def _end_input(self) -> bool:
        """Drops what is unfinished, and takes nothing more; returns whether requests before it are to be answered.

        If so, the connection is closed after their answers.
        """
        self._is_input_over = True
        if self.pipeline and self.cycle.more_body:
            self.pipeline.popleft()  # the unfinished request itself
        last = self.pipeline[0][0] if self.pipeline else self._answered
        if last is None or last.more_body or last.response_complete:
            return False
        last.keep_alive = False
        return True

    def _is_gone(self) -> bool:
        """Whether the client has closed the connection; may be asked in any thread."""
        is_unread = self._is_half_closed or self.flow.read_paused
        return self.transport.is_closing() or (is_unread and is_reset(self.transport))

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

    @property
    def _is_in_body(self) -> bool:
        """Whether the body of a request is still to come; the request may have been answered."""
        return self.cycle is not None and self.cycle.more_body and not self.cycle.disconnected

    def _waited_seconds(self, now: float) -> float:
        """For how long it has waited for one step, as far as was seen by asking this again and again."""
        seen = (self._answered, self._awaited)
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since

    def _end(self, status: int, problem: str) -> None:
        """Closes it, with this answer to a request that has not come whole."""
        is_begun = self._awaited == _BODY or (self._awaited == _REQUEST and self._head_bytes and not self._is_in_body)
        if is_begun and not self.transport.is_closing():
            self._answer(status, problem)
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
        self._is_lingering = True
        self._leave_unanswered()
        self._linger()

    def _leave_unanswered(self) -> None:
        """Tells the application that nobody reads its answer, if that is still to come."""
        for cycle in (self._answered, self.cycle):
            if cycle is not None:
                cycle.disconnected, cycle.waiting_for_100_continue = True, False
                cycle.message_event.set()
