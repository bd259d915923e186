"""Processes that are asked whether they live: who answers, who is silent, who has ended, and who is missed."""

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.support.threaded_jobs import free_address
from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.config import Health
from tfdqn.coordination import peers
from tfdqn.coordination.peers import Peers, PeerWait
from tfdqn.coordination.rpc import Server


@pytest.fixture
def at() -> Iterator[str]:
    """An address where a server of another kind answers."""
    address = free_address()
    server = Server(address, {})
    yield address
    server.close()


@pytest.fixture
def mute() -> Iterator[str]:
    """An address where the system takes connections for a process that is stopped."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers does so in time, however slow the machine is."""
    for name in ("_REPLY_SECONDS", "_POLL_SECONDS"):
        monkeypatch.setattr(peers, name, PATIENCE_SECONDS)


def test_whatever_server_is_there_answers(at: str) -> None:
    found = Peers({"worker 1": at})
    assert found.poll()
    assert found.silent() == []


def test_who_is_stopped_is_silent_though_the_system_takes_its_connections(
    at: str, mute: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "_REPLY_SECONDS", 0.5)
    ended: list[str] = []
    found = Peers({"worker 1": at, "worker 2": mute}, on_end=ended.append)
    until(lambda: not found.poll() and found._each[0].answers, "an answer of one alone")
    (line,) = found.silent()
    assert line.startswith(f"worker 2 at {mute} has not answered yet, after ")
    assert found.silent(seconds=60) == []
    assert ended == []


def test_a_question_that_never_returns_is_no_answer(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, stuck = Peers({"worker 1": at}), threading.Event()
    assert found.poll()
    monkeypatch.setattr(peers, "_POLL_SECONDS", 0.1)
    monkeypatch.setattr(found._each[0], "_caller", lambda *_: stuck.wait(30))
    assert not found.poll()
    (line,) = found.silent()
    assert line.startswith(f"worker 1 at {at} has been silent for ")
    stuck.set()


def test_who_has_not_come_yet_has_not_ended() -> None:
    ended: list[str] = []
    found = Peers({"worker 1": free_address()}, on_end=ended.append)
    assert not found.poll()
    (line,) = found.silent()
    assert " has not answered yet, after " in line
    assert ended == []


def test_who_is_known_to_have_ended_is_told_though_it_never_answered() -> None:
    ended: list[str] = []
    addresses = {"worker 1": free_address(), "worker 2": free_address()}
    found = Peers(addresses, on_end=ended.append, known_ended=lambda: ["worker 2"])
    assert not found.poll() and not found.poll()
    assert ended == ["worker 2"] * 2
    assert found.silent()[1].endswith(" has ended")


def test_of_silence_nothing_is_said_while_a_process_may_be_starting(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]

    class Clock:
        def monotonic(self) -> float:
            return now[0]

    monkeypatch.setattr(peers, "time", Clock())
    server = Server(later := free_address(), {})
    found = Peers({"worker 0": at, "worker 1": later, "worker 2": free_address()})
    found._each[1].ask()
    server.close()
    now[0] += 8.0
    found.poll()
    assert [line.partition(" at ")[0] for line in found.silent()] == ["worker 1", "worker 2"]
    found._each[1].has_ended = False  # but silent
    assert found.silent(seconds=8.0) == [f"worker 1 at {later} has been silent for 8 s"]
    now[0] += 52.0
    assert [line.partition(" at ")[0] for line in found.silent(seconds=8.0)] == ["worker 1", "worker 2"]
    assert found.silent(seconds=8.0)[1].endswith(" has not answered yet, after 60 s")


@pytest.mark.parametrize("may_end", [False, True])
def test_who_has_ended_is_told_and_missed_unless_the_others_do_without(at: str, may_end: bool) -> None:
    address, ended = free_address(), []
    server = Server(address, {})
    found = Peers({"worker 1": at, "worker 2": address}, may_end=may_end, on_end=ended.append)
    assert found.poll()
    server.close()
    assert found.poll() == may_end
    assert ended == ["worker 2"]
    assert found.silent() == ([] if may_end else [f"worker 2 at {address} has ended"])


def test_the_last_one_is_missed_in_any_case() -> None:
    address = free_address()
    server = Server(address, {})
    found = Peers({"worker 0": address}, may_end=True)
    assert found.poll()
    server.close()
    assert not found.poll()
    assert found.silent() == [f"worker 0 at {address} has ended"]


def test_time_in_which_the_process_itself_was_stopped_uses_up_no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("tfdqn.system.interval.time", SimpleNamespace(monotonic=lambda: now[0]))
    silent = SimpleNamespace(poll=lambda: False, silent=lambda seconds=0.0: ["worker 0 is silent"])
    awaited = PeerWait(silent, "all workers answer", Health(patience_seconds=300.0), lambda line: None, 8.0)
    now[0] += 3600.0
    assert awaited.ask() == ""
    answers = []
    for _ in range(100):
        now[0] += 3.0
        answers.append(awaited.ask())
    assert answers.count("") == 96 and answers[-1] == "worker 0 is silent"
