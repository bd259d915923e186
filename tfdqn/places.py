"""Places: which of its role's processes one is where nobody says so: the first that no other on this host is.

A place is a lock on a file, which the kernel takes back when the process ends, however that is.
"""

import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tfdqn.errors import ClusterError
from tfdqn.topology import Member, Role

_RETRY_SECONDS = 1.0


def take_place(
    folder: Path, role: Role, count: int, say: Callable[[str], None], interrupted: Callable[[], bool]
) -> Member | None:
    """Who this process is until it ends; waits while all places are taken. None: the user has asked to stop meanwhile.

    Args:
      folder: of the locks; on a file system of this host's own.
      count: how many of the role there are.

    Raises ClusterError where the folder can't be written.
    """
    is_said = False
    while not interrupted():
        for member in (Member(role, index) for index in range(count)):
            if _take(folder / f"{member.file_stem}.lock"):
                say(f"this is {member}")
                return member
        if not is_said:
            say(f"waiting: each of the {count} {role}s is there already")
            is_said = True
        time.sleep(_RETRY_SECONDS)
    return None


def _take(file: Path) -> bool:
    """Whether the lock was free; it is held from now on. One that a child would inherit would outlive this process."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise ClusterError(f"no place can be held in {file.parent}: {error.strerror}") from None
    with suppress(BlockingIOError, PermissionError):
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    os.close(lock)
    return False
