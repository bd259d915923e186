"""What is encrypted has the limits of what is not, and they begin with the handshake."""

import asyncio
import json
import select
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.certificates import write_certificate
from tests.support.serving_in_process import InProcess, received, request, serving
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.serving.access import Access, FileContent, read_access, read_tls
from tfdqn.serving.connections_with_tls import TlsConnection
from tfdqn.serving.options import Options
from tfdqn.serving.payload import MOST_ROWS

ONE = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
CLOSE = "Connection: close\r\n"


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    return write_certificate(tmp_path, "one")


@pytest.fixture
def server(pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    """Its limits are small: six connections, which are looked at often."""
    for name, value in {
        "limits._MOST_CONNECTIONS": 6,
        "ending._CHECK_SECONDS": 0.05,
        "connections._UNTOUCHED_SECONDS": 0.2,
    }.items():
        monkeypatch.setattr(f"tfdqn.serving.{name}", value)
    with serving(options=Options(read_access(None, *pair, pytest.fail))) as found:
        yield found
        monkeypatch.setattr("tfdqn.serving.connections.CLIENT_SECONDS", 0.5)  # for its end


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def encrypted(server: InProcess, certificate: Path) -> ssl.SSLSocket:
    return trusting(certificate).wrap_socket(server.connect(), server_hostname="127.0.0.1")


def answered(server: InProcess, certificate: Path, body: bytes = ONE) -> bytes:
    connection = encrypted(server, certificate)
    connection.sendall(request(body, head=CLOSE))
    return received(connection)


def test_small_and_large_requests_are_answered(server: InProcess, pair: tuple[Path, Path]) -> None:
    assert answered(server, pair[0]).endswith(b'{"predictions":[{"action":3,"q":10.0}]}')
    body = json.dumps({"instances": [[1, 2, 3, 4]] * MOST_ROWS}).encode()
    assert answered(server, pair[0], body).count(b'"q":10.0') == MOST_ROWS


def test_who_sends_a_body_that_is_refused_reads_why(server: InProcess, pair: tuple[Path, Path]) -> None:
    assert answered(server, pair[0], b" " * 2**25).startswith(b"HTTP/1.1 413")


def test_what_comes_with_the_handshakes_last_packet_is_answered(server: InProcess, pair: tuple[Path, Path]) -> None:
    received_bytes, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting(pair[0]).wrap_bio(received_bytes, sent, server_hostname="127.0.0.1")
    with server.connect() as connection:
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                connection.sendall(sent.read())
                received_bytes.write(connection.recv(2**16))
        client.write(request(ONE))
        connection.sendall(sent.read())  # the client's Finished, and a request
        text = b""
        while b'"q":10.0' not in text:
            received_bytes.write(connection.recv(2**16))
            try:
                text += client.read(2**16)
            except ssl.SSLWantReadError:
                continue


def test_what_speaks_no_tls_gets_nothing(
    server: InProcess, pair: tuple[Path, Path], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    raised: list[BaseException] = []
    shake_hands = TlsConnection._shake_hands

    async def watched(connection: TlsConnection, transport: asyncio.Transport) -> None:
        try:
            await shake_hands(connection, transport)
        except BaseException as error:
            raised.append(error)

    monkeypatch.setattr(TlsConnection, "_shake_hands", watched)
    assert b"HTTP" not in received(server.connect(request(ONE)))
    assert b'"q":10.0' in answered(server, pair[0])
    assert not caplog.records and not raised


def test_a_client_that_ends_tls_ends_the_connection(
    server: InProcess, pair: tuple[Path, Path], caplog: pytest.LogCaptureFixture
) -> None:
    server.model.hold()
    connection = encrypted(server, pair[0])
    connection.sendall(request(ONE))
    assert server.model.begun.wait(PATIENCE_SECONDS)
    connection.unwrap().close()
    server.model.go.set()
    assert answered(server, pair[0]).endswith(b'"q":10.0}]}')
    assert not caplog.records


def test_silence_before_the_handshake_ends(server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.serving.connections.CLIENT_SECONDS", 0.5)
    assert received(server.connect()) == b""
    assert received(server.connect(b"\x16\x03\x01\x02")) == b""


def test_connections_without_a_handshake_make_room(
    server: InProcess, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.serving.connections.CLIENT_SECONDS", 3600.0)
    silent = [server.connect() for _ in range(6)]
    while b'"q":10.0' not in answered(server, pair[0]):  # until they have been silent for long enough
        assert server.thread.is_alive()
    ended, _, _ = select.select(silent, [], [], PATIENCE_SECONDS / 6)
    assert ended
    for each in silent:
        each.close()


def test_a_new_certificate_is_used_for_the_next_connection(
    tmp_path: Path, pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tfdqn.serving.server._REFRESH_SECONDS", 0.01)
    tls = FileContent(read_tls, *pair)
    with serving(options=Options(Access(tls=tls))) as server:
        kept = encrypted(server, pair[0])
        first = tls.value
        for old, new in zip(pair, write_certificate(tmp_path, "two"), strict=True):
            new.rename(old)
        while tls.value is first:
            assert server.thread.is_alive()
        with encrypted(server, pair[0]) as connection:
            subject = dict(each[0] for each in connection.getpeercert()["subject"])  # type: ignore[index]
            assert subject == {"commonName": "two"}
        kept.sendall(request(ONE, head=CLOSE))
        assert b'"q":10.0' in received(kept)
