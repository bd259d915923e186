"""`ChildRuns`: runs a `tfdqn train` process for each run, some at a time; none of them outlives this process.

The progress of a run is read from its directory. Its process prints to a log there (`RunDir.child_log`).
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from tfdqn.cluster.roles import LEARNER, TRAITS
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.errors import RunDirError
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.signals import end_at_once, interruptions
from tfdqn.system.subprocesses import how_it_ended, last_line, start_process, status_when_ended
from tfdqn.tuning.observed_run import ObservedRun, Outcome
from tfdqn.tuning.run_progress import file_bytes

TFDQN = (sys.executable, "-m", "tfdqn")
_LOOK_SECONDS = 0.2
_GRACE_SECONDS = TRAITS[LEARNER.role].grace_seconds  # from being asked to end until being killed, in which it saves
# By which a process ends that was asked to, but could not save: in time, or at all.
_UNSAVED = (130, 143, *(-number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))
_SHOWN_CHARACTERS = 300
_OVER = object()  # no further run is to come


class ChildRun(ObservedRun):
    """One run. `ChildRuns` checks it a few times a second.

    Args:
      name, config, run: as of `ObservedRun`.
      options: of `tfdqn train`.

    Attributes:
      was_killed: whether it failed because a signal from outside ended it.
    """

    def __init__(self, name: str, config: Config, run: RunDir, options: Sequence[str] = ()):
        super().__init__(name, config, run)
        self.was_killed = False
        self._options = tuple(options)
        self._process: subprocess.Popen | None = None
        self._log_start_bytes = 0
        self._deadline_seconds: float | None = None  # after which it is killed; None: it has not been asked to end

    @property
    def has_begun(self) -> bool:
        return self._process is not None

    @property
    def is_asked_to_end(self) -> bool:
        return self._deadline_seconds is not None

    def start(self, command: Sequence[str], environment: Mapping[str, str | None]) -> None:
        """Starts its process. If that is impossible, the run has failed.

        Args:
          command: what stands before `train`.
          environment: variables to set, or with None to leave out.
        """
        self._begins()
        self._log_start_bytes = file_bytes(self.run.child_log)
        arguments = ("train", str(self.run.child_config_file), "--run-dir", str(self.run.path), *self._options)
        try:
            write_atomically(self.run.child_config_file, dump(self.config).encode())
            self._process = start_process((*command, *arguments), self.run.child_log, environment)
        except (OSError, RunDirError) as error:
            self.outcome, self.why = Outcome.FAILED, f"can't be started: {error}"

    def look(self) -> bool:
        """Whether it has ended since the last call. Kills it if it was asked to end and does not end in time."""
        if self._process is None or self.outcome is not None:
            return False
        if self._deadline_seconds is not None and time.monotonic() > self._deadline_seconds:
            self.kill()
        status = status_when_ended(self._process)
        if status is None:
            return False
        self._end(status)
        return True

    def stop(self) -> None:
        """Asks it to save and end; `look` says when it has."""
        if self.is_alive and self._process is not None and not self.is_asked_to_end:
            self._deadline_seconds = time.monotonic() + _GRACE_SECONDS
            os.kill(self._process.pid, signal.SIGTERM)  # it hasn't been reaped, so its number is still its own

    def kill(self) -> None:
        """Kills it and all that it has started, without waiting."""
        if self.is_alive and self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _end(self, status: int) -> None:
        self.is_saved = status == 0
        if status == 0:
            self._summary = self.summary()
            self.outcome = Outcome.STOPPED if self._summary is None else Outcome.FINISHED
        elif self.is_asked_to_end and status in _UNSAVED:
            self.outcome = Outcome.STOPPED
        else:
            self.outcome, self.why, self.was_killed = Outcome.FAILED, self._failure(status), status < 0

    def _failure(self, status: int) -> str:
        own_line = last_line(self.run.child_log, self._log_start_bytes, "tfdqn: ").removeprefix("tfdqn: ")
        if status > 0 and own_line:
            return own_line
        said = last_line(self.run.child_log, self._log_start_bytes)[:_SHOWN_CHARACTERS] if status > 0 else ""
        return how_it_ended(status) + (f" ({said})" if said else "")


class ChildRuns:
    """To be made and used by the main thread, because the processes die with the thread that started them.

    Args:
      environments: variables for each process; their number is the most processes at a time.
      say: shows one line to the user.
      command: what stands before `train`.
    """

    def __init__(
        self,
        environments: Sequence[Mapping[str, str | None]],
        say: Callable[[str], None],
        command: Sequence[str] = TFDQN,
    ):
        self._free = list(environments)
        self._running: dict[ChildRun, Mapping[str, str | None]] = {}
        self._say, self._command = say, tuple(command)

    def run(self, runs: Iterable[ChildRun | None], look: Callable[[list[ChildRun]], None]) -> bool:
        """Runs them, in order, until all have ended; or False: until the user has asked to stop, and all that ran have
        ended. Whatever ends it, no process is left; those under way are asked to save first.

        Args:
          runs: taken one at a time, when there is room; None: there is none just now, but may be later.
          look: called a few times a second with those that have ended since; it may stop others.
        """
        left = iter(runs)
        with interruptions(self._end_at_once) as interrupted:
            try:
                while not interrupted():
                    look(self._newly_ended())
                    while self._free and isinstance(each := next(left, _OVER), ChildRun):
                        self._start(each)
                    if not self._running and each is _OVER:
                        return True
                    time.sleep(_LOOK_SECONDS)
            except BaseException:
                self._stop_all(lambda ended: None)
                raise
            self._say("stopping; a second Ctrl-C ends everything at once, without saving")
            self._stop_all(look)
            return False

    def kill(self) -> None:
        """Kills every live process and all that it has started, without waiting."""
        for each in self._running:
            each.kill()

    def _start(self, run: ChildRun) -> None:
        self._running[run] = environment = self._free.pop(0)
        run.start(self._command, environment)

    def _newly_ended(self) -> list[ChildRun]:
        ended = [each for each in self._running if each.look() or each.outcome is not None]
        for each in ended:
            self._free.append(self._running.pop(each))
        return ended

    def _stop_all(self, look: Callable[[list[ChildRun]], None]) -> None:
        for each in self._running:
            each.stop()
        while self._running:
            look(self._newly_ended())
            time.sleep(_LOOK_SECONDS / 4)

    def _end_at_once(self) -> None:
        self.kill()
        end_at_once()
