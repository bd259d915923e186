"""At its end a server answers all that has come, and what comes on open connections; it resets none of them."""

import asyncio
import json
import re
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.certificates import write_certificate
from tests.support.serving_in_process import PREDICT, Drain, InProcess, received_without_reset, request, serving
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.serving.access import Access, read_access
from tfdqn.serving.ending import _drop_new, stop_listening
from tfdqn.serving.options import Options
from tfdqn.system.addresses import listen

ONE = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
WHOLE = request(ONE)
HALF_A_HEAD, HALF_A_BODY = WHOLE[:20], WHOLE[:-1]
CLOSE = b"\r\nconnection: close\r\n"


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a server's end, its clients have as long as the test."""
    monkeypatch.setattr("tfdqn.serving.connections._IDLE_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("tfdqn.serving.server._FINISH_SECONDS", PATIENCE_SECONDS)


def statuses(answers: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


def end_listening(server: InProcess) -> None:
    """Ends a server, until it accepts no more."""
    server.end.set()
    until(lambda: not _is_reached(server))


def _is_reached(server: InProcess) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), 0.2).close()
    except TimeoutError:
        return True  # it is about to stop
    except ConnectionRefusedError:
        return False
    return True


def one_answer(connection: socket.socket) -> bytes:
    found = b""
    while not found.endswith(b"}]}"):
        part = connection.recv(2**16)
        assert part
        found += part
    return found


@contextmanager
def _connection(server: InProcess, certificate: Path | None) -> Iterator[socket.socket]:
    with server.connect() as plain:
        if certificate is None:
            yield plain
        else:
            context = ssl.create_default_context(cafile=str(certificate))
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as encrypted:
                yield encrypted


@pytest.mark.parametrize("is_encrypted", [False, True])
@pytest.mark.parametrize("before", [b"", WHOLE, HALF_A_HEAD, HALF_A_BODY], ids=["new", "kept", "in head", "in body"])
def test_open_connections_get_one_more_answer(
    tmp_path: Path, patient: None, before: bytes, is_encrypted: bool, caplog: pytest.LogCaptureFixture
) -> None:
    pair = write_certificate(tmp_path, "one") if is_encrypted else None
    access = read_access(None, *pair, pytest.fail) if pair else Access()
    with serving(options=Options(access)) as server, _connection(server, pair and pair[0]) as connection:
        connection.sendall(before)
        if before == WHOLE:
            assert CLOSE not in one_answer(connection)
        end_listening(server)
        connection.sendall(WHOLE if before == WHOLE else WHOLE[len(before) :])
        found = one_answer(connection)
        assert statuses(found) == [200] and CLOSE in found
        assert connection.recv(1) == b""
    assert not caplog.records


def test_a_handshake_that_has_begun_is_finished(tmp_path: Path, patient: None) -> None:
    pair = write_certificate(tmp_path, "one")
    with serving(options=Options(read_access(None, *pair, pytest.fail))) as server, server.connect() as plain:
        end_listening(server)
        context = ssl.create_default_context(cafile=str(pair[0]))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(WHOLE)
            assert CLOSE in one_answer(connection)


@pytest.mark.parametrize("before", [b"", WHOLE])
def test_a_client_that_asks_no_more_does_not_hold_the_end(
    monkeypatch: pytest.MonkeyPatch, patient: None, before: bytes
) -> None:
    monkeypatch.setattr("tfdqn.serving.connections._IDLE_SECONDS", 0.1)
    with serving() as server, server.connect(before) as connection:
        if before:
            one_answer(connection)
        server.end.set()
        server.thread.join(PATIENCE_SECONDS / 2)
        assert not server.thread.is_alive()
        assert connection.recv(1) == b""


def test_requests_that_wait_behind_another_are_answered_too(monkeypatch: pytest.MonkeyPatch) -> None:
    drain = Drain(monkeypatch)
    with serving(options=drain.options) as server:
        server.model.hold()
        connection = server.connect(WHOLE * 3)
        assert server.model.begun.wait(PATIENCE_SECONDS)
        server.end.set()
        until(lambda: server.ask("GET", "/readyz")[0] == 503)
        server.model.go.set()
        found = received_without_reset(connection)
        drain.over.set()
    assert statuses(found) == [200] * 3
    assert found.count(CLOSE) == 1 and CLOSE in found.rpartition(b"HTTP/1.1")[2]


