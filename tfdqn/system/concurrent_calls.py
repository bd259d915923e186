"""`run_at_once`: calls functions concurrently, and waits for them no longer than a limit."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")


def run_at_once(functions: Sequence[Callable[[], T]], timeout_seconds: float) -> list[T | None]:
    """Calls all functions concurrently; returns what each has returned.

    It is None for those that don't return within the timeout, which go on in the background.
    """
    returned: dict[int, T] = {}

    def call(index: int) -> None:
        returned[index] = functions[index]()

    threads = [threading.Thread(target=call, args=(index,), daemon=True) for index in range(len(functions))]
    deadline = time.monotonic() + timeout_seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(deadline - time.monotonic(), 0))
    return [returned.get(index) for index in range(len(functions))]
