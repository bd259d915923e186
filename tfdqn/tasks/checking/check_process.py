"""`check_in_process`: a check in a process of its own, which an environment may end without ending this one."""

import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, NamedTuple, Self

from msgspec import Struct

from tfdqn.config import Task
from tfdqn.errors import counted
from tfdqn.system.code_places import MAKING, METHODS, Frames, called_by_tfdqn, innermost, stack_of
from tfdqn.system.subprocesses import dies_with, how_it_ended
from tfdqn.tasks.checked_env import CheckedEnv
from tfdqn.tasks.checking.check import TaskCheck, Tell, check
from tfdqn.tasks.checking.findings import Finding
from tfdqn.tasks.suites.gymnasium_envs import make_single

_POLL_SECONDS = 0.1
_LOOK_SECONDS = 1.0  # between looks at the call in which the check's process is
_SAID_EVERY_SECONDS = 20.0  # that a call doesn't return
_MOST_SECONDS = 300.0  # that a call may take before the check gives up
# That the process has to close its environments when the check is interrupted: it waits 2 s for their processes.
_ENDS_SECONDS = 5.0


@contextmanager
def check_in_process(task: Task) -> Iterator[Callable[[Tell, Callable[[str], None]], TaskCheck]]:
    """Starts a check, as `check` does it, in a process that ends with the block; gives a function for its result.

    The function takes `tell`, and `say`, which gets a line every 20 seconds that a call to an environment doesn't
    return. After 300 seconds of one call the result says which call that is.

    The process is forked, so that it has what is registered here. If an environment ends it, as by `os._exit` or a
    fault in native code, the result says how and after which step.
    """
    context = get_context("fork")
    ours, its = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(task, its, dies_with(os.getpid())))
    process.start()
    its.close()
    try:
        yield lambda tell, say: _result(task, process, ours, tell, say)
    finally:
        _end(process)
        ours.close()


def _run(task: Task, connection: Connection, end_with_parent: Callable[[], None]) -> None:
    """The check's process: sends its progress and the call in which it is, then its result."""
    try:
        end_with_parent()
        sending, main = threading.Lock(), threading.get_ident()

        def send(sent: object) -> None:
            with sending:
                connection.send(sent)

        def look() -> None:
            with suppress(OSError):  # the other process has ended
                while True:
                    time.sleep(_LOOK_SECONDS)
                    send(_PendingCall.of_thread(main))

        threading.Thread(target=look, name="pending calls", daemon=True).start()
        found = check(task, lambda *progress: send(_Progress(*progress)))
        _end_undisturbed()
        send(found)
    except KeyboardInterrupt:
        _end_undisturbed()
        sys.exit(1)  # the other process says so
    except BaseException:
        traceback.print_exc()
        sys.exit(1)


def _end_undisturbed() -> None:
    """Ignores what `_end` sends from now on: while Python ends the process, an interrupt would print a traceback."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _result(
    task: Task, process: BaseProcess, connection: Connection, tell: Tell, say: Callable[[str], None]
) -> TaskCheck:
    where, wait = "before the first step", _Wait()
    for sent in _received(process, connection):
        if isinstance(sent, TaskCheck):
            return sent
        if isinstance(sent, _Progress):
            where = f"{sent.about}, after {counted(sent.steps, 'step')}"
            tell(*sent)
        if line := wait.line(sent, where):
            if wait.seconds > _MOST_SECONDS:
                return _failed(task, f"{task.id}: {line}: given up")
            say(line)
    process.join(_ENDS_SECONDS)  # it has ended, or has closed the pipe and ends
    if process.exitcode is None:
        process.kill()
        process.join(_ENDS_SECONDS)
    assert process.exitcode is not None
    return _failed(task, f"{task.id}, {where}: its process {how_it_ended(process.exitcode)}")


def _failed(task: Task, line: str) -> TaskCheck:
    return TaskCheck(task=task.id, can_train=False, findings=(Finding("the task", "no", line),))


class _Progress(NamedTuple):
    """What `Tell` takes."""

    about: str
    steps: int
    total: int


class _PendingCall(Struct, frozen=True):
    """The call to an environment in which a thread is, which has not returned yet."""

    environment: str = ""  # and its step, such as "environment 0, step 49"; "": which one is unknown
    call: str = "a call"  # such as "step()"
    place: str = ""  # the innermost line of the environment's code that it has come to, if any is known

    @classmethod
    def of_thread(cls, thread: int) -> Self:
        """The call in which the thread of that `ident` is now."""
        stack = stack_of(thread)
        frames = called_by_tfdqn(stack)
        if len(frames) < 2:
            return cls()
        caller, *called = frames
        method, env = called[0][0].f_code.co_name, caller[0].f_locals.get("self")
        return cls(
            environment=env.where if isinstance(env, CheckedEnv) else _being_made(stack),
            call=f"{method}()" if method in METHODS else MAKING,
            place=str(innermost(called) or ""),
        )

    def is_of(self, other: Self) -> bool:
        """Whether this is the call that `other` is, perhaps at another line by now."""
        return (self.environment, self.call) == (other.environment, other.call)

    def line(self, where: str, seconds: float) -> str:
        """The call in words, and for how long it has lasted; `where` says where it is if no environment is known."""
        place = f" ({self.place})" if self.place else ""
        return f"{self.environment or where}: {self.call} has not returned for {seconds:.0f} s{place}"


def _being_made(stack: Frames) -> str:
    """The environment that is being made, in words; "" if which one is unknown."""
    index = next((frame.f_locals["index"] for frame, _ in stack if frame.f_code is make_single.__code__), None)
    return "" if index is None else f"environment {index}"


class _Wait:
    """How long the call to an environment has lasted in which the check's process is.

    The process may hold Python's lock, and then send nothing: that is a call that doesn't return, too.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._call = _PendingCall()
        self._looked_seconds = time.monotonic()
        self._said_seconds = 0.0

    def line(self, sent: _Progress | _PendingCall | None, where: str) -> str:
        """Takes what was sent since the last call; returns the line that is due, or "".

        `where` says where the check is.
        """
        now = time.monotonic()
        # More is not counted, since the check was stopped as a whole then.
        passed, self._looked_seconds = min(now - self._looked_seconds, _LOOK_SECONDS), now
        if isinstance(sent, _Progress) or (isinstance(sent, _PendingCall) and not sent.is_of(self._call)):
            self.seconds = self._said_seconds = 0.0
        else:
            self.seconds += passed
        if sent is not None:
            self._call = sent if isinstance(sent, _PendingCall) else _PendingCall()
        if self.seconds - self._said_seconds < _SAID_EVERY_SECONDS and self.seconds <= _MOST_SECONDS:
            return ""
        self._said_seconds = self.seconds
        return self._call.line(where, self.seconds)


def _received(process: BaseProcess, connection: Connection) -> Iterator[Any]:
    """What the process sends until it ends, and None while it sends nothing.

    A process that an environment has forked may keep the pipe open.
    """
    with suppress(EOFError, OSError):
        while True:
            has_ended = not process.is_alive()  # asked first: what it sent before its end is still read
            if connection.poll(0.0 if has_ended else _POLL_SECONDS):
                yield connection.recv()
            elif has_ended:
                return
            else:
                yield None


def _end(process: BaseProcess) -> None:
    """Interrupts the process if it still runs, so that it closes its environments; kills it if that takes too long."""
    if process.is_alive():
        assert process.pid is not None
        os.kill(process.pid, signal.SIGINT)
        process.join(_ENDS_SECONDS)
        process.kill()
    process.join(_ENDS_SECONDS)