def test_what_is_unfinished_at_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tfdqn.serving.server._FINISH_SECONDS", 0.5)
    with serving() as server, ThreadPoolExecutor(1) as clients:
        unfinished = [server.connect(text) for text in (HALF_A_HEAD, HALF_A_BODY)]
        server.model.hold()
        silent, held = server.connect(), server.connect(WHOLE * 2)
        assert server.model.begun.wait(PATIENCE_SECONDS)
        server.end.set()
        answers = clients.submit(received_without_reset, held)
        for each in unfinished:
            found = received_without_reset(each)
            assert statuses(found) == [503] and found.endswith(b'{"error": "the server ends"}')
        assert received_without_reset(silent) == b""
        assert statuses(answers.result(PATIENCE_SECONDS)) == [503, 503]
        server.thread.join(PATIENCE_SECONDS / 2)  # while the model is held, which is for longer
        assert not server.thread.is_alive()
    assert not caplog.records


@pytest.mark.parametrize("is_kept", [False, True])
def test_clients_that_ask_without_pause_are_answered_until_they_are_refused(patient: None, is_kept: bool) -> None:
    statuses: list[int] = []

    def ask_until_refused(server: InProcess) -> None:
        client = HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_SECONDS)
        with closing(client), pytest.raises(ConnectionRefusedError):
            while True:
                client.request("POST", PREDICT, ONE)
                answer = client.getresponse()
                answer.read()
                statuses.append(answer.status)
                if not is_kept:
                    client.close()

    with serving() as server, ThreadPoolExecutor(4) as clients:
        working = [clients.submit(ask_until_refused, server) for _ in range(4)]
        until(lambda: len(statuses) > 40)
        server.end.set()
        for each in working:
            each.result(PATIENCE_SECONDS)
    assert set(statuses) == {200}


def test_connections_that_nobody_has_accepted_yet_are_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.serving.ending._HANDSHAKE_SECONDS", 0)  # in which all would be accepted anyway

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async def ended(listening: socket.socket) -> list[bytes]:
        server = await asyncio.start_server(greet, sock=listening, backlog=1)  # it accepts one at a time
        listening.listen(128)
        port = listening.getsockname()[1]
        clients = [socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS) for _ in range(20)]
        await stop_listening([listening], [server])
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), PATIENCE_SECONDS)
        return [await asyncio.to_thread(received_without_reset, each) for each in clients]

    with listen("127.0.0.1", 0) as listening:
        assert asyncio.run(ended(listening)) == [b"hello"] * 20


def test_what_is_accepted_at_the_last_moment_is_known_before_listening_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[bool] = []

    class Noting(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            made.append(True)

    async def found() -> list[bool]:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Noting, sock=listening)
        await asyncio.sleep(0)

        def select(*_: object) -> tuple[list[object], ...]:
            """Accepts a connection as the loop would in this very step; none is waiting then."""
            clients.append(socket.create_connection(listening.getsockname(), PATIENCE_SECONDS))
            loop._selector.get_key(listening.fileno()).data[0]._run()  # type: ignore[attr-defined]
            return [], [], []

        monkeypatch.setattr("tfdqn.serving.ending.select", SimpleNamespace(select=select))
        await stop_listening([listening], [server])
        return list(made)

    monkeypatch.setattr("tfdqn.serving.ending._drop_new", lambda _: None)
    clients: list[socket.socket] = []
    with listen("127.0.0.1", 0) as listening:
        listening.setblocking(False)
        assert asyncio.run(found()) == [True]
    (client,) = clients
    client.close()


def test_while_what_has_come_is_accepted_no_more_comes() -> None:
    with listen("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()) as before:
        _drop_new(listening)
        with pytest.raises(TimeoutError):
            socket.create_connection(listening.getsockname(), timeout=0.2)
        accepted, _ = listening.accept()
        with accepted:
            before.sendall(b"request")
            assert accepted.recv(7) == b"request"
            accepted.sendall(b"answer")
            assert before.recv(6) == b"answer"
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
