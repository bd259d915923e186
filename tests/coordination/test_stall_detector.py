"""Whether a process's work goes on: what counts as stuck, what doesn't, and the end of who is."""

import re
import subprocess
import sys

import pytest

from tfdqn.coordination import stall_detector
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.errors import RESTART_STATUS


class Clock:
    """Time that passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(stall_detector, "time", clock)
    return clock


def passes(clock: Clock, work: StallDetector, seconds: int, **said: bool) -> float:
    """So much time, looked at every second."""
    for _ in range(seconds):
        clock.now += 1
        work.check(**said)
    return work.stuck_seconds


def test_what_nobody_counts_is_never_stuck(clock: Clock) -> None:
    assert passes(clock, StallDetector(), 1000) == 0


def test_what_is_counted_no_more_is_stuck_from_then_on(clock: Clock) -> None:
    work = StallDetector()
    for _ in range(100):
        work.record_progress()
        assert passes(clock, work, 1) == 0
    assert passes(clock, work, 70) == 70
    assert work.described("acting") == "acting, stuck for 70 s"
    work.record_progress()
    assert passes(clock, work, 1) == 0
    assert work.described("acting") == "acting"


def test_of_several_parts_the_one_that_stands_still_decides(clock: Clock) -> None:
    work = StallDetector()
    work.record_progress("updates")
    for _ in range(31):
        work.record_progress("watching")
        passes(clock, work, 1)
    assert work.stuck_seconds == 30
    work.finish()
    assert passes(clock, work, 100) == 0


def test_waiting_is_no_hanging_and_nor_is_what_is_excused(clock: Clock) -> None:
    work = StallDetector()
    work.record_progress()
    with work.suspended():
        assert passes(clock, work, 1000) == 0
    assert passes(clock, work, 5) == 5
    assert passes(clock, work, 1000, is_excused=True) == 0
    assert passes(clock, work, 5) == 5


def test_a_call_to_an_environment_that_does_not_return_is_stuck_without_recorded_progress(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, calls = StallDetector(), [sys._getframe()]
    monkeypatch.setattr(stall_detector, "calls_to_environments", lambda: list(calls))
    assert passes(clock, work, 71) == 70
    calls[:] = [sys._getframe(1)]  # another call
    assert passes(clock, work, 1) == 0 and work.longest_seconds == 70
    work.record_progress()
    work.finish()  # of the recorded work
    with work.suspended():
        assert passes(clock, work, 100) == 0
    assert passes(clock, work, 5) == 5
    calls.clear()
    assert passes(clock, work, 1) == 0


def test_a_process_that_was_stopped_as_a_whole_has_its_time_again(clock: Clock) -> None:
    work = StallDetector()
    work.record_progress()
    work.check()
    clock.now += 100_000
    work.check()
    assert work.stuck_seconds == 60


def test_who_is_stuck_ends_to_be_started_again_and_says_where_it_was() -> None:
    program = """
import threading, time
from tfdqn.coordination.stall_detector import StallDetector
work, is_stuck = StallDetector(), threading.Event()
def watch():
    is_stuck.wait()
    while True:
        time.sleep(0.01)
        work.check()
        work.end_if_stuck("actor 0", "acting", 0.05, "ended, to be started again")
def steps_for_ever():
    is_stuck.set()
    threading.Event().wait()
work.record_progress()
threading.Thread(target=watch, daemon=True).start()
steps_for_ever()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == RESTART_STATUS
    assert re.search(
        r"\ntfdqn: actor 0 has made no progress for \d+ s \(acting\): ended, to be started again\n", done.stderr
    )
    assert "in steps_for_ever" in done.stderr
