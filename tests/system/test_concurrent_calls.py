"""Functions that run at once need each other to return; one that doesn't return is not waited for."""

import threading

from tfdqn.system.concurrent_calls import run_at_once


def test_all_run_at_the_same_time_and_what_they_return_is_in_order() -> None:
    together = threading.Barrier(3, timeout=60)
    assert run_at_once([lambda i=i: (together.wait(), i)[1] for i in range(3)], 120) == [0, 1, 2]  # type: ignore[misc]


def test_one_that_does_not_return_is_left_behind() -> None:
    released = threading.Event()
    try:
        assert run_at_once([released.wait, lambda: True], 0.5) == [None, True]
    finally:
        released.set()
