"""`Roster`: the processes that take part in a job, as the learner knows them by their heartbeats.

A process that is silent beyond a deadline counts as dead, whatever its connections: a stopped process keeps them. The
counts of an actor are kept when it dies.
"""

import threading
import time
from collections.abc import Callable, Iterable

from tfdqn.cluster.roles import ProcessId, Role
from tfdqn.coordination.heartbeat_files import silence_limit_seconds
from tfdqn.coordination.messages import Counts, Heartbeat, ProcessStatus


class Roster:
    """The known processes and their counts. Written by the server's threads, and read by the learner's.

    Only processes that joined this life of the learner count, and none that has been silent for `dead_after_seconds`,
    by the clock `now`; by default that is `time.monotonic`.
    """

    def __init__(self, life: str, dead_after_seconds: float, now: Callable[[], float] | None = None):
        self._life = life
        self._dead_after_seconds = dead_after_seconds
        self._now = now or time.monotonic
        self._lock = threading.Lock()
        self._newest: dict[ProcessId, tuple[Heartbeat, float]] = {}
        self._before = Counts()  # this life of the learner
        self._counted: dict[str, Counts] = {}  # by the life of the process that counted, the dead included
        self._total = Counts()  # of all of these: a job of a thousand asks for it a thousand times a second
        self._held: dict[ProcessId, str] = {}

    def add(self, heartbeat: Heartbeat) -> None:
        """Adds a heartbeat that has just arrived. If two overtook each other, the larger counts are kept."""
        with self._lock:
            self._newest[heartbeat.process_id] = (heartbeat, self._now())
            if heartbeat.joined != self._life:
                return
            before = self._counted.get(heartbeat.life, Counts())
            newest = heartbeat.counts.at_least(before)
            self._counted[heartbeat.life] = newest
            self._total += newest - before

    def start_from(self, counts: Counts) -> None:
        """Sets what was counted before this life of the learner."""
        with self._lock:
            self._before = counts

    def counts(self) -> Counts:
        """The counts of all processes together, including dead ones."""
        with self._lock:
            return self._before + self._total

    def status(self) -> tuple[ProcessStatus, ...]:
        """The state of every process that was ever heard, in order."""
        with self._lock:
            newest = sorted(self._newest.items())
        now = self._now()
        return tuple(
            ProcessStatus(heartbeat=heartbeat, seconds_since_heartbeat=now - heard) for _, (heartbeat, heard) in newest
        )

    def present(self, role: Role) -> list[Heartbeat]:
        """The newest heartbeats of the processes of a role that have joined and are not silent."""
        return [
            status.heartbeat
            for status in self.status()
            if status.heartbeat.process_id.role is role
            and status.heartbeat.joined == self._life
            and status.seconds_since_heartbeat < self._dead_after_seconds
        ]

    def hold(self, process_ids: Iterable[ProcessId]) -> None:
        """From now on, a restart of one of these processes counts as its loss."""
        with self._lock:
            self._held = {process_id: self._newest[process_id][0].life for process_id in process_ids}

    def lost(self, process_ids: Iterable[ProcessId]) -> dict[ProcessId, str]:
        """Which of these processes count as dead, and why, in words that name them."""
        found = {status.heartbeat.process_id: status for status in self.status()}
        reasons = {}
        for process_id in process_ids:
            status = found.get(process_id)
            if status is None:
                reasons[process_id] = f"{process_id} has not joined"
            elif self._held.get(process_id, status.heartbeat.life) != status.heartbeat.life:
                reasons[process_id] = f"{process_id} has started again"
            elif status.seconds_since_heartbeat >= silence_limit_seconds(
                status.heartbeat.state, self._dead_after_seconds
            ):
                reasons[process_id] = f"{process_id} has been silent for {status.seconds_since_heartbeat:.0f} s"
            elif status.heartbeat.joined != self._life:
                reasons[process_id] = f"{process_id} has started again"
        return reasons

    def unheard(self, process_ids: Iterable[ProcessId]) -> list[ProcessId]:
        """Which of these processes took part, and count as dead only because they are silent."""
        found = {status.heartbeat.process_id: status.seconds_since_heartbeat for status in self.status()}
        return [process_id for process_id in process_ids if found.get(process_id, 0.0) >= self._dead_after_seconds]
