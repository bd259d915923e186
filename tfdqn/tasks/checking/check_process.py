"""`check_in_process`: a check in a process of its own, which an environment may end without ending this one."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NoReturn

from tfdqn.config import Task
from tfdqn.errors import counted
from tfdqn.system.subprocesses import dies_with, how_it_ended
from tfdqn.tasks.checking.check import Finding, TaskCheck, Tell, check

_POLL_SECONDS = 0.1
_ENDS_SECONDS = 2.0  # that the process has to close its environments when the check is interrupted


@contextmanager
def check_in_process(task: Task) -> Iterator[Callable[[Tell], TaskCheck]]:
    """Starts a check, as `check` does it, in a process that ends with the block; gives a function for its result.

    The process is forked, so that it has what is registered here. If an environment ends it, as by `os._exit` or a
    fault in native code, the result says how and after which step.
    """
    ours, its = Pipe(duplex=False)
    end_with_parent = dies_with(os.getpid())
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid == 0:
        end_with_parent()
        ours.close()
        _run(task, its)
    its.close()
    process = _Process(pid)
    try:
        yield lambda tell: _result(task, process, ours, tell)
    finally:
        process.end()
        ours.close()


def _run(task: Task, connection: Connection) -> NoReturn:
    """The check's process: sends its progress, then its result."""
    status = 1
    try:
        connection.send(check(task, lambda *progress: connection.send(progress)))
        status = 0
    except KeyboardInterrupt:
        pass  # the other process says so
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _result(task: Task, process: "_Process", connection: Connection, tell: Tell) -> TaskCheck:
    where = "before the first step"
    for sent in _received(process, connection):
        if isinstance(sent, TaskCheck):
            return sent
        about, steps, total = sent
        where = f"{about}, after {counted(steps, 'step')}"
        tell(about, steps, total)
    line = f"{task.id}, {where}: its process {how_it_ended(process.wait())}"
    return TaskCheck(task=task.id, can_train=False, findings=(Finding("the task", "no", line),))


def _received(process: "_Process", connection: Connection) -> Iterator[Any]:
    """What the process sends until it ends. A process that an environment has forked may keep the pipe open."""
    with suppress(EOFError, OSError):
        while True:
            has_ended = process.has_ended()  # asked first: what it sent before its end is still read
            if connection.poll(0.0 if has_ended else _POLL_SECONDS):
                yield connection.recv()
            elif has_ended:
                return


class _Process:
    """A forked process."""

    def __init__(self, pid: int):
        self._pid = pid
        self._status: int | None = None

    def has_ended(self) -> bool:
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if pid else None
        return self._status is not None

    def wait(self) -> int:
        """Its exit status, or minus the signal that ended it."""
        while not self.has_ended():
            time.sleep(_POLL_SECONDS / 10)
        assert self._status is not None
        return self._status

    def end(self) -> None:
        """Interrupts it if it still runs, so that it closes its environments, and kills it if that takes too long."""
        if self.has_ended():
            return
        os.kill(self._pid, signal.SIGINT)
        deadline = time.monotonic() + _ENDS_SECONDS
        while not self.has_ended():
            if time.monotonic() > deadline:
                os.kill(self._pid, signal.SIGKILL)
                self.wait()
                return
            time.sleep(_POLL_SECONDS / 10)
