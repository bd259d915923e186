"""Waiting until something holds, with a deadline that slow machines keep."""

import time
from collections.abc import Callable

PATIENCE_SECONDS = 240.0  # with other work on every core


def until(condition: Callable[[], object], what: str = "such thing", seconds: float = PATIENCE_SECONDS) -> None:
    """Waits until a condition holds; fails at the deadline with what was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds:.0f} s"
        time.sleep(0.005)
