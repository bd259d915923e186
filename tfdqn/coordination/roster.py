"""`Roster`: who takes part in a job, by their heartbeats, as the learner knows it.

Silence beyond a deadline is death, whatever connections say: a stopped process breaks none. What an actor has counted
is kept when it dies.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from tfdqn.cluster.topology import ProcessId, Role
from tfdqn.coordination.heartbeat_files import may_be_silent_seconds
from tfdqn.coordination.messages import Counts, Heartbeat, ProcessStatus
from tfdqn.errors import PeerLostError


class Roster:
    """Written by the server's threads, read by the learner's.

    Args:
      life: of the learner; only who joined it counts.
      dead_after_seconds: of silence.
      counts: before this life of the learner.
    """

    def __init__(self, life: str, dead_after_seconds: float, counts: Counts = Counts()):  # noqa: B008 (frozen)
        self._life = life
        self._dead_after_seconds = dead_after_seconds
        self._lock = threading.Lock()
        self._newest: dict[ProcessId, tuple[Heartbeat, float]] = {}
        self._before = counts
        self._counted: dict[str, Counts] = {}  # by the life of who counted, the dead included
        self._total = Counts()  # of all of these: a job of a thousand asks for it a thousand times a second
        self._held: dict[ProcessId, str] = {}

    def add(self, beat: Heartbeat) -> None:
        """Takes a beat that has come now. Of two that overtook one another the larger counts stand."""
        with self._lock:
            self._newest[beat.member] = (beat, time.monotonic())
            if beat.joined != self._life:
                return
            before = self._counted.get(beat.life, Counts())
            added = Counts(
                env_steps=max(beat.counts.env_steps - before.env_steps, 0),
                episodes=max(beat.counts.episodes - before.episodes, 0),
                environment_restarts=max(beat.counts.environment_restarts - before.environment_restarts, 0),
            )
            self._counted[beat.life] = _sum(before, added)
            self._total = _sum(self._total, added)

    def start_from(self, counts: Counts) -> None:
        """Sets what was counted before this life of the learner."""
        with self._lock:
            self._before = counts

    def counts(self) -> Counts:
        """Of everybody together, the dead included."""
        with self._lock:
            return _sum(self._before, self._total)

    def status(self) -> tuple[ProcessStatus, ...]:
        """Of everybody who was ever heard of, in order."""
        with self._lock:
            newest = sorted(self._newest.items())
        now = time.monotonic()
        return tuple(ProcessStatus(beat=beat, seconds_since_beat=now - heard) for _, (beat, heard) in newest)

    def present(self, role: Role) -> list[Heartbeat]:
        """The newest beats of those of a role that have joined and are not silent."""
        return [
            status.beat
            for status in self.status()
            if status.beat.member.role is role
            and status.beat.joined == self._life
            and status.seconds_since_beat < self._dead_after_seconds
        ]

    def hold(self, members: Iterable[ProcessId]) -> None:
        """From now on these members must be the very processes that they are now."""
        with self._lock:
            self._held = {member: self._newest[member][0].life for member in members}

    def silent(self, members: Iterable[ProcessId]) -> list[str]:
        """Why each of these members counts as dead, in words, for those that do."""
        return list(self._silent(members).values())

    def _silent(self, members: Iterable[ProcessId]) -> dict[ProcessId, str]:
        found = {status.beat.member: status for status in self.status()}
        reasons = {}
        for member in members:
            status = found.get(member)
            if status is None:
                reasons[member] = f"{member} has not joined"
            elif self._held.get(member, status.beat.life) != status.beat.life:
                reasons[member] = f"{member} has started again"
            elif status.seconds_since_beat >= may_be_silent_seconds(
                status.beat.state, self._dead_after_seconds
            ):
                reasons[member] = f"{member} has been silent for {status.seconds_since_beat:.0f} s"
            elif status.beat.joined != self._life:
                reasons[member] = f"{member} has started again"
        return reasons

    def quiet(self, members: Iterable[ProcessId]) -> list[ProcessId]:
        """Those of them that have taken part, but count as dead by their silence alone."""
        found = {status.beat.member: status.seconds_since_beat for status in self.status()}
        return [member for member in members if found.get(member, 0.0) >= self._dead_after_seconds]

    def wait_for(
        self,
        members: Sequence[ProcessId],
        patience_seconds: float,
        say: Callable[[str], None],
        interrupted: Callable[[], bool],
    ) -> bool:
        """Waits until all of them have joined and beat; False where the user has asked to stop meanwhile.

        Raises PeerLostError at the end of patience.
        """
        began, said = time.monotonic(), ""
        while missing := self._silent(members):
            if interrupted():
                return False
            if time.monotonic() - began > patience_seconds:
                raise PeerLostError(
                    f"{'; '.join(missing.values())}, after {patience_seconds:.0f} s of waiting"
                )
            names = ", ".join(map(str, missing))
            if names != said:
                say(f"waiting for {names}")
                said = names
            time.sleep(0.1)
        return True


def _sum(one: Counts, other: Counts) -> Counts:
    return Counts(
        env_steps=one.env_steps + other.env_steps,
        episodes=one.episodes + other.episodes,
        environment_restarts=one.environment_restarts + other.environment_restarts,
    )
