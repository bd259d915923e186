"""`TrackerProcess`: runs another system's tracker in a process of its own. As a program, this file is that process.

The system's package may handle signals, start threads, patch streams or hang: it does so there, and not in training.

Each call is pickled to the process's stdin. The answer is one line of JSON: whether it succeeded, and a message.
"""

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

from tfdqn.config import Tracking
from tfdqn.errors import one_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.subprocesses import dies_with, how_it_ended
from tfdqn.tracking.external_run import ExternalRun, TrackedRun
from tfdqn.tracking.systems import SYSTEMS
from tfdqn.tracking.tracker import ForwardingTracker, TrackerError


class _Start(NamedTuple):
    """The first message to the process."""

    system: str
    config: Tracking
    run_dir: str


class TrackerProcess(ForwardingTracker):
    """Starts the process, and passes calls on to it; each method but `kill` waits for the answer.

    The process ends with the thread that made it. Its output goes to `tracking/` in the run directory. Methods raise
    TrackerError if a call fails, after which the process is killed, or if the process has ended. `say` is told where
    the run is tracked.
    """

    def __init__(self, system: str, config: Tracking, run: RunDir, say: Callable[[str], None]):
        self._system, self._say = system, say
        self._start = _Start(system, config, str(run.path))
        run.tracking.mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-m", "tfdqn.tracking.tracker_process", str(os.getpid())]
        with (run.tracking / f"{system}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )

    @property
    def takes_videos(self) -> bool:
        return True

    def start(self) -> None:
        self._say(f"{self._system}: {self._ask(self._start)}")

    def tell(self, method: str, *arguments: Any) -> None:
        self._ask((method, arguments))
        if method == "close":
            self._process.wait()  # needs no timeout: only the tracker's own thread waits here, until `kill`

    def kill(self) -> None:
        """Kills the process and all that it has started, without waiting; nothing once it has ended."""
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _ask(self, message: object) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        answer = b""
        with suppress(OSError):
            pickle.dump(message, self._process.stdin)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        is_done, text = json.loads(answer) if answer else (False, "")
        if not is_done:
            if text:
                self.kill()
            status = self._process.wait()  # needs no timeout: it has ended, or was killed
            raise TrackerError(text or f"its process {how_it_ended(status)}")
        return str(text)


def _begin(start: _Start) -> tuple[TrackedRun, str]:
    """Begins or resumes the external run; returns it, and where the user finds it."""
    system, config, run = SYSTEMS[start.system], start.config, RunDir(start.run_dir)
    module, _, name = system.tracker.partition(":")
    make: Callable[[Tracking, RunDir, TrackedRun], ExternalRun] = getattr(importlib.import_module(module), name)
    tracked = TrackedRun(run.tracking / f"{start.system}.json", system.place(config), run.evaluations_file)
    external = make(config, run, tracked)
    tracked.begin(external)
    return tracked, external.where


def _serve() -> None:
    """Handles messages until the tracker is closed, or stdin is."""
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # the package's own output must not be taken for an answer
    tracked: TrackedRun | None = None
    method = ""
    while method != "close":
        try:
            message = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        text = ""
        try:
            if isinstance(message, _Start):
                tracked, text = _begin(message)
            else:
                method, arguments = message
                getattr(tracked, method)(*arguments)
            is_done = True
        except BaseException as error:
            traceback.print_exc()
            is_done, text = False, one_line(error)
        replies.write(json.dumps([is_done, text]) + "\n")


def main() -> None:
    """Runs the process; the argument is the id of its parent, with which it ends."""
    dies_with(int(sys.argv[1]))()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to a whole group; the parent ends this process
        signal.signal(number, signal.SIG_IGN)
    _serve()


if __name__ == "__main__":
    from tfdqn.tracking import tracker_process  # `_Start` is pickled by this module's name, not by `__main__`

    tracker_process.main()
