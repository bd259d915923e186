"""`ForkServer`: a process that has imported TensorFlow and forks others, which therefore start at once.

Importing TensorFlow, TF-Agents and Reverb takes a core for seconds in each process; a fork of one that has imported
them takes hundredths of a second, and shares their memory. The server itself only imports: TensorFlow starts its
threads and devices when it is first used, in the forks.

Run as a module with a list of modules to import, this is the server. Each line of its stdin is then a process to fork:
a JSON list of its arguments after `python -m`, its log, its parent's pid and its environment. The answer on stdout is
the pid, which the fork itself writes there.
"""

import ctypes
import gc
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path

from tfdqn.system import exits as exits  # before the server imports modules with exit handlers
from tfdqn.system.before_tensorflow import ignore_warnings_of_libraries
from tfdqn.system.processors import visible_gpus
from tfdqn.system.quick_start import quicken_start
from tfdqn.system.subprocesses import ChildHandle, dies_with, start_process

_PR_SET_CHILD_SUBREAPER, _PR_GET_CHILD_SUBREAPER = 36, 37
_IMPORT_SECONDS = 120.0  # after which processes are started without it
_FORK_SECONDS = 10.0
_LATE_SECONDS = 2.0  # in which a fork may still say its pid after its server was killed
_LOOK_SECONDS = 0.05
_PYTHON_MODULE = (sys.executable, "-m")
# The command line of a fork is written over the server's, which this argument makes long enough.
_PADDING = " " * 4000
_READY, _FAILED = "ready", "failed"


def fork_server(modules: Sequence[str], processes: int) -> AbstractContextManager["ForkServer | None"]:
    """A server for `processes` processes that use these modules.

    None for a single process, whose start it would not shorten, and on a host with GPUs, where it is untested.
    """
    if processes < 2 or visible_gpus():
        return nullcontext()
    return ForkServer(modules)


