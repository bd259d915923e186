"""A tracker in a thread of its own is called in order, and dropped once it falls behind."""

import time
from collections.abc import Mapping
from threading import Event

from tfdqn.tracking.tracker import BackgroundTracker, Point, Tracker


class Slow(Tracker):
    """Takes its first call when it may."""

    def __init__(self) -> None:
        self.may_go_on, self.taken = Event(), list[int]()

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        self.may_go_on.wait()
        self.taken.append(at.env_steps)


def test_what_waits_for_a_slow_tracker_is_bounded_and_taken_in_order() -> None:
    slow, said = Slow(), list[str]()
    tracker = BackgroundTracker("slow", lambda: slow, said.append)
    for env_steps in range(1_200):
        tracker.scalars({}, Point(env_steps, 0, 0.0))
    assert said == ["warning: the tracker slow is 1,000 calls behind; it is told nothing more"]
    slow.may_go_on.set()
    tracker.close()
    tracker.wait_until_closed(60.0)
    assert len(said) == 1


def test_all_is_taken_before_it_closes() -> None:
    slow, said = Slow(), list[str]()
    tracker = BackgroundTracker("slow", lambda: slow, said.append)
    slow.may_go_on.set()
    for env_steps in range(100):
        tracker.scalars({}, Point(env_steps, 0, 0.0))
    tracker.close()
    tracker.wait_until_closed(60.0)
    assert (slow.taken, said) == (list(range(100)), [])


class Unkillable(Slow):
    def kill(self) -> None:
        raise ConnectionError("no route to host")


def test_one_that_cannot_be_killed_is_dropped_all_the_same() -> None:
    unkillable, said = Unkillable(), list[str]()
    tracker = BackgroundTracker("unkillable", lambda: unkillable, said.append)
    for env_steps in range(1_200):
        tracker.scalars({}, Point(env_steps, 0, 0.0))
    assert said == ["warning: the tracker unkillable is 1,000 calls behind; it is told nothing more"]
    unkillable.may_go_on.set()


def test_one_that_hangs_is_not_waited_for_once_it_was_dropped() -> None:
    hanging, said = Slow(), list[str]()
    tracker = BackgroundTracker("hanging", lambda: hanging, said.append)
    for env_steps in range(1_200):
        tracker.scalars({}, Point(env_steps, 0, 0.0))
    tracker.close()
    began = time.monotonic()
    tracker.wait_until_closed(20.0)
    assert time.monotonic() - began < 10.0 and len(said) == 1
    hanging.may_go_on.set()


def test_what_is_no_tracker_is_dropped_in_one_line() -> None:
    said = list[str]()
    tracker = BackgroundTracker("wrong", lambda: object(), said.append)  # type: ignore[arg-type, return-value]
    tracker.wait_until_closed(60.0)
    assert said == [
        "warning: the tracker wrong failed: its function returned a value of type object; expected a Tracker or None; "
        "it is told nothing more"
    ]
