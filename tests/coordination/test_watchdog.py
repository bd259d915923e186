"""The thread that says whom a process waits for, and ends it: in time, in one line, whatever the main thread does."""

import re
import threading
from types import SimpleNamespace

import pytest

from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.config import Health
from tfdqn.coordination import peers, stall_detector, sudden_end, watchdog
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.errors import RESTART_STATUS, STOPPED_STATUS


class Others:
    """Who answers as a test says."""

    def __init__(self) -> None:
        self.answer = True
        self.silent_seconds = 0.0

    def poll(self) -> bool:
        return self.answer

    def silent(self, seconds: float = 0.0) -> list[str]:
        is_silent = not self.answer and self.silent_seconds >= seconds
        return ["worker 1 at host-b:1 has been silent"] if is_silent else []


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    monkeypatch.setattr(watchdog, "end_now", lambda line, status=RESTART_STATUS: found.append((line, status)))
    monkeypatch.setattr(stall_detector, "end_stuck", lambda line, _: found.append((line, RESTART_STATUS)))
    monkeypatch.setattr(watchdog, "_CHECK_SECONDS", 0.01)
    monkeypatch.setattr(peers, "_ASK_SECONDS", 0.02)
    return found


@pytest.mark.parametrize(("has_answered", "back"), [(False, ""), (True, " again")])
def test_it_says_for_whom_it_waits_once_and_that_they_are_back(ends: list, has_answered: bool, back: str) -> None:
    others, said = Others(), []
    with Watchdog("the run", Health(dead_after_seconds=5), said.append) as watched:
        others.answer = has_answered
        watched.require(others, "all workers answer")
        until(lambda: watched._awaited[0]._have_answered == has_answered, "the first answer")
        others.answer = False
        others.silent_seconds = 4.0
        asked = [0]
        poll = others.poll
        others.poll = lambda: asked.append(0) or poll()  # type: ignore[method-assign, func-returns-value]
        until(lambda: len(asked) > 3, "questions")
        assert said == []
        others.silent_seconds = 6.0
        until(lambda: said, "word of it")
        assert watched.doing == "waiting: worker 1 at host-b:1 has been silent"
        del asked[:]
        until(lambda: len(asked) > 3, "questions")
        others.answer = True
        until(lambda: len(said) > 1, "word of their return")
    assert said == ["waiting: worker 1 at host-b:1 has been silent", f"all workers answer{back}"]
    assert ends == []


def test_it_ends_the_process_where_they_are_silent_beyond_patience(ends: list) -> None:
    others = Others()
    others.answer = False
    with Watchdog("the run", Health(patience_seconds=0.1), lambda line: None) as watched:
        watched.require(others, "all workers answer")
        until(lambda: ends, "end")
    line = "worker 1 at host-b:1 has been silent: the run gives up without saving"
    assert ends[0] == (line, RESTART_STATUS)


def test_it_ends_the_process_also_if_nobody_reads_that_it_waits(ends: list) -> None:
    others, begun, may_go_on = Others(), list[str](), threading.Event()
    others.answer, others.silent_seconds = False, 6.0

    def hang(line: str) -> None:
        begun.append(line)
        may_go_on.wait(PATIENCE_SECONDS)

    with Watchdog("the run", Health(dead_after_seconds=5, patience_seconds=0.5), hang) as watched:
        watched.require(others, "all workers answer")
        until(lambda: ends, "end")
        may_go_on.set()
    assert begun == ["waiting: worker 1 at host-b:1 has been silent"]


