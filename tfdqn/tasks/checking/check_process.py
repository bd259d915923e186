"""`check_in_process`: a check in a process of its own, which an environment may end without ending this one."""

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from tfdqn.config import Task
from tfdqn.errors import counted
from tfdqn.system.subprocesses import dies_with, how_it_ended
from tfdqn.tasks.checking.check import TaskCheck, Tell, check
from tfdqn.tasks.checking.findings import Finding

_POLL_SECONDS = 0.1
_ENDS_SECONDS = 2.0  # that the process has to close its environments when the check is interrupted


@contextmanager
def check_in_process(task: Task) -> Iterator[Callable[[Tell], TaskCheck]]:
    """Starts a check, as `check` does it, in a process that ends with the block; gives a function for its result.

    The process is forked, so that it has what is registered here. If an environment ends it, as by `os._exit` or a
    fault in native code, the result says how and after which step.
    """
    context = get_context("fork")
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(task, its, dies_with(os.getpid())))
    process.start()
    its.close()
    try:
        yield lambda tell: _result(task, process, ours, tell)
    finally:
        _end(process)
        ours.close()


def _run(task: Task, connection: Connection, end_with_parent: Callable[[], None]) -> None:
    """The check's process: sends its progress, then its result."""
    try:
        end_with_parent()
        found = check(task, lambda *progress: connection.send(progress))
        _end_undisturbed()
        connection.send(found)
    except KeyboardInterrupt:
        _end_undisturbed()
        sys.exit(1)  # the other process says so
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def _end_undisturbed() -> None:
    """Ignores what `_end` sends from now on: while Python ends the process, an interrupt would print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _result(task: Task, process: BaseProcess, connection: Connection, tell: Tell) -> TaskCheck:
    where = "before the first step"
    for sent in _received(process, connection):
        if isinstance(sent, TaskCheck):
            return sent
        about, steps, total = sent
        where = f"{about}, after {counted(steps, 'step')}"
        tell(about, steps, total)
    process.join(_ENDS_SECONDS)  # it has ended, or has closed the pipe and ends
    if process.exitcode is None:
        process.kill()
        process.join(_ENDS_SECONDS)
    assert process.exitcode is not None
    line = f"{task.id}, {where}: its process {how_it_ended(process.exitcode)}"
    return TaskCheck(task=task.id, can_train=False, findings=(Finding("the task", "no", line),))


def _received(process: BaseProcess, connection: Connection) -> Iterator[Any]:
    """What the process sends until it ends. A process that an environment has forked may keep the pipe open."""
    with suppress(EOFError, OSError):
        while True:
            has_ended = not process.is_alive()  # asked first: what it sent before its end is still read
            if connection.poll(0.0 if has_ended else _POLL_SECONDS):
                yield connection.recv()
            elif has_ended:
                return


def _end(process: BaseProcess) -> None:
    """Interrupts the process if it still runs, so that it closes its environments; kills it if that takes too long."""
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(_ENDS_SECONDS)
        process.kill()
    process.join(_ENDS_SECONDS)
