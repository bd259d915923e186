"""Whether processes are there."""

from pathlib import Path


def is_running(pid: int) -> bool:
    """Not where it has ended and only its parent has not yet asked after it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
