"""`tfdqn` as a process that begins with TensorFlow, TF-Agents and Reverb imported, which takes seconds of a core.

Run as a module, this is the command in such a process: its arguments are the folder, the files of its two outputs, the
program and that one's arguments.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from tfdqn.system.fork_server import ForkServer
from tfdqn.system.subprocesses import ChildHandle

MARK = "TFDQN_TEST_PROCESS"
# What `train` and `evaluate` import at the latest when they learn, save, draw and export.
MODULES = (
    *("tfdqn.cli.main", "tfdqn.training.train", "tfdqn.training.prerequisites", "tfdqn.learning.strategies.factory"),
    *("tfdqn.replay.reverb.in_process", "matplotlib.figure", "matplotlib.backends.backend_agg"),
    *("gymnasium.envs.classic_control", "tensorflow_serving.apis.prediction_log_pb2"),
)
_UNMARKED = "0" * 32  # as long as any mark: written over in a fork
_LOOK_SECONDS = 0.005
# A server dies with the thread that has started it: this one ends with the tests.
_thread = ThreadPoolExecutor(1)


class ForkedCommand:
    """A command in a fork, with what `subprocess.Popen` has."""

    def __init__(self, child: ChildHandle):
        self._child, self.pid = child, child.pid

    def poll(self) -> int | None:
        return self._child.poll()

    def wait(self, timeout: float) -> int:
        """Its exit status. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout
        while (status := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("tfdqn", timeout)
            time.sleep(_LOOK_SECONDS)
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def forked_command(
    folder: Path, out: Path, err: Path, command: Sequence[str], environment: Mapping[str, str | None]
) -> ForkedCommand:
    """`python -c *command` in a fork that has this process's environment, changed so, and is its child.

    For any thread. Where nothing can be forked, it is a process that is started.
    """
    command = (sys.executable, "-m", __name__, *map(str, map(Path.absolute, (folder, out, err))), *command)
    return ForkedCommand(_thread.submit(lambda: _server().start(command, err, environment)).result())


@cache
def _server() -> ForkServer:
    server, before = ForkServer(MODULES), os.environ.get(MARK)
    os.environ[MARK] = _UNMARKED
    try:
        server.prepare((sys.executable, "-m", __name__), lambda: False)
    finally:
        del os.environ[MARK]
        os.environ.update({} if before is None else {MARK: before})
    return server


def _show_mark() -> None:
    """Writes the mark to where /proc/PID/environ is read, which is the server's."""
    begin, end = map(int, Path("/proc/self/stat").read_text().rpartition(")")[2].split()[47:49])
    place = ctypes.string_at(begin, end - begin).find(f"{MARK}={_UNMARKED}".encode())
    if place >= 0:  # else it was started, and has it there
        ctypes.memmove(begin + place + len(MARK) + 1, os.environ[MARK].encode(), len(_UNMARKED))


def _main() -> None:
    folder, *outputs, program = sys.argv[1:5]
    _show_mark()
    os.chdir(folder)
    for number, name in enumerate(outputs, 1):
        file = os.open(name, os.O_WRONLY | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    sys.argv, sys.path[:1] = ["-c", *sys.argv[5:]], ["", *os.environ["PYTHONPATH"].split(os.pathsep)]
    exec(program, {"__name__": "__main__"})


if __name__ == "__main__":
    _main()
