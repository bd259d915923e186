"""`LearnerWatchdog`: what a job's learner is watched for, and its heartbeat."""

import time

from tfdqn.cluster.roles import Role
from tfdqn.coordination.heartbeat_files import MEETING, HeartbeatFile, heartbeat_file
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.watchdog import Watchdog, end_now
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.roles.context import Job
from tfdqn.system.peer_connections import PeerConnections

_SAID_AFTER_SECONDS = 4.0  # two questions


class LearnerWatchdog(Watchdog):
    """Ends the process where it has lost whom it needs; whom it can do without, it only hangs up on.

    The last checkpoint stands.
    """

    def __init__(self, job: Job, control: LearnerService):
        super().__init__("the learner", job.config.health, job.say, job.interrupted, job.stopped_status)
        self._job, self._control = job, control
        self._sign = HeartbeatFile(heartbeat_file(job.process_id), str(job.process_id), job.say)
        self._beat_due = 0.0
        self._watched = job.topology.process_ids(Role.PARAMETER_SERVER, Role.WORKER)
        if job.config.learner.strategy == "parameter_server":
            self._watched = job.topology.process_ids(Role.PARAMETER_SERVER)  # a worker may come and go
        helpers = [
            process_id
            for process_id in job.topology.process_ids(Role.WORKER)
            if process_id not in self._watched
        ]
        self._lines = {
            process_id: PeerConnections(job.topology.address(process_id)) for process_id in helpers
        }
        self._quiet = 0  # how many helpers are
        self._were_there = False
        self.updates_per_second = 0.0

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._sign.remove()

    def begin(self, replay: RemoteReplay) -> None:
        """From now on all who learn must stay, and no replay server be silent beyond patience."""
        self._control.roster.hold(self._watched)
        self._were_there = True
        self.require(replay, "all replay servers answer", _SAID_AFTER_SECONDS)

    def is_waiting(self, line: str) -> None:
        """Says for whom, and has the heartbeat say it, too."""
        self.state = line
        self._job.say(line)

    def enter_rendezvous(self) -> None:
        """Tells at once that the next moments may pass without a heartbeat."""
        self.state = MEETING
        self._write_sign()

    @property
    def doing(self) -> str:
        """What the heartbeat says."""
        return self.state if self.state == MEETING else super().doing

    def release_peers(self) -> None:
        super().release_peers()
        self._were_there = False

    def _look(self) -> None:
        if time.monotonic() >= self._beat_due:
            self._write_sign()
            self._beat_due = time.monotonic() + self._job.config.health.beat_seconds
        if self._were_there and (lost := self._control.roster.lost(self._watched)):
            self._has_lost(lost)
        quiet = self._control.roster.unheard(self._lines)
        for helper in quiet:
            self._lines[helper].check()
        self._quiet = len(quiet)
        super()._look()

    def _is_excused(self) -> bool:
        """Without a replay server, or any of those who compute, it can only wait."""
        return super()._is_excused() or 0 < len(self._lines) == self._quiet

    def _has_lost(self, lost: list[str]) -> None:
        if self._job.interrupted():
            line = f"{'; '.join(lost)}: the learner ends without saving"
            end_now(line, self._job.stopped_status)
        end_now(f"{'; '.join(lost)}: the learner starts again from the last checkpoint")

    def _write_sign(self) -> None:
        self._sign.write(self.doing, self.updates_per_second)
