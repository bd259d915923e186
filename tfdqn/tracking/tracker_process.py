"""`TrackerProcess`: a tracker of another system in a process of its own; as a program, that process.

What such a system's package does to its process (handlers of signals and of the exit, threads, patched streams, a
service of its own) it does there, and one that hangs can be killed.

Each call is pickled to the process's input, and answered by a line of JSON: whether it was done, and what to say.
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


class _Order(NamedTuple):
    """What the process is told first."""

    system: str
    config: Tracking
    run_dir: str


class TrackerProcess(ForwardingTracker):
    """Starts the process, and waits for its answer to each call.

    It ends with the thread that made it, whatever it is doing then. What it prints goes to `tracking/` of the run.
    Methods raise TrackerError where it could not do what it was told, or is gone; it is killed then.

    Args:
      system: one of `SYSTEMS`.
      config: what is asked for of it.
      run: the run's directory.
      say: shows one line to the user: where the run is tracked.
    """

    def __init__(self, system: str, config: Tracking, run: RunDir, say: Callable[[str], None]):
        run.tracking.mkdir(exist_ok=True)
        command = [sys.executable, "-P", "-m", "tfdqn.tracking.tracker_process", str(os.getpid())]
        with (run.tracking / f"{system}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True
            )
        say(f"{system}: {self._ask(_Order(system, config, str(run.path)))}")

    @property
    def takes_videos(self) -> bool:
        return True

    def tell(self, method: str, *arguments: Any) -> None:
        self._ask((method, arguments))
        if method == "close":
            self._process.wait()  # no limit: only the tracker's own thread waits here

    def _ask(self, what: object) -> str:
        assert self._process.stdin is not None and self._process.stdout is not None
        answer = b""
        with suppress(OSError):
            pickle.dump(what, self._process.stdin)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        is_done, text = json.loads(answer) if answer else (False, "")
        if not is_done:
            if text:
                self._process.kill()
            status = self._process.wait()  # no limit: it has ended, or was killed
            raise TrackerError(text or f"its process {how_it_ended(status)}")
        return str(text)


def _begin(order: _Order) -> tuple[TrackedRun, str]:
    """The run, and where the user finds it."""
    system, config, run = SYSTEMS[order.system], order.config, RunDir(order.run_dir)
    module, _, name = system.tracker.partition(":")
    make: Callable[[Tracking, RunDir, str, bool, int], ExternalRun] = getattr(importlib.import_module(module), name)
    tracked = TrackedRun(run.tracking / f"{order.system}.json", system.place(config), run.evaluations_file)
    external = make(config, run, tracked.id, tracked.is_new, tracked.calls)
    tracked.begin(external)
    return tracked, external.where


def _serve() -> None:
    """Does what it is told until that is to close, or nobody is left to tell it."""
    replies = os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8")
    os.dup2(2, 1)  # what a package prints is not taken for an answer
    tracked: TrackedRun | None = None
    method = ""
    while method != "close":
        try:
            asked = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        text = ""
        try:
            if isinstance(asked, _Order):
                tracked, text = _begin(asked)
            else:
                method, arguments = asked
                getattr(tracked, method)(*arguments)
            is_done = True
        except BaseException as error:
            traceback.print_exc()
            is_done, text = False, one_line(error)
        replies.write(json.dumps([is_done, text]) + "\n")


def main() -> None:
    dies_with(int(sys.argv[1]))()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a group's; the parent says when it is over
        signal.signal(number, signal.SIG_IGN)
    _serve()


if __name__ == "__main__":
    from tfdqn.tracking import tracker_process  # its classes are pickled under this name, not as `__main__`'s

    tracker_process.main()
