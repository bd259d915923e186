"""`ChildRuns`: runs child processes, such as `tfdqn train`, a few at a time; none of them outlives this process.

The progress of a run is read from its directory; the output of its process goes to a log there (`RunDir.child_log`).
`slots` divides the host's cores and GPUs among the processes.
"""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from typing import Generic, TypeVar

from tfdqn.cluster.roles import LEARNER, TRAITS
from tfdqn.cluster.tf_config import VARIABLE, tensorflow_jobs
from tfdqn.config import Config
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import Outcome, read_end
from tfdqn.system.fork_server import ForkServer, fork_server
from tfdqn.system.processors import available_cores, gpu_shares, visible_gpus
from tfdqn.system.signals import end_at_once, interruptions, stopping_line
from tfdqn.system.subprocesses import ChildHandle, Starter, logged_end, own_line, start_process, status_when_ended
from tfdqn.tuning.observed_run import ObservedRun

_LOOK_SECONDS = 0.2
# TensorFlow's variable for the number of threads of one operation; `learner.threads` overrides it.
_THREADS = "TF_NUM_INTRAOP_THREADS"
_GRACE_SECONDS = TRAITS[LEARNER.role].grace_seconds  # to save and end after SIGTERM, before it is killed
# Exit statuses of a process that was asked to end and could not save, or not in time.
UNSAVED = (130, 143, *(-number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)))

Child = TypeVar("Child", bound="ChildProcess")


class ChildProcess(ABC):
    """A child process that `ChildRuns` starts, polls a few times a second, and ends."""

    def __init__(self) -> None:
        self._process: ChildHandle | None = None
        self._deadline_seconds: float | None = None  # when it is killed; None: it has not been asked to end

    @property
    def has_begun(self) -> bool:
        """Whether it was started."""
        return self._process is not None

    @property
    def is_asked_to_end(self) -> bool:
        """Whether it was asked to save and end."""
        return self._deadline_seconds is not None

    @property
    @abstractmethod
    def has_ended(self) -> bool:
        """Whether `look` has found that it ended, or it could not be started."""

    @abstractmethod
    def start(self, start: Starter, command: Sequence[str], environment: Mapping[str, str | None]) -> None:
        """Starts the process by `start`, which is like `start_process`.

        `command` is the beginning of its command line, `environment` has the variables to set or, with None, to remove.
        """

    @abstractmethod
    def look(self) -> bool:
        """Polls the process; returns whether it has ended since the last call."""

    def stop(self) -> None:
        """Asks the process to save and end; `look` returns True once it has."""
        if self._process is not None and not self.has_ended and not self.is_asked_to_end:
            self._deadline_seconds = time.monotonic() + _GRACE_SECONDS
            os.kill(self._process.pid, signal.SIGTERM)  # it hasn't been reaped, so the pid is still its own

    def kill(self) -> None:
        """Kills the process and all that it has started, without waiting."""
        if self._process is not None and not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    def _status(self) -> int | None:
        """Its exit status, as from `status_when_ended`. Kills it if it was asked to end and hasn't done so in time."""
        if self._process is None:
            return None
        if self._deadline_seconds is not None and time.monotonic() > self._deadline_seconds:
            self.kill()
        return status_when_ended(self._process)


class ChildRun(ChildProcess, ObservedRun):
    """A run that is trained by a child process; `options` are further options of its `tfdqn train`.

    Attributes:
      was_killed: whether the run failed because a signal from outside ended its process.
    """

    def __init__(self, name: str, config: Config, run: RunDir, options: Sequence[str] = ()):
        ChildProcess.__init__(self)
        ObservedRun.__init__(self, name, config, run)
        self.was_killed = self._was_held_up = False
        self._options = tuple(options)

    @property
    def has_ended(self) -> bool:
        return self.outcome is not None

    def start(self, start: Starter, command: Sequence[str], environment: Mapping[str, str | None]) -> None:
        """Starts the process; if that is impossible, the run has failed. `command` comes before `train`."""
        if not self._prepare():
            return
        arguments = ("train", str(self.run.child_config_file), "--run-dir", str(self.run.path), *self._options)
        try:
            self._process = start((*command, *arguments), self.run.child_log, environment)
        except OSError as error:
            self.fail_to_start(error)

    def look(self) -> bool:
        """Polls the process; returns whether the run has ended since the last call."""
        if self.has_ended or (status := self._status()) is None:
            return False
        self._end(status)
        return True

    def keep_interruption(self) -> None:
        if not self._was_held_up:  # else it has noted itself what held it up
            super().keep_interruption()

    def _end(self, status: int) -> None:
        noted = read_end(self.run.end_file)  # by its process: it was removed before that was started
        self._was_held_up = status != 0 and noted is not None and noted.is_saved  # but has saved
        self.is_saved = status == 0 or self._was_held_up
        if status == 0:
            self._summary = self.summary()
            self.outcome = Outcome.STOPPED if self._summary is None else Outcome.FINISHED
        elif self.is_asked_to_end and status in UNSAVED:
            self.outcome = Outcome.STOPPED
        else:
            self.outcome, self.why, self.was_killed = Outcome.FAILED, self._failure(status), status < 0

    def _failure(self, status: int) -> str:
        log = self.run.child_log, self._log_start_bytes
        return (own_line(*log) if status > 0 else "") or logged_end(status, *log)