def test_it_ends_the_process_also_if_it_fails_and_nobody_reads_why(ends: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_PRINT_SECONDS", 0.1)
    may_go_on = threading.Event()
    monkeypatch.setattr("sys.stderr", SimpleNamespace(write=lambda _: may_go_on.wait(PATIENCE_SECONDS), flush=int))

    def fail() -> bool:
        raise KeyError("a mistake of ours")

    with Watchdog("the run", Health(), lambda line: None, interrupted=fail):
        until(lambda: ends, "end")
        may_go_on.set()
    assert ends[0][0] == "the run ends without saving: its watchdog has failed: KeyError: 'a mistake of ours'"


def test_who_may_go_in_the_end_ends_nobody(ends: list) -> None:
    others = Others()
    others.answer = False
    with Watchdog("the run", Health(patience_seconds=0.1), lambda line: None) as watched:
        looks: list[int] = []
        watched.work.check = lambda is_excused=False: looks.append(1)  # type: ignore[method-assign]
        watched.require(others, "all workers answer")
        watched.release_peers()
        seen = len(looks)
        until(lambda: len(looks) > seen + 1, "the end of the look that was under way")
        del ends[:]
        until(lambda: len(looks) > seen + 50, "looks")
    assert ends == []


def test_a_signal_that_is_not_heeded_in_time_ends_the_process(ends: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_END_SECONDS", 0.1)
    monkeypatch.setattr(sudden_end, "places_of_threads", lambda: ["Maze.step at maze.py:3"])
    asked = threading.Event()
    with Watchdog("the run", Health(), lambda line: None, interrupted=asked.is_set) as watched:
        watched.state = "training"
        asked.set()
        until(lambda: ends, "end")
    line = "the run was asked to end, and was held up (training, in Maze.step at maze.py:3): ended without saving"
    assert ends[0] == (line, STOPPED_STATUS)


def test_a_signal_that_is_not_heeded_for_seconds_is_said_with_what_holds_it_up_once(
    ends: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watchdog, "_SAID_SECONDS", 0.05)
    monkeypatch.setattr(sudden_end, "places_of_threads", lambda: ["Maze.step at maze.py:3"])
    said, may_go_on = list[str](), threading.Event()

    def say_slowly(line: str) -> None:
        said.append(line)
        may_go_on.wait(PATIENCE_SECONDS)  # as on a disk that doesn't answer

    with Watchdog("the run", Health(), say_slowly, interrupted=lambda: True) as watched:
        watched.state = "training"
        until(lambda: said, "word of it")
        before = watched.work._checked_seconds
        until(lambda: watched.work._checked_seconds > before + 0.1, "looks")
        assert ends == []
        monkeypatch.setattr(watchdog, "_END_SECONDS", 0.1)
        until(lambda: ends, "end")
    may_go_on.set()
    (line,) = said
    held = re.escape("the run is held up (training, in Maze.step at maze.py:3)")
    assert re.fullmatch(rf"still stopping: {held}; in \d+ s it ends at once, saved or not", line)


@pytest.mark.parametrize("way", ["hangs", "has no thread"])
def test_it_ends_the_process_also_if_its_lines_can_not_be_said(
    way: str, ends: list, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on, begun = threading.Event(), list[str]()

    def hang(line: str) -> None:
        begun.append(line)
        may_go_on.wait(PATIENCE_SECONDS)

    def fail(*_: object) -> None:
        begun.append("")
        raise RuntimeError("can't start new thread")

    with Watchdog("the run", Health(dead_after_seconds=0.5), hang) as watched:
        if way == "has no thread":
            monkeypatch.setattr(threading.Thread, "start", fail)
        watched.work.record_progress("updates")
        until(lambda: begun, "word of no progress")
        watched._interrupted = lambda: True
        monkeypatch.setattr(watchdog, "_END_SECONDS", 0.1)
        until(lambda: ends, "end")
    may_go_on.set()
    assert ends[0][0].startswith("the run was asked to end, and was held up")


def test_a_checkpoint_that_is_being_written_is_finished_first(ends: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchdog, "_END_SECONDS", 0.0)
    asked = threading.Event()
    with Watchdog("the run", Health(), lambda line: None, asked.is_set) as watched:
        with watched.work.suspended():
            asked.set()
            until(lambda: watched._asked_seconds is not None, "the wish")
            before = watched.work._checked_seconds
            until(lambda: watched.work._checked_seconds > before + 0.1, "looks")
            assert ends == []
        until(lambda: ends, "end")


def test_after_a_checkpoint_that_took_long_there_is_time_to_end(ends: list, monkeypatch: pytest.MonkeyPatch) -> None:
    now, looks = [0.0], [0]

    class Clock:
        def monotonic(self) -> float:
            looks[0] += 1
            return now[0]

    def looked() -> bool:
        before = looks[0]
        until(lambda: looks[0] > before + 2, "looks")
        return True

    monkeypatch.setattr(watchdog, "time", Clock())
    with Watchdog("the run", Health(), lambda line: None, interrupted=lambda: True) as watched:
        with watched.work.suspended():
            for now[0] in (0.0, 100.0):
                assert looked() and not ends
        for now[0] in (110.0, 119.0):
            assert looked() and not ends
        now[0] = 121.0
        until(lambda: ends, "end")


def test_it_says_that_updates_do_not_go_on_though_nobody_is_silent(ends: list) -> None:
    said: list[str] = []
    with Watchdog("the run", Health(dead_after_seconds=0.5), said.append) as watched:
        watched.state = "training"
        watched.work.record_progress("updates")
        until(lambda: said, "word of it")
        watched.work.record_progress("updates")
        watched.work.finish()  # no more is expected
    (line,) = said
    assert re.fullmatch(r"waiting: training: no progress for \d+ s, and no process is silent", line)
    assert ends == []
