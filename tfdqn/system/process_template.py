"""`ProcessTemplate`: a process that has imported TensorFlow, and forks other processes, which so start at once.

Importing TensorFlow, TF-Agents and Reverb takes seconds of a core's time in each process; a fork of one that has
imported them takes milliseconds, and shares their memory. The template imports only: TensorFlow starts its threads and
devices when it is used first, which is in the forks.

Run as a module with a list of modules to import, it is the template itself. Each line of its stdin is then a process
to fork, a JSON list of its arguments after `python -m`, its log and its environment; the answer on stdout is its pid.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType

from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
from tfdqn.system.quick_start import quicken_start
from tfdqn.system.subprocesses import ChildHandle, dies_with, start_process

_PR_SET_CHILD_SUBREAPER = 36
_IMPORT_SECONDS = 120.0  # after which processes are started without it
_FORK_SECONDS = 10.0
_MODULE_PREFIX = (sys.executable, "-m")
# The command line of a fork is written over its template's, which this argument makes long enough.
_PADDING = " " * 4000
_READY = "ready"


class ForkedProcess:
    """A child of this process that a `ProcessTemplate` has forked; a `ChildHandle`."""

    def __init__(self, pid: int):
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class ProcessTemplate:
    """Starts processes as `start_process` does, by forking a process that has imported these modules.

    A fork is a child of this process, not of the template: it outlives the template, and not this process. If there is
    no template yet, or no longer, processes are started without it.

    It must be used in the main thread, since its processes die with it.

    Args:
      modules: their names. Importing them must start no thread, and open no file that forks must not share.
    """

    def __init__(self, modules: Sequence[str]):
        self._modules, self._answers = tuple(modules), b""
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False

    def __enter__(self) -> "ProcessTemplate":
        """Starts the template, which then imports its modules in the background."""
        # A fork's first parent ends at once; the kernel then gives it to this process.
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
        with suppress(OSError):  # then there is none
            self._process = subprocess.Popen(
                [*_MODULE_PREFIX, __name__, *self._modules, _PADDING],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a process that is started without it shows what is wrong
                start_new_session=True,
                preexec_fn=dies_with(os.getpid()),
            )
            self._deadline_seconds = time.monotonic() + _IMPORT_SECONDS
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Ends the template; processes that it has forked run on."""
        self._end()

    @property
    def is_importing(self) -> bool:
        """Whether to wait before processes are started."""
        if self._process is None or self._is_ready:
            return False
        answer = self._answer(0.0)
        self._is_ready = answer == _READY
        if answer is None and time.monotonic() < self._deadline_seconds:
            return True
        if not self._is_ready:
            self._end()
        return False

    def start(self, command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> ChildHandle:
        """As `start_process`. Forks a command that runs a module of this Python; starts any other."""
        pid = self._fork(command, log, environment) if tuple(command[:2]) == _MODULE_PREFIX else None
        return start_process(command, log, environment) if pid is None else ForkedProcess(pid)

    def _fork(self, command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> int | None:
        """The pid of the fork; None: there is no template that answers."""
        if self._process is None or not self._is_ready:
            return None
        log.open("ab").close()  # an error of the file is this process's
        variables = {**os.environ, **environment}
        set_variables = {name: value for name, value in variables.items() if value is not None}
        request = json.dumps([list(command[2:]), str(log.absolute()), os.getpid(), set_variables])
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(request.encode() + b"\n")
            answer = self._answer(_FORK_SECONDS)
            if answer:
                return int(answer)
        self._end()
        return None

    def _answer(self, seconds: float) -> str | None:
        """The template's next line, if it comes within these seconds; "" if it has ended."""
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._answers:
            if not select.select([self._process.stdout], [], [], max(deadline - time.monotonic(), 0.0))[0]:
                return None
            read = os.read(self._process.stdout.fileno(), 100)
            if not read:
                return ""
            self._answers += read
        answer, _, self._answers = self._answers.partition(b"\n")
        return answer.decode()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
        self._process, self._is_ready = None, False


def _serve(modules: Sequence[str]) -> list[str]:
    """Imports modules, then forks what is asked for. Returns in a fork only: its arguments after `python -m`."""
    before = set(os.environ)
    quicken_start()
    ignore_warnings_of_libraries()
    for name in modules:
        import_module(name)
    gc.collect()
    gc.freeze()  # so that a collection in a fork leaves alone, and shared, what there is now
    print(_READY, flush=True)
    while line := sys.stdin.readline():
        between = os.fork()
        if between:
            os.waitpid(between, 0)
            continue
        between = os.getpid()
        if os.fork():
            os._exit(0)
        while os.getppid() == between:
            time.sleep(0.001)
        arguments, log, parent, variables = json.loads(line)
        dies_with(parent)()
        for name in before - set(variables):
            os.environ.pop(name, None)
        os.environ.update(variables)
        _become(arguments, log)
        return list(arguments)
    os._exit(0)


def _become(arguments: Sequence[str], log: str) -> None:
    """Makes this process what `start_process` would have started, and then says its pid."""
    os.setsid()
    _show([*_MODULE_PREFIX, *arguments])
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # Python's own generator has been seeded anew already
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    os.dup2(nothing, 0)
    os.dup2(output, 2)
    os.write(1, f"{os.getpid()}\n".encode())
    os.dup2(output, 1)
    os.close(output)
    os.close(nothing)


def _show(command: Sequence[str]) -> None:
    """Writes a command line over this process's own, where `ps` reads it."""
    begin, end = map(int, Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[45:47])
    line = b"\0".join(map(os.fsencode, command)) + b"\0"
    if len(line) < end - begin:  # else this process is shown as the template
        ctypes.memmove(begin, line.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    _module, *sys.argv[1:] = _serve(sys.argv[1:-1])
    runpy.run_module(_module, run_name="__main__", alter_sys=True)
