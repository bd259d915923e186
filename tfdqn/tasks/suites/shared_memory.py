"""Room for the observations that environments in processes of their own hand over in shared memory.

Where a memory's file system is full, the process that first writes there is ended by SIGBUS, with no error to catch: so
its room is asked for before. Docker gives a container 64 MB.
"""

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from tfdqn.errors import TaskError

SHARED_MEMORY = Path("/dev/shm")
_SEMAPHORES_BYTES = 1 << 16  # which are nowhere else
_MEGABYTE = 1_000_000


def require_room(task_id: str, observation_bytes: int, num_envs: int) -> None:
    """Raises TaskError where `num_envs` environments' observations don't fit, of one step each.

    They lie in shared memory, or where that has less room in the system's temporary folder, as Python takes it.

    Args:
      task_id: for the error.
      observation_bytes: of one environment, in the types of its space: what networks see may be narrower.
      num_envs: E.
    """
    needed = num_envs * observation_bytes
    folders = [SHARED_MEMORY, Path(tempfile.gettempdir())]
    if _has_room(SHARED_MEMORY, _SEMAPHORES_BYTES) and any(_has_room(folder, needed) for folder in folders):
        return
    free = ", ".join(f"{folder} has {_free(folder) / _MEGABYTE:,.1f} MB" for folder in folders)
    raise TaskError(
        f'{task_id}: task.vectorization = "async" needs {(needed + _SEMAPHORES_BYTES) / _MEGABYTE:,.1f} MB of '
        f"shared memory for task.num_envs = {num_envs}, and {free}: make room there (a container's --shm-size), "
        'take fewer, or "sync"'
    )


def _has_room(folder: Path, needed_bytes: int) -> bool:
    """By taking it for a moment: what a file system says to have free may be less or more than it gives."""
    with suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, max(needed_bytes, 1))
        return True
    return False


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
