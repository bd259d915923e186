"""`Supervisor`: runs a program's processes on this host: starts them, restarts lost ones, and ends all in order.

A process that ends is started again, by the restart rules in `cluster.program`; one whose heartbeats stay away is
killed first. The job is over when the learner has ended with status 0. If another host has the learner, it is over when
all processes here have ended with status 0, unless the learner goes on without them. No process is left when `run`
returns, or when the supervisor itself is killed.
"""

import math
import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tfdqn.cluster.program import AT_ONCE_AFTER, NEVER_AFTER, Program
from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId
from tfdqn.config import Health
from tfdqn.coordination.messages import Inspection, Phase
from tfdqn.errors import ClusterError, RefusedProcessError, UserError
from tfdqn.launch.inspector import LearnerPoller
from tfdqn.launch.supervised_process import SupervisedProcess
from tfdqn.system.fork_server import ForkServer
from tfdqn.system.signals import stopping_line
from tfdqn.system.subprocesses import TFDQN, how_it_ended, logged_end, own_line, start_process

STOPPING = "stopping"  # the state of a process that was asked to end
_LOOK_SECONDS = 0.2
_KILLED_SECONDS = 10.0  # the longest wait for the operating system to end what was killed
_LEAVING_SECONDS = 15.0  # that the other processes have to end by themselves after the learner
_SAID_SECONDS = 5.0  # of waiting for ends, after which it says for whose
_MISSED_AFTER_SECONDS = 3.0  # of the job after a process has ended well, before it is started again


class Row(NamedTuple):
    """The status of one process."""

    process_id: ProcessId
    state: str
    pid: int | None  # None: it is not running
    steps_per_second: float
    seconds_since_heartbeat: float | None  # None: there is no heartbeat yet, or it is not running
    restarts: int
    log: Path


class JobStatus(NamedTuple):
    """The status of the whole job."""

    rows: list[Row]  # one for each process of this host
    inspection: Inspection | None  # the learner's last answer since it was started


class View(Protocol):
    """Shows a job to the user."""

    def say(self, line: str) -> None:
        """Shows one line."""

    def show(self, status: JobStatus) -> None:
        """Shows the job's status; called several times a second."""


