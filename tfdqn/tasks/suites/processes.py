"""Environments in processes of their own: how they start, what signals they answer, how they end.

They hand over observations in shared memory. Where a memory's file system is full, the process that first writes there
is ended by SIGBUS, with no error to catch: so its room is asked for before. Docker gives a container 64 MB.
"""

import contextlib
import os
import signal
import tempfile
import time
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

from gymnasium.vector import AsyncVectorEnv

from tfdqn.errors import TaskError
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium

SHARED_MEMORY = Path("/dev/shm")
_SEMAPHORES_BYTES = 1 << 16  # which are nowhere else
_MEGABYTE = 1_000_000
_ENDS_SECONDS = 2.0  # in which an environment's process ends by itself
# What a terminal or a scheduler may send to a whole process group: the run alone answers, and ends its environments.
_FOR_THE_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Processes(AsyncVectorEnv):
    """An environment in each process; an error of one is raised here, and its traceback printed nowhere."""

    def ended(self) -> list[str]:
        """Which processes have ended, and how, in words: what stands behind a pipe that breaks."""
        deadline = time.monotonic() + _ENDS_SECONDS  # the pipe breaks a moment earlier
        while not any(process.exitcode is not None for process in self.processes):
            if time.monotonic() > deadline:
                break
            time.sleep(0.01)
        return [
            f"environment {index}'s process has ended ({_how(process.exitcode)})"
            for index, process in enumerate(self.processes)
            if process.exitcode is not None
        ]

    def close_extras(self, timeout: float | None = None, terminate: bool = False, **_: Any) -> None:
        """Asks every process to end, and ends those that do not: one may hang, another be in the midst of a step.

        With `terminate`, as gymnasium has it where nobody closed it, waits for none.
        """
        pipes = [pipe for pipe in self.parent_pipes if pipe is not None and not pipe.closed]
        for pipe in pipes:
            with contextlib.suppress(OSError):  # of one that has ended
                pipe.send(("close", None))
        deadline = time.monotonic() + (0.0 if terminate else _ENDS_SECONDS)
        for process in self.processes:
            process.join(max(deadline - time.monotonic(), 0.0))
            if process.exitcode is None:
                process.kill()
                process.join(_ENDS_SECONDS)
        for pipe in pipes:
            pipe.close()

    def _raise_if_errors(self, successes: Any) -> None:
        with quiet_gymnasium():
            super()._raise_if_errors(successes)


def start_fork_server() -> None:
    """With the group's signals blocked, as they are then in its children until they can handle them."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_RUN)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_the_run() -> None:
    """In an environment's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Not ignored: a simulator that the environment starts would inherit that, and could not be ended.
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_RUN)


def require_room(task_id: str, observation_bytes: int, num_envs: int) -> None:
    """Raises TaskError if `num_envs` environments' observations don't fit, of one step each.

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


def _how(exit_code: int) -> str:
    return f"exit status {exit_code}" if exit_code >= 0 else f"signal {-exit_code}"


def _has_room(folder: Path, needed_bytes: int) -> bool:
    """By taking it for a moment: what a file system says to have free may be less or more than it gives."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, max(needed_bytes, 1))
        return True
    return False


def _free(folder: Path) -> int:
    try:
        found = os.statvfs(folder)
    except OSError:
        return 0
    return found.f_bavail * found.f_frsize
