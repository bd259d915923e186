"""Threads are paused together, go on together, and their errors reach the caller."""

import threading
import time

import pytest

from tests.support.waiting import until
from tfdqn.system.signals import Interruption
from tfdqn.training import pausable_threads
from tfdqn.training.pausable_threads import Gate, PausableThread, StillBusyError, running

DEADLINE_SECONDS = 30.0


def test_no_thread_is_at_work_while_the_gate_is_closed() -> None:
    gate, at_work, seen, units = Gate(), [0, 0, 0], [], [0, 0, 0]

    def work(i: int) -> None:
        at_work[i] = 1
        time.sleep(0.0002)
        units[i] += 1
        at_work[i] = 0

    threads = [PausableThread(f"thread {i}", lambda i=i: work(i), gate) for i in range(3)]  # type: ignore[misc]
    with running(threads):
        for _ in range(100):
            with gate.closed(DEADLINE_SECONDS):
                before = list(units)
                seen.append(sum(at_work))
                time.sleep(0.0005)
                seen.append(sum(at_work))
                assert units == before
            until(lambda before=before: sum(units) > sum(before))  # type: ignore[misc]
    assert set(seen) == {0}


def test_every_thread_goes_on_when_the_gate_opens() -> None:
    gate, units = Gate(), [0] * 4

    def work(i: int) -> None:
        units[i] += 1

    with running([PausableThread(str(i), lambda i=i: work(i), gate) for i in range(4)]):  # type: ignore[misc]
        for _ in range(50):
            with gate.closed(DEADLINE_SECONDS):
                before = list(units)
            until(lambda before=before: all(a > b for a, b in zip(units, before, strict=True)))  # type: ignore[misc]


def test_the_gate_opens_again_when_what_it_guards_fails() -> None:
    gate = Gate()
    with pytest.raises(ZeroDivisionError), gate.closed(DEADLINE_SECONDS):
        raise ZeroDivisionError
    passed = threading.Event()
    with running([PausableThread("actor", passed.set, gate)]):
        assert passed.wait(DEADLINE_SECONDS)


def test_a_thread_that_fails_leaves_the_gate() -> None:
    gate = Gate()

    def fail() -> None:
        raise ValueError("out of order")

    with pytest.raises(ValueError, match="out of order"), running([thread := PausableThread("learner", fail, gate)]):
        until(lambda: thread.error is not None)
        with gate.closed(DEADLINE_SECONDS):
            pass


def test_the_error_of_a_thread_reaches_the_caller_at_the_end_of_the_block() -> None:
    def fail() -> None:
        raise ValueError("out of order")

    good = PausableThread("actor", lambda: time.sleep(0.001))
    bad = PausableThread("learner", fail)
    with pytest.raises(ValueError, match="out of order"), running([good, bad]):
        until(lambda: bad.error is not None)
    assert not good.is_alive()


def test_threads_are_stopped_when_the_block_fails() -> None:
    thread = PausableThread("actor", lambda: time.sleep(0.001))
    with pytest.raises(KeyError), running([thread]):
        raise KeyError("the caller's own")
    assert not thread.is_alive()


def test_the_error_of_the_block_is_not_taken_for_the_interruption_that_it_causes() -> None:
    asked = threading.Event()

    def work() -> None:
        if asked.wait(0.001):
            raise Interruption

    thread = PausableThread("evaluator", work)
    with pytest.raises(OSError, match="disk"), running([thread]):
        try:
            raise OSError("the disk is full")
        finally:
            asked.set()
            until(lambda: thread.error is not None)
    asked.clear()
    thread = PausableThread("actor", work)
    with pytest.raises(Interruption), running([thread]):
        asked.set()
        until(lambda: thread.error is not None)


def test_the_unit_under_way_is_finished() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        time.sleep(0.05)
        ended.set()

    with running([PausableThread("actor", work)]):
        begun.wait(DEADLINE_SECONDS)
    assert ended.is_set()


def test_a_thread_that_hangs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausable_threads, "_JOIN_SECONDS", 0.05)
    release, begun = threading.Event(), threading.Event()

    def hang() -> None:
        begun.set()
        release.wait(DEADLINE_SECONDS)

    thread = PausableThread("learner", hang)
    with pytest.raises(StillBusyError, match="learner: still at work"), running([thread]):
        begun.wait(DEADLINE_SECONDS)
    release.set()
    thread.join(DEADLINE_SECONDS)