class ChildRuns(Generic[Child]):
    """Runs child processes. For the main thread: a process is killed when the thread that started it ends.

    Args:
      environments: variables for each process, as in `ChildProcess.start`; at most as many run at a time.
      command: the beginning of each command line.
      server: forks the processes; None: each is started by itself.
    """

    def __init__(
        self,
        environments: Sequence[Mapping[str, str | None]],
        say: Callable[[str], None],
        command: Sequence[str],
        server: ForkServer | None = None,
    ):
        self._free = list(environments)
        self._running: dict[Child, Mapping[str, str | None]] = {}
        self._say, self._command, self._server = say, tuple(command), server

    def run(self, runs: Iterable[Child | None], look: Callable[[list[Child]], None]) -> bool:
        """Runs child processes in order until all have ended, or the user asks to stop.

        No process is left behind, even after an exception: those that run are asked to save and end.

        Args:
          runs: taken one at a time, when there is room. None means that there is none at present, but may be later.
          look: called a few times a second with those that have ended since; it may stop others.

        Returns whether all have ended; False if the user asked to stop.
        """
        left = iter(runs)
        with interruptions(self._end_at_once) as interrupted:
            try:
                if self._server is not None:
                    look([])  # which shows the runs, before seconds of imports
                    self._server.prepare(self._command, interrupted)
                while not interrupted():
                    look(self._newly_ended())
                    if self._start_from(left) and not self._running:
                        return True
                    time.sleep(_LOOK_SECONDS)
                self._say(stopping_line())
                self._stop_all(look)
                return False
            except BaseException:
                self._stop_all(lambda ended: None)
                raise

    def kill(self) -> None:
        """Kills every running process and all that it has started, without waiting."""
        for each in self._running:
            each.kill()

    def _start_from(self, left: Iterator[Child | None]) -> bool:
        """Starts processes as long as there is room; returns whether it has found that none is left to start."""
        while self._free:
            try:
                run = next(left)
            except StopIteration:
                return True
            if run is None:
                return False
            self._running[run] = environment = self._free.pop(0)
            run.start(self._server.start if self._server else start_process, self._command, environment)
        return False

    def _newly_ended(self) -> list[Child]:
        ended = [each for each in self._running if each.look() or each.has_ended]
        for each in ended:
            self._free.append(self._running.pop(each))
        return ended

    def _stop_all(self, look: Callable[[list[Child]], None]) -> None:
        for each in self._running:
            each.stop()
        while self._running:
            look(self._newly_ended())
            time.sleep(_LOOK_SECONDS / 4)

    def _end_at_once(self) -> None:
        self.kill()
        end_at_once()


def fork_server_of_runs(runs: int) -> AbstractContextManager[ForkServer | None]:
    """Forks the processes of so many runs."""
    return fork_server(["tfdqn.cli.runs", "tfdqn.training.train"], runs)


def default_jobs(config: Config, cores: int, gpus: int) -> int:
    """How many runs are trained in parallel by default: as many as there are cores for, and at most one per GPU.

    A run keeps busy a core for each process that computes gradients, one for acting if that overlaps with learning, and
    one for each environment in a process of its own.
    """
    busy = max(1, sum(tensorflow_jobs(config).values()))
    busy += config.learner.schedule == "overlap"
    busy += config.task.num_envs if config.task.vectorization == "async" else 0
    return max(1, min(cores // busy, gpus or cores))


def slots_of_this_host(config: Config, jobs: int | None, most: int) -> list[Mapping[str, str | None]]:
    """The `slots` of `jobs` runs on this host, `default_jobs` of them if that is None, but at most `most`."""
    cores, gpus = available_cores(), visible_gpus()
    return slots(max(1, min(jobs or default_jobs(config, cores, len(gpus)), most)), cores, gpus)


def slots(jobs: int, cores: int, gpus: tuple[str, ...]) -> list[Mapping[str, str | None]]:
    """The environment variables of each of `jobs` runs: its share of the cores and GPUs, and no `TF_CONFIG`.

    Cores are shared by limiting threads; by a variable, not by a key, so that the run's configuration stays the same. A
    limit that the user has set is kept.
    """
    threads = os.environ.get(_THREADS) or str(max(1, cores // jobs))
    return [{VARIABLE: None, _THREADS: threads, **share} for share in gpu_shares(gpus, jobs)]