class ForkedProcess:
    """A child of this process that a `ForkServer` has forked; a `ChildHandle`, for any thread."""

    def __init__(self, pid: int):
        self.pid = pid
        self.returncode: int | None = None
        self._polling = threading.Lock()

    def poll(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None if it still runs."""
        with self._polling:
            if self.returncode is None:
                try:
                    pid, status = os.waitpid(self.pid, os.WNOHANG)
                except ChildProcessError:  # SIGCHLD is ignored here; 0, as `Popen` has it
                    pid, status = self.pid, 0
                if pid:
                    self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class ForkServer(AbstractContextManager["ForkServer"]):
    """Starts processes as `start_process` does, by forking one that has imported these modules.

    A fork is a child of this process, not of the server: it outlives the server, but not this process. For this, this
    process adopts orphans while it waits for a fork, and only then. Where there is no server, because it could not
    start or has ended, processes are started without it. `begin` or `prepare` starts it; it ends with the block. All
    this is for the main thread, since processes die with the thread that has started them.

    Args:
      modules: their names. Threads that their import starts are not in the forks. (OpenBLAS, which NumPy and SciPy
        bring, stops its own before a fork and starts them anew.)
    """

    def __init__(self, modules: Sequence[str]):
        self._modules, self._answers = tuple(modules), b""
        self._process: subprocess.Popen[bytes] | None = None
        self._has_begun = self._is_ready = False

    def __exit__(self, *_: object) -> None:
        """Ends the server; its forks run on."""
        self._end()

    def begin(self, command: Sequence[str]) -> None:
        """Starts the server, if it is to fork this command, and lets it import meanwhile."""
        if self._has_begun or not _is_module(command):
            return
        self._has_begun = True
        with suppress(OSError):  # if it can't be started
            self._process = subprocess.Popen(
                [*_PYTHON_MODULE, __name__, *self._modules, _PADDING],
                bufsize=0,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,  # a process that is started without it shows what is wrong
                start_new_session=True,
                preexec_fn=dies_with(os.getpid()),
            )

    def prepare(self, command: Sequence[str], interrupted: Callable[[], bool]) -> None:
        """As `begin`; then waits until the server is ready, can't be, or this is interrupted."""
        self.begin(command)
        deadline = time.monotonic() + _IMPORT_SECONDS
        while self._process is not None and not self._is_ready and not interrupted():
            answer = self._answer(_LOOK_SECONDS)
            self._is_ready = answer == _READY
            if answer == "" or time.monotonic() > deadline:
                self._end()

    def start(self, command: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> ChildHandle:
        """As `start_process`. Forks a command that runs a module by this Python; starts any other."""
        if self._is_ready and _is_module(command):
            log.open("ab").close()  # so that it is this process which raises an error
            with _orphans_are_adopted():
                pid = self._fork(command[2:], log, {**os.environ, **environment})
                if pid is not None:
                    return ForkedProcess(pid)
                self._end()
        return start_process(command, log, environment)

    def _fork(self, arguments: Sequence[str], log: Path, environment: Mapping[str, str | None]) -> int | None:
        """The pid of the fork; None if the server does not answer."""
        variables = {name: value for name, value in environment.items() if value is not None}
        request = json.dumps([list(arguments), str(log.absolute()), os.getpid(), variables]).encode() + b"\n"
        deadline = time.monotonic() + _FORK_SECONDS
        answer = self._answer(deadline - time.monotonic()) if self._send(request, deadline) else None
        return int(answer) if answer and answer.isdecimal() else None

    def _send(self, request: bytes, deadline: float) -> bool:
        """Writes a request to the server; returns whether the pipe took all of it before the deadline."""
        assert self._process is not None and self._process.stdin is not None
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        with suppress(OSError):
            while request and _is_open_to(select.POLLOUT, pipe, deadline):
                request = request[os.write(pipe, request) :]
        return not request

    def _answer(self, seconds: float) -> str | None:
        """The next line of the server or a fork; None if none comes within these seconds, "" if the pipe is closed."""
        assert self._process is not None and self._process.stdout is not None
        deadline = time.monotonic() + seconds
        while b"\n" not in self._answers:
            if not _is_open_to(select.POLLIN, self._process.stdout.fileno(), deadline):
                return None
            read = os.read(self._process.stdout.fileno(), 100)
            if not read:
                return ""
            self._answers += read
        answer, _, self._answers = self._answers.partition(b"\n")
        return answer.decode()

    def _end(self) -> None:
        """Ends the server, and any fork that says its pid too late. One that can't say it any more ends by itself."""
        if self._process is not None:
            assert self._process.stdin is not None and self._process.stdout is not None
            self._process.kill()
            self._process.wait()  # no limit: it was killed
            deadline, late = time.monotonic() + _LATE_SECONDS, self._answers
            # Until a fork has said its pid, it keeps the pipe open.
            while _is_open_to(select.POLLIN, self._process.stdout.fileno(), deadline):
                if not (read := os.read(self._process.stdout.fileno(), 100)):
                    break
                late += read
            for pipe in (self._process.stdin, self._process.stdout):
                pipe.close()
            for pid in filter(bytes.isdigit, late.split()):
                with suppress(ProcessLookupError, ChildProcessError):  # where SIGCHLD is ignored
                    os.kill(int(pid), signal.SIGKILL)
                    os.waitpid(int(pid), 0)
        self._process, self._is_ready = None, False


@contextmanager
def _orphans_are_adopted() -> Iterator[None]:
    """Within the block, this process becomes the parent of every descendant whose own parent has ended."""
    before = ctypes.c_int(0)
    _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(before))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    try:
        yield
    finally:
        _prctl(_PR_SET_CHILD_SUBREAPER, before)


def _is_open_to(event: int, pipe: int, deadline: float) -> bool:
    """Whether a pipe can be written to, or has something or its end to be read, before the deadline."""
    poll = select.poll()
    poll.register(pipe, event)
    return bool(poll.poll(max(deadline - time.monotonic(), 0.0) * 1000))


def _prctl(option: int, value: object) -> None:
    ctypes.CDLL(None).prctl(option, value)


def _is_module(command: Sequence[str]) -> bool:
    """Whether a command runs a module by this Python."""
    return tuple(command[:2]) == _PYTHON_MODULE


def _serve(modules: Sequence[str]) -> list[str]:
    """Imports modules, then forks what is asked for. Returns in a fork only: its arguments after `python -m`."""
    before = set(os.environ)
    answers = os.dup(1)
    os.dup2(2, 1)  # what imports print is no answer
    quicken_start()
    ignore_warnings_of_libraries()
    for name in modules:
        import_module(name)
    sys.stdout.flush()  # else forks would print it
    gc.collect()
    gc.freeze()  # so that a collection in a fork leaves alone, and shared, what there is now
    os.write(answers, f"{_READY}\n".encode())
    while line := sys.stdin.readline():
        arguments, log, parent, variables = json.loads(line)
        if _fork_for(parent, answers):
            for name in before - set(variables):
                os.environ.pop(name, None)
            os.environ.update(variables)
            _become(arguments, log)
            return list(arguments)
    os._exit(0)


def _fork_for(parent: int, answers: int) -> bool:
    """Forks a child of `parent`, which writes its pid to `answers`. True in the child, False in this process.

    The process in between ends at once, and the kernel gives its child to `parent`, which adopts orphans.
    """
    if between := os.fork():
        status = 0
        with suppress(ChildProcessError):  # SIGCHLD is ignored here
            _, status = os.waitpid(between, 0)
        if status:
            os.write(answers, f"{_FAILED}\n".encode())
        return False
    between = os.getpid()
    try:
        if os.fork():
            os._exit(0)
    except OSError:
        os._exit(1)
    while os.getppid() == between:
        time.sleep(0.001)
    dies_with(parent)()
    os.setsid()
    # At once, before anything that may take long: `parent` has to know of every child that it gets.
    try:
        os.write(answers, f"{os.getpid()}\n".encode())
    except BrokenPipeError:
        os._exit(1)
    os.close(answers)
    return True


def _become(arguments: Sequence[str], log: str) -> None:
    """Gives this process the command line, random seeds and files of one that `start_process` would have started."""
    _show([*_PYTHON_MODULE, *arguments])
    sys.orig_argv = [*_PYTHON_MODULE, *arguments]
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # Python's own generator has been seeded anew already
    nothing, output = os.open(os.devnull, os.O_RDONLY), os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    for number, file in ((0, nothing), (1, output), (2, output)):
        os.dup2(file, number)
    for file in (nothing, output):
        os.close(file)


def _show(command: Sequence[str]) -> None:
    """Writes a command line over this process's own, where `ps` reads it."""
    begin, end = map(int, Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[45:47])
    line = b"\0".join(map(os.fsencode, command)) + b"\0"
    if len(line) < end - begin:  # else it is shown as the fork server
        ctypes.memmove(begin, line.ljust(end - begin, b"\0"), end - begin)


if __name__ == "__main__":
    _module, *sys.argv[1:] = _serve(sys.argv[1:-1])
    runpy.run_module(_module, run_name="__main__", alter_sys=True)
