"""`Supervisor`: runs a program on this host: starts its processes, restarts those that are lost, ends all in order.

A process that ends is started again by its restart rule; one without heartbeats is killed first. The job is over when
the learner has ended well; where that is another supervisor's, when all processes here have, unless the learner goes on
without them. Nothing is left of the job when `run` returns, or when this process is killed.
"""

import signal
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from tfdqn.cluster.program import Program
from tfdqn.cluster.roles import LEARNER, TRAITS, ProcessId
from tfdqn.config import Health
from tfdqn.coordination.messages import Inspection, Phase
from tfdqn.errors import ClusterError, UserError
from tfdqn.launch.inspector import LearnerPoller
from tfdqn.launch.supervised_process import TFDQN, SupervisedProcess
from tfdqn.system.signals import stopping_line
from tfdqn.system.subprocesses import how_it_ended

_LOOK_SECONDS = 0.2
_KILLED_SECONDS = 10.0  # in which the system ends what was killed
_LEAVING_SECONDS = 15.0  # in which the others end by themselves when the learner has
_BEYOND_DOUBT_SECONDS = 3.0
_SHOWN_CHARACTERS = 300


class Row(NamedTuple):
    """How one process stands."""

    process_id: ProcessId
    state: str
    pid: int | None
    steps_per_second: float
    seconds_since_heartbeat: float | None  # None: there is none yet, or it doesn't live
    restarts: int
    log: Path


class JobStatus(NamedTuple):
    """How the whole job stands."""

    rows: list[Row]
    inspection: Inspection | None  # as the learner said last


class View(Protocol):
    """What a person sees of it."""

    def say(self, line: str) -> None: ...

    def show(self, status: JobStatus) -> None: ...


class Supervisor:
    """Made and run by the main thread: processes die with the thread that started them.

    Args:
      program: what is run.
      logs: a folder for what each process prints.
      heartbeats: a folder for their heartbeats.
      health: when silence is death.
      view: told what happens, and shown how it stands a few times a second.
      command: what stands before a process's arguments.
    """

    def __init__(
        self, program: Program, logs: Path, heartbeats: Path, health: Health, view: View, command: Sequence[str] = TFDQN
    ):
        self._program, self._health, self._view = program, health, view
        self._all = {
            process.id: SupervisedProcess(process, tuple(command), logs, heartbeats, health)
            for process in program.processes
        }
        self._learner = LearnerPoller(program.topology.learner)
        self._stopping: set[ProcessId] = set()
        self._told_life = ""  # the learner's, whose beginning was said last

    def run(self, interrupted: Callable[[], bool]) -> bool:
        """Until the job is over, or False: until the user has asked to stop and every process has.

        Raises ClusterError if a process refuses to go on by what only the user can mend, or is given up; then
        every process was stopped.
        """
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
        """Kills every live process, with all that it has started; waits for nothing."""
        for each in self._all.values():
            each.kill()

    @property
    def has_saved(self) -> bool:
        """Whether the learner has ended as it should, having saved what it had."""
        return LEARNER in self._all and self._all[LEARNER].status == 0

    def _is_over(self) -> bool:
        if LEARNER in self._all:
            return self.has_saved
        if any(each.status != 0 for each in self._all.values()):
            return False
        ended_seconds = max(each.ended_seconds for each in self._all.values())
        newest = self._learner.newest
        if newest is not None and self._learner.heard_seconds > ended_seconds:
            return newest.phase != Phase.TRAINING
        return time.monotonic() - ended_seconds > self._health.dead_after_seconds  # the learner has gone, too

    def _end(self) -> None:
        self.kill()
        deadline = time.monotonic() + _KILLED_SECONDS
        while any(each.is_alive for each in self._all.values()) and time.monotonic() < deadline:
            for each in self._all.values():
                each.look()
            time.sleep(0.01)

    def _look_after_all(self) -> None:
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
        status, restart = each.status, each.process.restart
        assert status is not None
        if status == 0:
            return
        own_line = each.last_line("tfdqn: ").removeprefix("tfdqn: ")
        if status in restart.never:
            raise ClusterError(f"{each.process_id}: {own_line or f'{how_it_ended(status)}; see {each.log}'}")
        each.plan_restart()
        last_line = (own_line or each.last_line())[:_SHOWN_CHARACTERS] if status > 0 else ""
        how = how_it_ended(status) + (f" ({last_line})" if last_line else "")
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
        """Whether the learner goes on training without a process that has ended well."""
        newest, asked = self._learner.newest, self._learner.heard_seconds
        is_training = newest is not None and newest.phase == Phase.TRAINING
        return is_training and asked > each.ended_seconds + _BEYOND_DOUBT_SECONDS

    def _stop(self) -> None:
        """Asks every process to end: first those that no other needs."""
        for each in self._all.values():
            each.stay_ended()
        for group in self._program.stop_order():
            ending = [self._all[process.id] for process in group]
            for each in ending:
                if each.is_alive:
                    self._stopping.add(each.process_id)
                    each.send(signal.SIGTERM)
            self._wait_while_alive(ending, max(TRAITS[each.id.role].grace_seconds for each in group))
            for each in ending:
                if each.is_alive:
                    self._view.say(f"{each.process_id} does not end: killed; its log is {each.log}")
                    each.kill()

    def _wait_while_alive(self, ending: Collection[SupervisedProcess], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while any(each.is_alive for each in ending) and time.monotonic() < deadline:
            for each in self._all.values():
                each.look()
            for each in ending:
                if each.is_silent:
                    self._kill_the_silent(each)
            self._show()
            time.sleep(_LOOK_SECONDS / 4)

    def _show(self) -> None:
        newest = self._learner.newest
        if newest is not None and newest.life != self._told_life:
            self._told_life = newest.life
            if newest.resumed:
                self._view.say(f"{LEARNER}: {newest.resumed}")
        self._view.show(JobStatus([self._row(each) for each in self._all.values()], newest))

    def _row(self, each: SupervisedProcess) -> Row:
        state, heartbeat = each.state, each.heartbeat if each.is_alive else None
        if each.is_alive and each.process_id in self._stopping:
            state = "stopping"
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
