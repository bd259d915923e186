"""`lease_index`: gives a process that has no index the lowest one of its role that is free on this host.

`docker compose up --scale actor=N` needs it, since all copies of a service have the same arguments, and a separate
service for each actor could not be scaled. A lease is a lock on a file, held until the process ends.
"""

import time
from collections.abc import Callable
from pathlib import Path

from tfdqn.cluster.roles import ProcessId, Role, counted
from tfdqn.errors import ClusterError
from tfdqn.storage.locks import Attempt, FileLock, NoLocksError

_RETRY_SECONDS = 1.0


def lease_index(
    folder: Path, role: Role, count: int, say: Callable[[str], None], interrupted: Callable[[], bool]
) -> ProcessId | None:
    """Leases one of `count` indices for this process until it ends; waits while all are taken.

    Returns None if the user asked to stop before one was free. Raises ClusterError if `folder`, where the locks are,
    can't be written, or its file system has no locks.
    """
    process_ids = (ProcessId(role, index) for index in range(count))
    locks = {each: FileLock(folder / f"{each.file_stem}.lock") for each in process_ids}
    found = _first_free(locks)
    if found is None:
        say(f"waiting: all indices are taken ({counted(count, role)})")
    while found is None and not interrupted():
        time.sleep(_RETRY_SECONDS)
        found = _first_free(locks)
    for process_id, lock in locks.items():
        if process_id != found:
            lock.release()  # also closes the files of locks that were not acquired
    if found is not None:
        say(f"this is {found}")
    return found


def _first_free(locks: dict[ProcessId, FileLock]) -> ProcessId | None:
    """Acquires the first lock that is free; returns its process's identity, or None if all are taken."""
    return next((process_id for process_id, lock in locks.items() if _try_acquire(lock)), None)


def _try_acquire(lock: FileLock) -> bool:
    try:
        return lock.try_acquire() is Attempt.ACQUIRED
    except NoLocksError as error:
        raise ClusterError(
            f"no index can be claimed in {lock.file.parent}: its file system has no locks ({error})"
        ) from None
    except OSError as error:
        raise ClusterError(f"no index can be claimed in {lock.file.parent}: {error.strerror}") from None
