"""Requests sent behind others on one connection are answered in order, whatever comes behind them."""

import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.serving_in_process import PREDICT, InProcess, received, request, serving
from tests.support.waiting import PATIENCE_SECONDS
from tfdqn.serving.connections import Connection

AT_ONCE_BYTES = 2**18  # that asyncio reads
BODY = json.dumps({"instances": [[1, 2, 3, 4]]}).encode()
WHOLE = request(BODY)
OFFER = request(BODY, head="Connection: Upgrade\r\nUpgrade: h2c\r\n")
CHUNKED = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
IN_CHUNKS = CHUNKED + b"%x\r\n%b\r\n0\r\n" % (len(BODY), BODY)  # what follows the body is to come
LAST = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with serving() as found:
        yield found


def statuses(answers: bytes) -> list[int]:
    return [int(each) for each in re.findall(rb"HTTP/1\.1 (\d+)", answers)]


@pytest.mark.parametrize("before", [[WHOLE], [OFFER], [WHOLE] * 3])
@pytest.mark.parametrize(
    "text",
    [
        b"garbage\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 2**16,
        CHUNKED + b"x\r\n",
        WHOLE.replace(b"Content-Length: ", b"Content-Length: -"),
    ],
)
def test_what_is_malformed_does_not_take_the_place_of_answers_to_requests_before_it(
    server: InProcess, before: list[bytes], text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as clients:
        server.model.hold()
        connection = server.connect(b"".join(before))
        assert server.model.begun.wait(PATIENCE_SECONDS)
        connection.sendall(text)
        answers = clients.submit(received, connection)
        assert server.ask("GET", "/healthz")[0] == 200  # what was sent before is read by then
        server.model.go.set()
        found = answers.result(PATIENCE_SECONDS)
    assert statuses(found) == [200] * len(before) and found.count(b"10.0") == len(before)
    assert not caplog.records


@pytest.mark.parametrize("text", [b"garbage\r\n\r\n", CHUNKED + b"x\r\n"])
def test_what_is_malformed_is_told_so_where_nothing_is_before_it(server: InProcess, text: bytes) -> None:
    assert statuses(received(server.connect(text))) == [400]


def test_what_is_malformed_behind_an_answer_is_told_so(server: InProcess) -> None:
    connection = server.connect(WHOLE)
    found = b""
    while b"10.0" not in found:
        found += connection.recv(2**12)
    connection.sendall(b"garbage\r\n\r\n")
    assert statuses(found + received(connection)) == [200, 400]


def test_what_is_malformed_in_a_body_that_was_refused_gets_no_second_answer(server: InProcess) -> None:
    connection = server.connect(CHUNKED.replace(PREDICT.encode(), b"/nowhere"))
    found = b""
    while b"}" not in found:
        found += connection.recv(2**12)
    connection.sendall(b"x\r\n")
    assert statuses(found + received(connection)) == [400]


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        (WHOLE, 1),
        (OFFER, 1),
        (IN_CHUNKS + b"\r\n", 1),
        (WHOLE * 3, 3),
        (WHOLE + WHOLE[:-1], 1),
        (WHOLE + WHOLE[:20], 1),
        (WHOLE + b"garbage\r\n\r\n", 1),
        (WHOLE[:-1], 0),
        (WHOLE[:20], 0),
    ],
)
def test_a_client_that_sends_no_more_gets_the_answers_to_its_whole_requests(
    server: InProcess, text: bytes, answers: int, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as clients:
        server.model.hold()
        connection = server.connect(text)
        connection.shutdown(socket.SHUT_WR)
        found = clients.submit(received, connection)
        if answers:
            assert server.model.begun.wait(PATIENCE_SECONDS)
        assert server.ask("GET", "/healthz")[0] == 200  # the end of what was sent is read by then
        server.model.go.set()
        got = found.result(PATIENCE_SECONDS)
    assert [each for each in statuses(got) if each != 100] == [200] * answers and got.count(b"10.0") == answers
    assert not caplog.records


def test_whether_a_client_is_still_there_is_asked_by_an_interim_response(server: InProcess) -> None:
    server.model.hold()
    connection = server.connect(WHOLE)
    connection.shutdown(socket.SHUT_WR)
    assert server.model.begun.wait(PATIENCE_SECONDS)
    assert server.ask("GET", "/healthz")[0] == 200
    server.model.go.set()
    assert statuses(received(connection)) == [100, 200]


def test_a_client_of_http_1_0_that_sends_no_more_counts_as_gone(server: InProcess) -> None:
    server.model.hold()
    connection = server.connect(WHOLE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    connection.shutdown(socket.SHUT_WR)
    assert received(connection) == b""
    server.model.go.set()


def test_of_requests_that_wait_no_more_is_read_than_comes_at_once(
    server: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []
    start = Connection._start_asgi_task
    monkeypatch.setattr(
        Connection,
        "_start_asgi_task",
        lambda self, cycle, app: (begun.append(len(cycle.body)), start(self, cycle, app)),
    )
    large = request(b" " * 2**22, head="Connection: close\r\n")
    with ThreadPoolExecutor(1) as clients:
        connection = server.connect()
        sent = clients.submit(connection.sendall, WHOLE * 20 + large)
        assert statuses(received(connection)) == [200] * 20 + [400]
        sent.result(PATIENCE_SECONDS)
    assert len(begun) == 21 and begun[-1] <= AT_ONCE_BYTES


@pytest.mark.parametrize("field", [b"Content-Encoding: gzip", b"Host: y", b"Connection: Upgrade\r\nUpgrade: h2c"])
def test_what_follows_a_body_changes_neither_its_request_nor_the_next(server: InProcess, field: bytes) -> None:
    assert statuses(received(server.connect(IN_CHUNKS + field + b"\r\n\r\n" + LAST))) == [200, 200]


def test_what_follows_a_body_may_end_the_connection(server: InProcess) -> None:
    found = received(server.connect(IN_CHUNKS + b"Connection: close\r\n\r\n" + LAST))
    assert statuses(found) == [200] and b"connection: close" in found.lower()


@pytest.mark.parametrize(("hosts", "status"), [(b"", 400), (b"Host: x\r\n", 200), (b"Host: x\r\nHost: y\r\n", 400)])
def test_a_request_names_one_host(server: InProcess, hosts: bytes, status: int) -> None:
    text = LAST.replace(b"Host: x\r\n", hosts)
    assert statuses(received(server.connect(text))) == [status]
    text = LAST.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Host: x\r\n", b"")
    assert statuses(received(server.connect(text))) == [200]


@pytest.mark.parametrize(("coding", "status"), [("Chunked", 200), ("gzip, chunked", 400), ("identity", 400)])
def test_a_body_has_no_other_coding_than_chunks(server: InProcess, coding: str, status: int) -> None:
    text = IN_CHUNKS.replace(b"chunked\r\n", f"{coding}\r\nConnection: close\r\n".encode())
    assert statuses(received(server.connect(text + b"\r\n"))) == [status]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_a_client_that_sends_a_whole_body_first_reads_why_it_was_refused(server: InProcess, version: str) -> None:
    head = f"POST {PREDICT} HTTP/{version}\r\nHost: x\r\nContent-Length: {2**25}\r\nConnection: close\r\n\r\n"
    connection = server.connect(head.encode() + b" " * 2**25 + WHOLE)
    assert statuses(received(connection)) == [413]


def test_what_comes_behind_a_last_request_is_read(server: InProcess) -> None:
    with server.connect(request(BODY, head="Connection: close\r\n")) as connection:
        found = b""
        while part := connection.recv(2**16):
            found += part
        assert statuses(found) == [200]
        for _ in range(2):
            connection.sendall(WHOLE)  # a reset, which may hide the answer, would break the second


def test_what_is_malformed_in_a_body_that_was_asked_for_is_told_so_alone(
    server: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    text = CHUNKED.replace(b"Host: x\r\n", b"Host: x\r\nExpect: 100-continue\r\n") + b"x\r\n"
    assert statuses(received(server.connect(text))) == [400]
    assert server.ask("GET", "/healthz")[0] == 200
    assert not caplog.records