class Supervisor:
    """Runs the processes of a program.

    It must be used in the main thread, since processes die with the thread that has started them.

    Args:
      program: the processes of this host, and the job's topology.
      logs: a folder for each process's output.
      heartbeats: a folder for the processes' heartbeats.
      health: says for how long a process may be silent.
      view: shows what happens and how the job stands.
      server: forks the processes; None: each is started by itself.
      command: the command before a process's arguments.
    """

    def __init__(
        self,
        program: Program,
        logs: Path,
        heartbeats: Path,
        health: Health,
        view: View,
        server: ForkServer | None = None,
        command: Sequence[str] = TFDQN,
    ):
        self._program, self._health, self._view, self._server = program, health, view, server
        self._command, start = tuple(command), start_process if server is None else server.start
        self._all = {
            process.id: SupervisedProcess(process, self._command, logs, heartbeats, health, start)
            for process in program.processes
        }
        self._learner = LearnerPoller(program.topology.learner)
        self._stopping: set[ProcessId] = set()
        self._shown_life = ""  # the last life of the learner whose beginning was shown

    def run(self, interrupted: Callable[[], bool]) -> bool:
        """Runs until the job is over.

        Returns False if `interrupted()` has said before that the user asks to stop, and every process has ended.

        Raises ClusterError, after every process was stopped, if one can't be started, ends with a status that asks
        for the user's correction, or fails too often in a row.
        """
        if self._server is not None:
            self._server.prepare(self._command, interrupted)
        if interrupted():
            self._view.say(stopping_line())
            self._learner.close()
            return False
        try:
            for each in self._all.values():
                each.start()
            while not self._is_over():
                if interrupted():
                    self._view.say(stopping_line())
                    self._stop()
                    return False
                self._look_after_all()
                self._show()
                time.sleep(_LOOK_SECONDS)
            self._wait_while_alive(self._all.values(), _LEAVING_SECONDS)
            self._stop()
            return True
        except UserError:
            self._stop()
            raise
        finally:
            self._end()
            self._learner.close()

    def kill(self) -> None:
        """Kills every running process and all that it has started, without waiting for their end."""
        for each in self._all.values():
            each.kill()

    @property
    def has_saved(self) -> bool:
        """Whether the learner is on this host and has nothing unsaved: it ended with status 0, or never started."""
        learner = self._all.get(LEARNER)
        return learner is not None and (learner.status == 0 or learner.restarts < 0)

    def _is_over(self) -> bool:
        if LEARNER in self._all:
            return self.has_saved
        if any(each.status != 0 for each in self._all.values()):
            return False
        ended_seconds = max(each.ended_seconds for each in self._all.values())
        if (phase := self._learner.phase_after(ended_seconds)) is not None:
            return phase != Phase.TRAINING
        return time.monotonic() - ended_seconds > self._health.dead_after_seconds  # the learner doesn't answer any more

    def _end(self) -> None:
        """Kills what is still running, and waits until it has ended."""
        self.kill()
        deadline = time.monotonic() + _KILLED_SECONDS
        while any(each.is_alive for each in self._all.values()) and time.monotonic() < deadline:
            for each in self._all.values():
                each.look()
            time.sleep(0.01)

    def _look_after_all(self) -> None:
        """Looks at every process once; kills silent ones and starts those whose restart is due."""
        for each in self._all.values():
            if each.look():
                self._handle_end(each)
            elif each.is_silent:
                self._kill_the_silent(each)
            elif (seconds := each.starts_in_seconds) is not None and seconds <= 0:
                each.start()
            elif each.status == 0 and seconds is None and self._is_missed(each):
                each.plan_restart()
                self._view.say(f"{each.process_id} has ended, but the job goes on: it is started again")

    def _handle_end(self, each: SupervisedProcess) -> None:
        """Plans the restart of a process that has failed. Raises ClusterError if it is not to be started again."""
        status = each.status
        assert status is not None
        if status == 0:
            return
        if status in NEVER_AFTER:
            said = own_line(each.log, each.log_start_bytes)
            where = f"see {each.log}" if each.log.exists() else f"its log was moved or removed: {each.log}"
            why = said or f"{how_it_ended(status)}; {where}"
            raise RefusedProcessError(f"{each.process_id}: {why}")
        each.plan_restart()
        how = logged_end(status, each.log, each.log_start_bytes)
        if each.is_given_up:
            raise ClusterError(
                f"{each.process_id} {how}, {each.failures} times in a row within a minute of its start: given up; "
                f"see {each.log}"
            )
        seconds = each.starts_in_seconds or 0.0
        when = f" in {seconds:.0f} s" if seconds >= 0.5 else ""
        self._view.say(f"{each.process_id} {how}: it is started again{when}; its log is {each.log}")

    def _kill_the_silent(self, each: SupervisedProcess) -> None:
        self._view.say(f"{each.process_id} has given no heartbeat for {each.silent_seconds:.0f} s: killed")
        each.silent_seconds = 0.0
        each.kill()

    def _is_missed(self, each: SupervisedProcess) -> bool:
        """Whether the job goes on although the process has ended with status 0, by what the learner has said since."""
        return self._learner.phase_after(each.ended_seconds + _MISSED_AFTER_SECONDS) not in (None, Phase.OVER)

    def _stop(self) -> None:
        """Asks every process to end, those first that no other needs; kills what does not in time.

        Says why if one could not end well, as a learner whose disk is full.
        """
        for each in self._all.values():
            each.stay_ended()
        for group in self._program.stop_order():
            ending = [self._all[process.id] for process in group]
            asked = [each for each in ending if each.is_alive]
            for each in asked:
                self._stopping.add(each.process_id)
                each.send(signal.SIGTERM)
            self._wait_while_alive(ending, max(TRAITS[each.id.role].grace_seconds for each in group))
            for each in asked:
                if each.is_alive:
                    self._view.say(f"{each.process_id} does not end: killed; its log is {each.log}")
                    each.kill()
                elif each.status not in (0, *AT_ONCE_AFTER) and (said := own_line(each.log, each.log_start_bytes)):
                    self._view.say(f"{each.process_id}: {said}")

    def _wait_while_alive(self, ending: Collection[SupervisedProcess], seconds: float) -> None:
        """Waits until all of these have ended, at most for so many seconds; silent ones are killed."""
        deadline = time.monotonic() + seconds
        said_seconds = time.monotonic() + _SAID_SECONDS
        while (alive := [each for each in ending if each.is_alive]) and (now := time.monotonic()) < deadline:
            if now > said_seconds:
                awaited = ", ".join(str(each.process_id) for each in alive)
                self._view.say(f"waiting for {awaited} to end, for {deadline - now:.0f} s at most")
                said_seconds = math.inf
            for each in self._all.values():
                each.look()
            for each in ending:
                if each.is_silent:
                    self._kill_the_silent(each)
            self._show()
            time.sleep(_LOOK_SECONDS / 4)

    def _show(self) -> None:
        newest = self._learner.newest
        if newest is not None and newest.life != self._shown_life:
            self._shown_life = newest.life
            for line in filter(None, (newest.resumed, *newest.discarded)):
                self._view.say(f"{LEARNER}: {line}")
        learner = self._all.get(LEARNER)
        is_of_this_life = learner is None or self._learner.heard_seconds > learner.started_seconds
        rows = [self._row(each) for each in self._all.values()]
        self._view.show(JobStatus(rows, newest if is_of_this_life else None))

    def _row(self, each: SupervisedProcess) -> Row:
        state, heartbeat = each.state, each.heartbeat if each.is_alive else None
        if each.is_alive and each.process_id in self._stopping:
            state = STOPPING
        elif heartbeat and each.silent_seconds > self._health.dead_after_seconds / 2:
            state = f"silent for {each.silent_seconds:.0f} s"
        return Row(
            process_id=each.process_id,
            state=state,
            pid=each.pid,
            steps_per_second=heartbeat.steps_per_second if heartbeat else 0.0,
            seconds_since_heartbeat=each.silent_seconds if heartbeat else None,
            restarts=max(each.restarts, 0),
            log=each.log,
        )
