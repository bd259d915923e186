"""`LearnerWatchdog`: what a job's learner is watched for, and its heartbeat."""

from tfdqn.cluster.roles import Role
from tfdqn.coordination.heartbeat_files import MEETING, HeartbeatFile, heartbeat_file
from tfdqn.coordination.learner_service import LearnerService
from tfdqn.coordination.watchdog import Watchdog, end_now
from tfdqn.replay.reverb.remote_replay import RemoteReplay
from tfdqn.roles.context import RoleContext
from tfdqn.system.interval import IntervalTrigger
from tfdqn.system.peer_connections import ConnectionGuard

_SAID_AFTER_SECONDS = 4.0  # two questions


class LearnerWatchdog(Watchdog):
    """Ends the process where it has lost another that it needs; the last checkpoint stands.

    Of one that it can do without, it only breaks the connections.
    """

    def __init__(self, context: RoleContext, service: LearnerService):
        super().__init__("the learner", context.config.health, context.say, context.interrupted, context.stopped_status)
        self._context, self._service = context, service
        self._heartbeat = HeartbeatFile(heartbeat_file(context.process_id), str(context.process_id), context.say)
        self._next_heartbeat = IntervalTrigger(context.config.health.beat_seconds, is_due=True)
        topology = context.topology
        workers = topology.process_ids(Role.WORKER)
        may_go = workers if context.config.learner.strategy == "parameter_server" else []
        self._watched = topology.process_ids(Role.PARAMETER_SERVER) + (workers if not may_go else [])
        self._guards = {worker: ConnectionGuard(topology.address(worker)) for worker in may_go}
        self._unheard = 0  # how many helpers are
        self._is_learning = False
        self.updates_per_second = 0.0

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)
        self._heartbeat.remove()

    def begin(self, replay: RemoteReplay) -> None:
        """From now on every process that learns must stay, and no replay server be silent beyond patience."""
        self._service.roster.hold(self._watched)
        self._is_learning = True
        self.require(replay, "all replay servers answer", _SAID_AFTER_SECONDS)

    def say_waiting(self, line: str) -> None:
        """Shows what it waits for, in the heartbeat, too."""
        self.state = line
        self._context.say(line)

    def enter_rendezvous(self) -> None:
        """Tells at once that the next moments may pass without a heartbeat."""
        self.state = MEETING
        self._write_heartbeat()

    @property
    def doing(self) -> str:
        """What the heartbeat says."""
        return self.state if self.state == MEETING else super().doing

    def release_peers(self) -> None:
        super().release_peers()
        self._is_learning = False

    def _check(self) -> None:
        if self._next_heartbeat.is_due():
            self._write_heartbeat()
            self._next_heartbeat.done()
        if self._is_learning and (lost := self._service.roster.lost(self._watched)):
            self._end_for(lost)
        unheard = self._service.roster.unheard(self._guards)
        for helper in unheard:
            self._guards[helper].check()
        self._unheard = len(unheard)
        super()._check()

    def _is_excused(self) -> bool:
        """Without a replay server, or without any worker, it can only wait."""
        return super()._is_excused() or 0 < len(self._guards) == self._unheard

    def _end_for(self, lost: list[str]) -> None:
        if self._context.interrupted():
            line = f"{'; '.join(lost)}: the learner ends without saving"
            end_now(line, self._context.stopped_status)
        end_now(f"{'; '.join(lost)}: the learner starts again from the last checkpoint")

    def _write_heartbeat(self) -> None:
        self._heartbeat.write(self.doing, self.updates_per_second)
