"""The loop that overlaps: its threads pause together however long their units of work are, and each is watched."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from tests.support.waiting import PATIENCE_SECONDS, until
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.training import loops
from tfdqn.training.loops import overlap


class Parts:
    """A session whose actors, one for each function, do what they are told; nothing is evaluated."""

    def __init__(self, actors: Sequence[Callable[[], None]], learn: Callable[[], None]) -> None:
        self.parts, self.actors, self._learn = self, actors, learn
        self.work = StallDetector()
        self.times_put_off = 0

    def act(self, actor: int, timeout_seconds: float) -> None:
        self.actors[actor]()

    def learn(self, timeout_seconds: float) -> None:
        self._learn()
        self.record_progress("updates")

    def record_progress(self, part: str) -> None:
        self.work.record_progress(part)

    def put_off(self) -> None:
        self.times_put_off += 1

    def evaluation_is_due(self) -> bool:
        return False

    @contextmanager
    def evaluation_given_up_on_error(self) -> Iterator[None]:
        yield


class Saves:
    """Watches: saves at every turn, until it says stop."""

    def __init__(self, stops: Callable[["Saves"], bool]) -> None:
        self.tries, self.saved, self._stops = 0, 0, stops

    def tick(self, paused: AbstractContextManager[None]) -> None:
        self.tries += 1
        with paused:
            self.saved += 1

    def reason_to_stop(self) -> str | None:
        return "enough" if self._stops(self) else None


def run(parts: Any, watch: Any) -> None:
    assert overlap(parts, watch) == "enough"


def test_a_checkpoint_is_made_though_units_of_work_are_longer_than_a_try_and_out_of_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Were those let go that have come, they would never all be there: a unit takes one and a half tries."""
    monkeypatch.setattr(loops, "_PAUSE_SECONDS", 0.04)
    monkeypatch.setattr(loops, "_POLL_SECONDS", 0.001)
    deadline = time.monotonic() + PATIENCE_SECONDS

    def after(delay: float) -> Callable[[], None]:
        delays = [delay]
        return lambda: time.sleep(delays.pop() if delays else 0.06)

    parts = Parts([after(0.001), after(0.025), after(0.045)], after(0.06))
    watch = Saves(lambda watch: watch.saved >= 5 or time.monotonic() > deadline)
    run(parts, watch)
    assert watch.saved >= 5 and parts.times_put_off == 0


def test_where_one_is_held_up_by_what_another_does_the_checkpoint_is_put_off_and_made_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loops, "_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(loops, "_PUT_OFF_SECONDS", 0.05)
    waits, needed = threading.Event(), threading.Event()

    def act() -> None:
        if parts.times_put_off:  # it may go on again
            needed.set()
        time.sleep(0.001)

    def learn() -> None:
        waits.set()
        needed.wait(PATIENCE_SECONDS)
        time.sleep(0.001)

    parts = Parts([act], learn)
    watch = Saves(lambda watch: watch.saved > 0)
    monkeypatch.setattr(watch, "tick", lambda paused: waits.wait(PATIENCE_SECONDS) and Saves.tick(watch, paused))
    run(parts, watch)
    assert needed.is_set() and parts.times_put_off > 0


def test_an_actor_that_hangs_is_seen_though_the_learner_goes_on() -> None:
    hangs, released = threading.Event(), threading.Event()
    steps = [0]

    def act() -> None:
        steps[0] += 1
        if steps[0] > 3:
            hangs.set()
            released.wait(PATIENCE_SECONDS)
        time.sleep(0.001)

    parts = Parts([act], lambda: time.sleep(0.001))

    def sees(watch: Saves) -> bool:
        if hangs.is_set():
            until(lambda: _looked(parts.work) > 0.2, "a stuck actor")
            released.set()
        return hangs.is_set()

    watch = Saves(sees)
    watch.tick = lambda paused: None  # type: ignore[method-assign]
    run(parts, watch)


def _looked(work: StallDetector) -> float:
    work.check()
    return work.stuck_seconds
