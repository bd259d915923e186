"""No client can lock the others out: not by what it sends, how slowly, how often, nor by what it does not take."""

import json
import select
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from tests.support.serving_in_process import PREDICT, InProcess, assert_asks_to_retry, received, request, serving
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.serving import endpoints, payload
from tfdqn.serving.connections import _TAKING, _WORK, Connection
from tfdqn.serving.payload import MOST_ROWS, RequestError

ONE = {"instances": [[1, 2, 3, 4]]}
ANSWER = (200, {"predictions": [{"action": 3, "q": 10.0}]})
UNTOUCHED_SECONDS = 0.2
CLIENT, BODY = "tfdqn.serving.connections.CLIENT_SECONDS", "tfdqn.serving.endpoints._BODY_SECONDS"
HALF_A_HEAD = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\n".encode()
CHUNKED = f"POST {PREDICT} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
HALF_A_BODY = request(b" " * 100)[:-50]


@pytest.fixture(scope="module")
def server() -> Iterator[InProcess]:
    with serving() as found:
        yield found


@pytest.fixture
def strict_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[InProcess]:
    """Its limits are small: six connections; and half a second for a client, once a test sets `CLIENT`."""
    for name, value in {
        "limits._MOST_CONNECTIONS": 6,
        "connections.CLIENT_SECONDS": PATIENCE_SECONDS,
        "ending._CHECK_SECONDS": 0.05,
        "connections._UNTOUCHED_SECONDS": UNTOUCHED_SECONDS,
        "endpoints._BODY_SECONDS": PATIENCE_SECONDS,
        "server._FINISH_SECONDS": 0.5,
    }.items():
        monkeypatch.setattr(f"tfdqn.serving.{name}", value)
    with serving() as found:
        yield found


def test_between_the_calls_of_a_large_request_the_others_have_their_turn(server: InProcess) -> None:
    with ThreadPoolExecutor(2) as clients:
        server.model.hold()
        large = clients.submit(server.predict, {"instances": [[0, 0, 0, 1]] * MOST_ROWS})
        assert server.model.begun.wait(PATIENCE_SECONDS)
        del server.model.sizes[:]
        small = clients.submit(server.predict, ONE)
        server.model.go.set()
        assert small.result(PATIENCE_SECONDS) == ANSWER
        assert large.result(PATIENCE_SECONDS)[0] == 200
    assert 1024 in server.model.sizes


@pytest.mark.parametrize(("rows", "thread"), [(1, "loop"), (MOST_ROWS, "reading_0")])
def test_what_is_long_is_read_and_written_outside_the_loop(
    server: InProcess, monkeypatch: pytest.MonkeyPatch, rows: int, thread: str
) -> None:
    threads: list[str] = []

    def recording(work: Callable[..., Any]) -> Callable[..., Any]:
        def recorded(*arguments: Any, **more: Any) -> Any:
            threads.append(threading.current_thread().name)
            return work(*arguments, **more)

        return recorded

    monkeypatch.setattr("tfdqn.serving.endpoints.parse", recording(endpoints.parse))
    monkeypatch.setattr("tfdqn.serving.payload.answer", recording(payload.answer))
    assert server.predict({"instances": ONE["instances"] * rows})[0] == 200
    assert threads == [thread, thread]


