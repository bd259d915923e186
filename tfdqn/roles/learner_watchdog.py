"""`LearnerWatchdog`: the watchdog of a job's learner, which also writes its heartbeat."""

from tfdqn.cluster.roles import Role
from tfdqn.coordination.heartbeat_files import MEETING, HeartbeatFile, heartbeat_file
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.sudden_end import end_now
from tfdqn.coordination.watchdog import Watchdog
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.roles.context import RoleContext
from tfdqn.system.interval import IntervalTrigger
from tfdqn.system.peer_connections import ConnectionGuard

_SAID_AFTER_SECONDS = 4.0  # time for two unanswered questions


class LearnerWatchdog(Watchdog):
    """Ends the learner if it has lost a process that it needs; it is then resumed from the last checkpoint.

    If it has lost one that it can do without (an asynchronous worker), it only breaks the connections to it, so that
    calls to it fail instead of waiting.

    The learner sets `updates_per_second`, which the heartbeat shows.
    """

    def __init__(self, context: RoleContext, service: LearnerService):
        super().__init__("the learner", context.config.health, context.say, context.interrupted, context.stopped_status)
        self._context, self._service = context, service
        self._heartbeat = HeartbeatFile(heartbeat_file(context.process_id), str(context.process_id), self._say_aside)
        self._next_heartbeat = IntervalTrigger(context.config.health.beat_seconds, is_due=True)
        topology = context.topology
        workers = topology.process_ids(Role.WORKER)
        may_go = workers if context.config.learner.strategy == "parameter_server" else []
        self._watched = topology.process_ids(Role.PARAMETER_SERVER) + (workers if not may_go else [])
        self._guards = {worker: ConnectionGuard(topology.address(worker)) for worker in may_go}
        self._unheard = 0  # how many of the workers in `_guards` are unheard
        self._is_learning = False
        self.updates_per_second = 0.0

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._heartbeat.remove()

    def begin(self, replay: RemoteReplay) -> None:
        """Begins to watch the processes that learn, and the replay servers: none may be lost from now on."""
        self._service.roster.hold(self._watched)
        self._is_learning = True
        self.require(replay, "all replay servers answer", _SAID_AFTER_SECONDS)

    def say_waiting(self, line: str) -> None:
        """Shows what the learner waits for to the user, and in the heartbeat."""
        self.state = line
        self._context.say(line)

    def enter_rendezvous(self) -> None:
        """Writes at once that the learner enters the rendezvous, during which heartbeats may stay away."""
        self.state = MEETING
        self._write_heartbeat()

    @property
    def doing(self) -> str:
        """What the learner is doing, as the heartbeat says it."""
        return self.state if self.state == MEETING else super().doing

    def release_peers(self) -> None:
        """Stops watching the other processes, which end now."""
        super().release_peers()
        self._is_learning = False

    def _check(self) -> None:
        if self._next_heartbeat.is_due():
            self._write_heartbeat()
            self._next_heartbeat.done()
        if self._is_learning and (lost := self._service.roster.lost(self._watched)):
            self._end_for("; ".join(lost.values()))
        unheard = self._service.roster.unheard(self._guards)
        for worker in unheard:
            self._guards[worker].check()
        self._unheard = len(unheard)
        super()._check()

    def _is_excused(self) -> bool:
        """Whether it can make no progress by no fault of its own: a replay server, or every worker, is missing."""
        return super()._is_excused() or 0 < len(self._guards) == self._unheard

    def _end_for(self, lost: str) -> None:
        if self._context.interrupted():
            end_now(f"{lost}: the learner ends {self.saving}", self.stopped_status)
        end_now(f"{lost}: the learner starts again from the last checkpoint")

    def _write_heartbeat(self) -> None:
        self._heartbeat.write(self.doing, self.updates_per_second)
