"""`Watchdog`: a thread of the learner's that gives its sign of life, and watches those that learn with it."""

import os
import sys
import threading
import time
import traceback

from tfdqn.beat_files import MEETING, SignOfLife, beat_file
from tfdqn.control import Control
from tfdqn.errors import RESTART_STATUS
from tfdqn.lines import Line
from tfdqn.replay.remote_replay import RemoteReplay
from tfdqn.roles.job import Job
from tfdqn.topology import Role
from tfdqn.work_clock import WorkClock

_WATCH_SECONDS = 0.25
_ASK_REPLAY_SECONDS = 2.0
_SAID_AFTER_SECONDS = 4.0  # two questions


class Watchdog:
    """Ends the process where it has lost whom it needs; whom it can do without, it only hangs up on.

    It does not ask the main thread, which may be stuck in a call that never returns: silence of a peer decides, and
    the process ends at once. The last checkpoint stands.
    """

    def __init__(self, job: Job, control: Control):
        self._job, self._control = job, control
        self.work = WorkClock()
        self._sign = SignOfLife(beat_file(job.member), str(job.member), job.say)
        self._replay: RemoteReplay | None = None
        self._watched = job.topology.members(Role.PARAMETER_SERVER, Role.WORKER)
        if job.config.learner.strategy == "parameter_server":
            self._watched = job.topology.members(Role.PARAMETER_SERVER)  # a worker may come and go
        helpers = [member for member in job.topology.members(Role.WORKER) if member not in self._watched]
        self._lines = {member: Line(job.topology.address(member)) for member in helpers}
        self._were_there = False
        self._replay_due = self._replay_heard = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._waits_for = ""  # whom nothing can be learned without, in words
        self.state = "starting"
        self.updates_per_second = 0.0

    def __enter__(self) -> "Watchdog":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._sign.remove()

    def begin(self, replay: RemoteReplay) -> None:
        """From now on all who learn must stay, and no replay server be silent beyond patience."""
        self._control.roster.hold(self._watched)
        self._replay_heard = time.monotonic()
        self._replay, self._were_there = replay, True

    def is_waiting(self, line: str) -> None:
        """Says for whom, and has the sign of life say it, too."""
        self.state = line
        self._job.say(line)

    def is_meeting(self) -> None:
        """Tells at once that the next moments may pass without a sign of life."""
        self.state = MEETING
        self._write_sign()

    @property
    def doing(self) -> str:
        """What the sign of life says: the state, or for whom it waits."""
        return self.state if self.state == MEETING else self._waits_for or self.work.described(self.state)

    def expects_nobody(self) -> None:
        """From now on everybody may go."""
        self._replay, self._were_there, self._waits_for = None, False, ""

    def _watch(self) -> None:
        try:
            self._watch_until_ended()
        except Exception:  # a learner that nobody watches might wait for ever
            traceback.print_exc()
            _end_now("the learner can't watch the others any longer")

    def _watch_until_ended(self) -> None:
        beat_due = 0.0
        limit_seconds = self._job.config.health.stuck_after_seconds
        while not self._ended.wait(_WATCH_SECONDS):
            if time.monotonic() >= beat_due:
                self._write_sign()
                beat_due = time.monotonic() + self._job.config.health.beat_seconds
            if self._were_there and (lost := self._control.roster.silent(self._watched)):
                self._has_lost(lost)
            quiet = self._control.roster.quiet(self._lines)
            for helper in quiet:
                self._lines[helper].check()
            self._ask_replay()
            # Without a replay server, or any of those who compute, it can only wait.
            self.work.look(is_excused=bool(self._waits_for or 0 < len(self._lines) == len(quiet)))
            self.work.end_if_stuck("the learner", self.doing, limit_seconds)

    def _has_lost(self, lost: list[str]) -> None:
        if self._job.interrupted():
            line = f"{'; '.join(lost)}: the learner can't save: its last checkpoint stands"
            _end_now(line, self._job.stopped_status)
        _end_now(f"{'; '.join(lost)}: the learner starts again from the last checkpoint")

    def _write_sign(self) -> None:
        self._sign.write(self.doing, self.updates_per_second)

    def _ask_replay(self) -> None:
        replay, now = self._replay, time.monotonic()
        if replay is None or now < self._replay_due:
            return
        self._replay_due = now + _ASK_REPLAY_SECONDS
        if replay.poll():
            self._replay_heard = now
            if self._waits_for:
                self._job.say("all replay servers answer again")
            self._waits_for = ""
        elif now - self._replay_heard > self._job.config.health.patience_seconds:
            _end_now(f"{'; '.join(replay.silent())}: the learner gives up; the last checkpoint stands")
        elif silent := replay.silent(_SAID_AFTER_SECONDS):
            if not self._waits_for:
                self._job.say(f"waiting: {'; '.join(silent)}")
            self._waits_for = f"waiting: {'; '.join(silent)}"


def _end_now(line: str, status: int = RESTART_STATUS) -> None:
    print(f"tfdqn: {line}", file=sys.stderr, flush=True)
    os._exit(status)
