"""Large requests share what memory there is, from the first byte to the answer's last; small ones always have room."""

import json
import select

import pytest

from tests.support.serving_in_process import assert_asks_to_retry, request, serving
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.serving.limits import UNCOUNTED_BYTES, MemoryBudget, most_connections
from tfdqn.serving.options import Options
from tfdqn.serving.payload import MOST_ROWS, RequestError

ONE = {"instances": [[1, 2, 3, 4]]}
ANSWER = (200, {"predictions": [{"action": 3, "q": 10.0}]})


def test_large_requests_share_what_there_is_and_small_ones_always_have_room() -> None:
    budget = MemoryBudget(most_bytes=1000)
    with budget.share() as first, budget.share() as second, budget.share() as small:
        first.hold(UNCOUNTED_BYTES + 900)
        with pytest.raises(RequestError, match="try again later") as raised:
            second.hold(UNCOUNTED_BYTES + 200)
        assert raised.value.status == 503
        small.hold(UNCOUNTED_BYTES)
        first.hold(UNCOUNTED_BYTES + 100)
        second.hold(UNCOUNTED_BYTES + 900)
    assert budget.free_bytes == 1000


def test_what_has_come_of_a_body_is_held_already(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tfdqn.serving.server.MemoryBudget", lambda: MemoryBudget(2**20))
    with serving() as small:
        unfinished = [small.connect(request(b" " * 2**20)[: -(2**17)]) for _ in range(2)]
        readable, _, _ = select.select(unfinished, [], [], PATIENCE_SECONDS)
        (refused,) = readable
        found = b""
        while b"}" not in found:
            found += refused.recv(2**12)
        assert_asks_to_retry(found, b"MiB of requests")
        for each in unfinished:
            each.close()


def test_what_is_held_is_held_until_the_answer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"instances": [[0, 0, 0, 1]] * MOST_ROWS}).encode()
    monkeypatch.setattr("tfdqn.serving.server.MemoryBudget", lambda: MemoryBudget(10 * 2**20))  # two such requests
    with serving() as small:
        slow = [small.connect(request(body), receive_bytes=4096) for _ in range(4)]
        until(lambda: sum(small.model.sizes) == 2 * MOST_ROWS)
        assert small.predict(body)[0] == 503
        assert small.predict(ONE) == ANSWER
        for each in slow:
            each.close()
        until(lambda: small.predict(body)[0] == 200)


def test_too_many_rows_are_refused_and_many_are_answered_by_several_calls() -> None:
    with serving() as server:
        status, found = server.predict(b'{"instances": [%b[0]]}' % (b"[1,2,3,4]," * 10**6))
        assert status == 413 and "16,384 rows" in found["error"]
        del server.model.sizes[:]
        rows = [[index, 0, 0, 1] for index in range(MOST_ROWS)]
        status, found = server.predict({"instances": rows})
        assert status == 200
        assert [each["q"] for each in found["predictions"]] == [index + 1 for index in range(MOST_ROWS)]
        assert server.model.sizes == [1024] * (MOST_ROWS // 1024)
        status, found = server.predict({"inputs": rows})
        assert found["outputs"]["q"] == [index + 1 for index in range(MOST_ROWS)]


def test_a_call_has_no_more_rows_than_asked() -> None:
    with serving(options=Options(most_rows=3)) as small:
        status, found = small.predict({"instances": [[index, 0, 0, 0] for index in range(10)]})
        assert status == 200 and [each["q"] for each in found["predictions"]] == list(range(10))
        assert small.model.sizes == [3, 3, 3, 1]


def test_connections_are_at_most_half_of_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda which: (100, 4096))
    assert most_connections() == 50
