"""`SupervisedProcess`: one process of a program, over all its restarts: its start, heartbeats, end, and next start."""

import os
import signal
import time
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from tfdqn.cluster.program import AT_ONCE_AFTER, FAILURES_IN_A_ROW, Process
from tfdqn.config import Health
from tfdqn.coordination.heartbeat_files import (
    STARTING,
    VARIABLE,
    HeartbeatRecord,
    heartbeat_file,
    read_heartbeat,
    silence_limit_seconds,
    write_heartbeat,
)
from tfdqn.errors import ClusterError
from tfdqn.system.subprocesses import ChildHandle, Starter, status_when_ended

WAITING = "waiting for"  # how a state begins, in heartbeats, in which no work has begun yet, but for `STARTING`
_MOST_SECONDS_BETWEEN_LOOKS = 1.0  # more is not counted as silence, since the supervisor itself was stopped then
_STEADY_SECONDS = 60.0  # after which a process that ends has not failed at its start
_PAUSE_SECONDS, _MOST_PAUSE_SECONDS = 0.5, 10.0  # before a restart: the first pause, which doubles, and the longest
_KILLED_FROM_OUTSIDE = tuple(-number for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP))


class SupervisedProcess:
    """A process of the operating system that is started, watched by `look`, and started again.

    It is not thread-safe: the supervisor's thread calls `look` a few times a second.

    Args:
      process: its arguments and environment.
      command: the command before the arguments.
      logs: a folder for its output.
      heartbeats: a folder for its heartbeats.
      health: says for how long it may be silent.
      start: starts it, as `start_process`.

    Attributes:
      log: the file with its output, over all restarts.
      log_start_bytes: the size of the log when the process was last started.
      restarts: how many times it was started again; -1: it was never started.
      heartbeat: the newest since its last start; None: there is none yet.
      silent_seconds: how long ago its newest heartbeat was, or its start if there is none.
      status: its exit status, negative for a signal; None: it is running or was never started.
      started_seconds: the time, by `time.monotonic`, of its last start.
      ended_seconds: the time, by `time.monotonic`, at which it was seen to have ended.
      failures: how many times in a row it has ended within a minute of its start.
    """

    def __init__(
        self, process: Process, command: tuple[str, ...], logs: Path, heartbeats: Path, health: Health, start: Starter
    ):
        self.process_id = process.id
        self.log, self.log_start_bytes = logs / f"{process.id.file_stem}.log", 0
        self.restarts = -1
        self.heartbeat: HeartbeatRecord | None = None
        self.silent_seconds = 0.0
        self.status: int | None = None
        self.ended_seconds = 0.0
        self.failures = 0
        self.started_seconds = 0.0
        self._start_due_seconds: float | None = None
        self._command, self._health, self._start_process = (*command, *process.arguments), health, start
        self._environment = {**process.environment, VARIABLE: str(heartbeats.resolve())}
        self._heartbeat_file = heartbeat_file(process.id, heartbeats.resolve())
        self._child: ChildHandle | None = None
        self._has_worked = False
        self._looked_seconds = 0.0

    @property
    def pid(self) -> int | None:
        """Its process id; None: it is not running."""
        return None if self._child is None or self.status is not None else self._child.pid

    @property
    def is_alive(self) -> bool:
        """Whether it is running."""
        return self.pid is not None

    @property
    def is_silent(self) -> bool:
        """Whether it has been silent for so long that it counts as lost."""
        health = self._health
        limit = health.patience_seconds
        if self.heartbeat is not None:
            limit = silence_limit_seconds(self.heartbeat.state, health.dead_after_seconds)
        return self.is_alive and self.silent_seconds > limit

    @property
    def is_given_up(self) -> bool:
        """Whether it has failed so often in a row that it is not to be started again."""
        return self.failures >= FAILURES_IN_A_ROW

    @property
    def starts_in_seconds(self) -> float | None:
        """The seconds until its restart is due, negative if it is overdue; None: none is planned."""
        return None if self._start_due_seconds is None else self._start_due_seconds - time.monotonic()

    @property
    def state(self) -> str:
        """What it is doing, in words."""
        if self.is_alive:
            return STARTING if self.heartbeat is None else self.heartbeat.state
        if self._start_due_seconds is not None:
            return "starting again"
        return "ended" if self.status is not None else ""

    def start(self) -> None:
        """Starts it, for the first time or again. Raises ClusterError if the operating system can't start it."""
        try:
            self._start()
        except OSError as error:
            where = error.filename or self.log
            raise ClusterError(f"{self.process_id} can't be started: {error.strerror} ({where})") from error

    def _start(self) -> None:
        with self.log.open("a", encoding="utf-8") as log:
            log.write(f"== {self.process_id} starts: {datetime.now():%Y-%m-%d %H:%M:%S}\n")
            self.log_start_bytes = log.tell()
        self._heartbeat_file.unlink(missing_ok=True)
        with suppress(OSError):  # for `health`, until it gives heartbeats itself
            patience = self._health.patience_seconds
            write_heartbeat(self._heartbeat_file, str(self.process_id), STARTING, 0.0, 0, patience)
        self._child = self._start_process(self._command, self.log, self._environment)
        self.restarts += 1
        self.heartbeat, self.status, self._has_worked = None, None, False
        self._start_due_seconds, self.silent_seconds = None, 0.0
        self.started_seconds = self._looked_seconds = time.monotonic()

    def look(self) -> bool:
        """Reads its newest heartbeat; returns whether it has ended since the last call."""
        if self._child is None or not self.is_alive:
            return False
        now = time.monotonic()
        self.silent_seconds += min(now - self._looked_seconds, _MOST_SECONDS_BETWEEN_LOOKS)
        self._looked_seconds = now
        heartbeat = read_heartbeat(self._heartbeat_file)
        if heartbeat is not None and heartbeat.pid == self._child.pid and heartbeat != self.heartbeat:
            self.heartbeat, self.silent_seconds = heartbeat, 0.0
            self._has_worked |= heartbeat.state != STARTING and not heartbeat.state.startswith(WAITING)
        self.status = status_when_ended(self._child)
        if self.status is None:
            return False
        self.ended_seconds = now
        return True

    def plan_restart(self) -> None:
        """Plans its restart after it has ended: at once if it didn't fail, else after a pause that grows."""
        assert self.status is not None
        now = time.monotonic()
        is_no_failure = self.status in (0, *_KILLED_FROM_OUTSIDE, *AT_ONCE_AFTER)
        if now - self.started_seconds > _STEADY_SECONDS or (is_no_failure and self._has_worked):
            self.failures = 0
        else:
            self.failures += 1
        pauses = self.failures - (1 if self.status in AT_ONCE_AFTER else 0)
        pause = min(_PAUSE_SECONDS * 2 ** (pauses - 1), _MOST_PAUSE_SECONDS) if pauses > 0 else 0.0
        self._start_due_seconds = now + pause

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process, but not to those that it has started; does nothing if it has ended."""
        if self.pid is not None:
            os.kill(self.pid, number)  # safe: as long as it isn't reaped, no other process has its id

    def kill(self) -> None:
        """Kills the process and all that it has started."""
        if self.pid is not None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)

    def stay_ended(self) -> None:
        """Cancels a planned restart."""
        self._start_due_seconds = None
