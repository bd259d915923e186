"""`Roster`: who takes part in a job, by their heartbeats, as the learner knows it.

Silence beyond a deadline is death, whatever connections say: a stopped process breaks none. What an actor has counted
is kept when it dies.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence

from tfdqn.errors import ClusterError
from tfdqn.messages import Beat, Counts, MemberStatus
from tfdqn.topology import Member, Role


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
        self._newest: dict[Member, tuple[Beat, float]] = {}
        self._held: dict[Member, str] = {}
        self._counts: dict[str, Counts] = {"": counts}  # by the life of who counted

    def add(self, beat: Beat) -> None:
        """Takes a beat that has come now."""
        with self._lock:
            self._newest[beat.member] = (beat, time.monotonic())
            if beat.joined == self._life:
                self._counts[beat.life] = beat.counts

    def start_from(self, counts: Counts) -> None:
        """Sets what was counted before this life of the learner."""
        with self._lock:
            self._counts[""] = counts

    def counts(self) -> Counts:
        """Of everybody together, the dead included."""
        with self._lock:
            every = list(self._counts.values())
        return Counts(
            env_steps=sum(each.env_steps for each in every), episodes=sum(each.episodes for each in every)
        )

    def status(self) -> tuple[MemberStatus, ...]:
        """Of everybody who was ever heard of, in order."""
        with self._lock:
            newest = sorted(self._newest.items())
        now = time.monotonic()
        return tuple(MemberStatus(beat=beat, seconds_since_beat=now - heard) for _, (beat, heard) in newest)

    def present(self, role: Role) -> list[Beat]:
        """The newest beats of those of a role that have joined and are not silent."""
        return [
            status.beat
            for status in self.status()
            if status.beat.member.role is role
            and status.beat.joined == self._life
            and status.seconds_since_beat < self._dead_after_seconds
        ]

    def hold(self, members: Iterable[Member]) -> None:
        """From now on these members must be the very processes that they are now."""
        with self._lock:
            self._held = {member: self._newest[member][0].life for member in members}

    def silent(self, members: Iterable[Member]) -> list[str]:
        """Why each of these members counts as dead, in words, for those that do."""
        found = {status.beat.member: status for status in self.status()}
        reasons = []
        for member in members:
            status = found.get(member)
            if status is None or status.beat.joined != self._life:
                reasons.append(
                    f"{member} has not joined" if status is None else f"{member} has started again"
                )
            elif self._held.get(member, status.beat.life) != status.beat.life:
                reasons.append(f"{member} has started again")
            elif status.seconds_since_beat >= self._dead_after_seconds:
                reasons.append(f"{member} has been silent for {status.seconds_since_beat:.0f} s")
        return reasons

    def wait_for(
        self,
        members: Sequence[Member],
        patience_seconds: float,
        say: Callable[[str], None],
        interrupted: Callable[[], bool],
    ) -> bool:
        """Waits until all of them have joined and beat; False where the user has asked to stop meanwhile.

        Raises ClusterError at the end of patience.
        """
        began, said = time.monotonic(), ""
        while missing := self.silent(members):
            if interrupted():
                return False
            if time.monotonic() - began > patience_seconds:
                raise ClusterError(f"{'; '.join(missing)}, after {patience_seconds:.0f} s of waiting")
            names = ", ".join(str(member) for member in members if self.silent([member]))
            if names and names != said:
                say(f"waiting for {names}")
                said = names
            time.sleep(0.1)
        return True
