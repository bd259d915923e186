"""Periodic work is due again after its interval, counted from when it was done; rates."""

import pytest

from tfdqn.system import interval
from tfdqn.system.interval import IntervalTrigger, Rate, RunningTime


class Clock:
    """A clock that stands still but for what a test adds."""

    seconds = 100.0

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(interval, "time", made)
    return made


def test_what_is_due_again_after_an_interval_counts_from_when_it_was_done(clock: Clock) -> None:
    trigger = IntervalTrigger(5.0)
    assert not trigger.is_due()
    clock.seconds += 5
    assert trigger.is_due() and trigger.is_due()
    clock.seconds += 4  # it takes long
    trigger.done()
    clock.seconds += 4
    assert not trigger.is_due()
    clock.seconds += 1
    assert trigger.is_due()


def test_the_first_time_may_be_at_once(clock: Clock) -> None:
    trigger = IntervalTrigger(5.0, is_due=True)
    assert trigger.is_due()
    trigger.done()
    assert not trigger.is_due()


def test_while_a_process_is_stopped_its_time_stands_still(clock: Clock) -> None:
    running = RunningTime(most_between_readings=2.0)
    assert running.read() == 0.0
    for read in (1.5, 3.0):
        clock.seconds += 1.5
        assert running.read() == read
    clock.seconds += 3600
    assert running.read() == 5.0
    clock.seconds += 1.0
    assert running.read() == 6.0


def test_a_rate_is_of_what_happened_since_the_last_reading() -> None:
    rate = Rate()
    assert rate.read(10.0, 500) == 0.0
    assert rate.read(12.0, 600) == 50.0
    assert rate.read(12.0, 700) == 0.0
    assert rate.read(13.0, 710) == 10.0
