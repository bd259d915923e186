"""Functions that run at once need each other to return; one that doesn't return is not waited for."""

import threading
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from tests.support.waiting import until
from tfdqn.system import concurrent_calls
from tfdqn.system.concurrent_calls import run_at_once


def test_all_run_at_the_same_time_and_what_they_return_is_in_order() -> None:
    together = threading.Barrier(3, timeout=60)
    assert run_at_once([lambda i=i: (together.wait(), i)[1] for i in range(3)], 120) == [0, 1, 2]  # type: ignore[misc]


def test_one_that_does_not_return_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time is over as soon as the other has returned: by a clock of the test's."""
    released, before = threading.Event(), set(threading.enumerate())

    def times() -> Iterator[float]:
        yield 0.0
        while True:
            until(lambda: len(set(threading.enumerate()) - before) == 1, "the other's end")
            yield 60.0

    clock = times()
    monkeypatch.setattr(concurrent_calls, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    try:
        assert run_at_once([released.wait, lambda: True], 60.0) == [None, True]
    finally:
        released.set()