def test_who_does_not_go_on_with_a_body_is_told(strict_server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as strict:
        strict.setattr(BODY, 0.1)
        slow = [strict_server.connect(text) for text in (HALF_A_BODY, CHUNKED + b"1")]
        assert [each.recv(12) for each in slow] == [b"HTTP/1.1 408"] * 2
        strict.setattr(CLIENT, 0.5)
        assert all(b"HTTP/1.1" not in received(each) for each in slow)
    assert strict_server.predict(ONE) == ANSWER


def test_who_does_not_go_on_is_ended(strict_server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    refused_body = b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{"
    silent = [strict_server.connect(text) for text in (b"", HALF_A_HEAD, refused_body)]
    byte_by_byte = strict_server.connect(HALF_A_HEAD)
    over = threading.Event()

    def trickle() -> None:
        try:
            while not over.wait(0.05):
                byte_by_byte.sendall(b"X")
        except OSError:
            pass

    thread = threading.Thread(target=trickle)
    thread.start()
    try:
        with monkeypatch.context() as strict:
            strict.setattr(CLIENT, 0.5)
            answers = [received(each) for each in (*silent, byte_by_byte)]
    finally:
        over.set()
        thread.join()
    beginnings = [b"", b"HTTP/1.1 408", b"HTTP/1.1 400", b"HTTP/1.1 408"]
    assert [each[:12] for each in answers] == beginnings
    assert all(each.count(b"HTTP/1.1") <= 1 for each in answers)
    assert strict_server.predict(ONE) == ANSWER


def test_who_waits_for_the_model_is_not_ended(strict_server: InProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(1) as clients:
        strict_server.model.hold()
        waiting = clients.submit(strict_server.predict, ONE)
        assert strict_server.model.begun.wait(PATIENCE_SECONDS)
        with monkeypatch.context() as strict:
            strict.setattr(CLIENT, 0.5)
            for _ in range(2):
                assert received(strict_server.connect()) == b""  # ended, for it sent nothing for a client's time
        strict_server.model.go.set()
        assert waiting.result(PATIENCE_SECONDS) == ANSWER


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What those connections waited for that were ended for their clients' slowness."""
    found: list[str] = []
    end = Connection._end
    monkeypatch.setattr(Connection, "_end", lambda self, *answer: (found.append(self._awaited), end(self, *answer)))
    return found


def test_who_does_not_take_the_answer_is_ended(
    strict_server: InProcess, monkeypatch: pytest.MonkeyPatch, ended: list[str]
) -> None:
    whole = request(json.dumps({"instances": [[0, 0, 0, 1]] * MOST_ROWS}).encode())
    with strict_server.connect(whole, receive_bytes=4096) as slow:
        until(lambda: sum(strict_server.model.sizes) == MOST_ROWS)
        with monkeypatch.context() as strict:
            strict.setattr(CLIENT, 0.5)
            until(lambda: ended)
        assert ended == [_TAKING]
        assert strict_server.predict(ONE) == ANSWER
        found = received(slow)
    assert found.startswith(b"HTTP/1.1 200") and not found.endswith(b"}]}")


@pytest.mark.parametrize("text", [b"", HALF_A_HEAD, HALF_A_BODY])
def test_connections_that_ask_nothing_make_room(strict_server: InProcess, text: bytes) -> None:
    idle = [strict_server.connect(text) for _ in range(12)]
    until(lambda: strict_server.predict(ONE) == ANSWER)
    for each in idle:
        each.close()


def test_where_all_connections_are_at_work_one_more_is_told(
    strict_server: InProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Connection] = []
    begin = Connection.connection_made
    monkeypatch.setattr(
        Connection, "connection_made", lambda self, transport: (made.append(self), begin(self, transport))
    )
    strict_server.model.hold()
    whole = request(json.dumps(ONE).encode(), head="Connection: close\r\n")
    working = [strict_server.connect(whole) for _ in range(6)]
    until(lambda: [each._awaited for each in made] == [_WORK] * 6)
    until(lambda: made[0].loop.time() - max(each._since for each in made) > 2 * UNTOUCHED_SECONDS)
    refused = received(strict_server.connect(whole))
    assert_asks_to_retry(refused, b"too many connections")
    monkeypatch.setattr("tfdqn.serving.connections._UNTOUCHED_SECONDS", PATIENCE_SECONDS)
    monkeypatch.setattr("tfdqn.serving.connections._MOST_REFUSED", 1)
    with strict_server.connect():
        assert received(strict_server.connect()) == b""  # one more than can be told
    strict_server.model.go.set()
    assert all(received(each).startswith(b"HTTP/1.1 200") for each in working)


def test_what_waits_to_be_read_is_not_where_its_client_has_gone() -> None:
    with pytest.raises(RequestError) as raised:
        endpoints._unless_gone(lambda: True, pytest.fail, bytearray(b"nonsense"))
    assert raised.value.status == 499


def test_the_rows_of_a_client_that_has_gone_are_not_computed(server: InProcess) -> None:
    with ThreadPoolExecutor(1) as clients:
        server.model.hold()
        first = clients.submit(server.predict, ONE)
        assert server.model.begun.wait(PATIENCE_SECONDS)
        gone = server.connect(request(json.dumps({"instances": [[0, 0, 0, 1]] * 50}).encode()))
        until(lambda: server.ask("GET", "/v1/models/other")[0] == 404)  # what was sent before is read by then
        gone.close()
        until(lambda: server.ask("GET", "/v1/models/other")[0] == 404)
        del server.model.sizes[:]
        server.model.go.set()
        assert first.result(PATIENCE_SECONDS) == ANSWER
    assert server.predict(ONE) == ANSWER
    assert 50 not in server.model.sizes


def test_requests_behind_an_answer_that_is_not_taken_do_not_keep_the_connection(
    strict_server: InProcess, monkeypatch: pytest.MonkeyPatch, ended: list[str]
) -> None:
    whole = request(json.dumps({"instances": [[0, 0, 0, 1]] * MOST_ROWS}).encode())
    with strict_server.connect(whole + request(b"{}") * 3, receive_bytes=4096) as slow:
        until(lambda: sum(strict_server.model.sizes) == MOST_ROWS)
        monkeypatch.setattr(CLIENT, 0.5)
        until(lambda: ended)
        found = received(slow)
    assert found.startswith(b"HTTP/1.1 200") and not found.endswith(b"}")


def test_more_requests_than_can_wait_on_one_connection_end_it(
    server: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as clients:
        server.model.hold()
        greedy = server.connect(whole := request(json.dumps(ONE).encode()))
        assert server.model.begun.wait(PATIENCE_SECONDS)
        del server.model.sizes[:]
        greedy.sendall(whole * 100)
        greedy.settimeout(PATIENCE_SECONDS / 3)
        assert received(greedy) == b""
        other = clients.submit(server.predict, ONE)
        server.model.go.set()
        assert other.result(PATIENCE_SECONDS) == ANSWER
    assert server.model.sizes == [1]  # none of those that waited
    assert not caplog.records


def test_a_client_that_goes_with_requests_waiting_leaves_no_trace(
    server: InProcess, caplog: pytest.LogCaptureFixture
) -> None:
    server.model.hold()
    large = {"instances": [[0, 0, 0, 1]] * MOST_ROWS}
    gone = server.connect(request(json.dumps(large).encode()))
    assert server.model.begun.wait(PATIENCE_SECONDS)
    gone.sendall(request(b"{}"))
    until(lambda: server.ask("GET", "/healthz")[0] == 200)  # what was sent before is read by then
    gone.close()
    until(lambda: server.ask("GET", "/healthz")[0] == 200)
    server.model.go.set()
    assert server.predict(large)[0] == 200  # after the answer to the other has been written
    assert not caplog.records


@pytest.mark.parametrize("text", [HALF_A_HEAD, CHUNKED + b"1\r\n{\r\n0\r\n"])
def test_a_head_and_what_follows_a_body_have_a_longest_length(server: InProcess, text: bytes) -> None:
    endless, pieces = server.connect(text), 0
    with suppress(ConnectionError):
        while pieces < 2**9 and not select.select([endless], [], [], 0.01)[0]:
            endless.sendall(b"A: b\r\n" + b"C: %b\r\n" % (b"d" * 2**10))
            pieces += 1
        assert endless.recv(2**12).startswith(b"HTTP/1.1 400")
    assert pieces >= 2**6
