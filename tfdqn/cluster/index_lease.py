"""Places: which of its role's processes one is where nobody says so: the first that no other on this host is.

A place is a lock on a file, which is held until the process ends, however that is.
"""

import time
from collections.abc import Callable
from pathlib import Path

from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.errors import ClusterError
from tfdqn.storage.locks import Attempt, FileLock, NoLocksError

_RETRY_SECONDS = 1.0


def lease_index(
    folder: Path, role: Role, count: int, say: Callable[[str], None], interrupted: Callable[[], bool]
) -> ProcessId | None:
    """Who this process is until it ends; waits while all places are taken. None: the user has asked to stop meanwhile.

    Args:
      folder: of the locks.
      count: how many of the role there are.

    Raises ClusterError where the folder can't be written.
    """
    is_said = False
    process_ids = [ProcessId(role, index) for index in range(count)]
    locks = {process_id: FileLock(folder / f"{process_id.file_stem}.lock") for process_id in process_ids}
    while not interrupted():
        for process_id, lock in locks.items():
            if _try_acquire(lock):
                _release(locks, but=process_id)
                say(f"this is {process_id}")
                return process_id
        if not is_said:
            say(f"waiting: all {count} {role}s are running already")
            is_said = True
        time.sleep(_RETRY_SECONDS)
    _release(locks)
    return None


def _try_acquire(lock: FileLock) -> bool:
    """Whether the lock was free; it is held from now on."""
    try:
        return lock.try_acquire() is Attempt.ACQUIRED
    except NoLocksError as error:
        raise ClusterError(
            f"no place can be held in {lock.file.parent}: its disk has no locks ({error})"
        ) from None
    except OSError as error:
        raise ClusterError(f"no place can be held in {lock.file.parent}: {error.strerror}") from None


def _release(locks: dict[ProcessId, FileLock], but: ProcessId | None = None) -> None:
    """Those that were tried, too."""
    for process_id, lock in locks.items():
        if process_id != but:
            lock.release()
