"""`Processes`: environments in processes of their own: how they start, which signals they handle, how they end.

They pass observations in shared memory. If its file system is full, the process that writes there is killed by SIGBUS,
with no exception to catch, so `require_room` checks the space in advance. Docker gives a container 64 MB of it.
"""

import contextlib
import multiprocessing
import os
import queue
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import forkserver
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from gymnasium.vector import AsyncVectorEnv
from gymnasium.vector.async_vector_env import _async_worker

from tfdqn.errors import TaskError
from tfdqn.system.subprocesses import how_it_ended
from tfdqn.tasks.failures import failure_line
from tfdqn.tasks.quiet_gymnasium import quiet_gymnasium

SHARED_MEMORY = Path("/dev/shm")
_SEMAPHORES_BYTES = 1 << 16  # for semaphores, which can only be in SHARED_MEMORY
_MEGABYTE = 1_000_000
_MOST_DETAILS_BYTES = 30_000  # of a traceback, of which the end says most; a pipe takes 64 KB until it is read
_ENDS_SECONDS = 2.0  # that an environment's process has to end by itself
# Signals that a terminal or a scheduler may send to the whole process group. Only the run handles them, and ends its
# environments' processes itself.
_FOR_THE_RUN = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_main_file_is_hidden = threading.Lock()

_GUARD = (
    'a script must call tfdqn below `if __name__ == "__main__":`, because '
    "each process that multiprocessing starts imports the script"
)


def require_main_has_begun() -> None:
    """Raises TaskError in an environment's process while it imports the user's script.

    Functions that a script calls begin with it: else each process would train, or evaluate, once more.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):  # as multiprocessing itself tells it
        raise TaskError(_GUARD)


class Processes(AsyncVectorEnv):
    """A process for each environment. An environment's error is raised here, without gymnasium printing it as well.

    Takes what gymnasium's class takes. Raises RuntimeError for processes that end, or fail, while they make their
    environments; its cause has the traceback of one that has failed.
    """

    def __init__(self, *arguments: Any, **settings: Any):
        try:
            with _main_file_is_importable():
                # gymnasium's own type of `worker` lacks its last argument, the mode of resetting.
                super().__init__(*arguments, worker=_work, **settings)  # type: ignore[arg-type, misc]
        except (EOFError, ConnectionError):
            if not hasattr(self, "processes"):  # it is of the environment that is made here first
                raise
            failure, ended = self._failure(), self.ended()
            if failure is None and not ended:
                raise
            self.close(terminate=True)
            if failure is None:
                raise RuntimeError(f"{'; '.join(ended)}, while making its environment{self._hint()}") from None
            index, line, details = failure
            raise RuntimeError(f"in environment {index}'s process, {line}") from _RemoteError(details)
        except KeyboardInterrupt:
            if hasattr(self, "processes"):
                self.close_extras(terminate=True)  # Python would wait for them as it ends
            raise

    def _failure(self) -> tuple[int, str, str] | None:
        """What a process has reported that could not make its environment; None if none does so before it ends."""
        deadline = time.monotonic() + _ENDS_SECONDS
        while time.monotonic() < deadline:
            is_over = any(process.exitcode is not None for process in self.processes)  # then nothing is on its way
            with contextlib.suppress(queue.Empty):
                failure: tuple[int, str, str] = self.error_queue.get(timeout=0.05)
                return failure
            if is_over:
                break
        return None

    def _hint(self) -> str:
        """The cause if a process failed before `_work`, which reports, and the script that it imports has no guard."""
        script = Path(getattr(sys.modules["__main__"], "__file__", None) or "")
        with contextlib.suppress(OSError):  # it isn't a file that can be read
            if any(process.exitcode == 1 for process in self.processes) and b"__name__" not in script.read_bytes():
                return f"; perhaps since {_GUARD}"
        return ""

    def ended(self) -> list[str]:
        """The processes that have ended, and how, in words: the reason for a broken pipe."""
        wait([process.sentinel for process in self.processes], _ENDS_SECONDS)  # a pipe breaks before its process ends
        return [
            f"environment {index}'s process {how_it_ended(process.exitcode)}"
            for index, process in enumerate(self.processes)
            if process.exitcode is not None
        ]

    def close_extras(self, timeout: float | None = None, terminate: bool = False, **_: Any) -> None:
        """Asks every process to end, and kills those that don't within 2 s, because they hang or are still stepping.

        With `terminate`, which gymnasium's finaliser sets, they are killed at once.
        """
        pipes = [pipe for pipe in self.parent_pipes if pipe is not None and not pipe.closed]
        for pipe in pipes:
            with contextlib.suppress(OSError):  # the process has ended
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


@contextlib.contextmanager
def _main_file_is_importable() -> Iterator[None]:
    """Hides the file of the main script if there is none, as of one read from standard input: processes import it."""
    main = sys.modules["__main__"]
    if os.path.exists(getattr(main, "__file__", "")):
        yield
        return
    with _main_file_is_hidden:
        file = vars(main).pop("__file__", None)
        try:
            yield
        finally:
            if file is not None:
                main.__file__ = file


class _RemoteError(Exception):
    """An exception of another process, whose traceback it has as its text."""


def _work(
    index: int, make: Callable[[], Any], pipe: Any, parent_pipe: Any, memory: Any, errors: Any, autoreset: Any
) -> None:
    """As gymnasium's own function for a process; an environment that can't be made is reported to `errors`."""
    leave_signals_to_the_run()
    threading.Thread(target=_end_with_the_run, daemon=True).start()
    try:
        env = make()
    except (Exception, SystemExit) as error:
        # First, so that the parent gets its EOF and reads `errors`: this process can't end until what it put is read.
        pipe.close()
        parent_pipe.close()
        errors.put((index, failure_line(error), _end_of("".join(traceback.format_exception(error)))))
        return
    _async_worker(index, lambda: env, pipe, parent_pipe, memory, errors, autoreset)


def _end_with_the_run() -> None:
    """Ends an environment's process after the run's, if a call that never returns keeps it from reading of that end."""
    run = multiprocessing.parent_process()
    assert run is not None
    wait([run.sentinel])  # no limit: it lasts as long as the run
    time.sleep(_ENDS_SECONDS)
    os._exit(1)


def _end_of(details: str) -> str:
    """The end of a traceback, as much as a pipe has room for; says so if that is not all of it."""
    encoded = details.encode(errors="backslashreplace")
    left_out = len(encoded) - _MOST_DETAILS_BYTES
    end = encoded[-_MOST_DETAILS_BYTES:].decode(errors="ignore")
    return f"[the first {left_out:,} bytes are left out]\n{end}" if left_out > 0 else end


def start_fork_server() -> None:
    """Starts multiprocessing's fork server with `_FOR_THE_RUN` blocked.

    Its children inherit that, so that no such signal ends them before `leave_signals_to_the_run`.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _FOR_THE_RUN)
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def leave_signals_to_the_run() -> None:
    """Makes an environment's process do nothing on the signals of `_FOR_THE_RUN`."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Not SIG_IGN: a simulator that the environment starts would inherit that, and could not be ended by them.
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _FOR_THE_RUN)


def require_room(task_id: str, observation_bytes: int, num_envs: int) -> None:
    """Raises TaskError if there is no room for the processes' shared memory: one observation for each environment.

    Python puts it in /dev/shm, or if that has less room in the temporary folder. `observation_bytes` are in the dtypes
    of the environment's own space.
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
    """Whether a folder has room for a file of this size, by allocating it: the free space reported may be wrong."""
    with contextlib.suppress(OSError), tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, max(needed_bytes, 1))
        return True
    return False


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
