"""Whether processes are there, and waiting until something holds."""

import time
from collections.abc import Callable
from pathlib import Path

_PATIENCE_SECONDS = 240.0


def is_running(pid: int) -> bool:
    """Not where it has ended and only its parent has not yet asked after it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
