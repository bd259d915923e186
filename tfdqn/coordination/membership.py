"""`Membership`: a process's part in its job. It joins the learner, sends heartbeats, and hears how the job stands.

A thread of its own sends them while the process waits or computes. The answers decide what the process does: act,
finish, end, or restart because the learner has restarted.
"""

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from msgspec import UnsetType

from tfdqn.cluster.roles import LEARNER, ProcessId
from tfdqn.cluster.topology import Topology
from tfdqn.config import Config
from tfdqn.config.toml import dump
from tfdqn.coordination.heartbeat_files import MEETING, STARTING, HeartbeatFile, heartbeat_file
from tfdqn.coordination.messages import Answer, Counts, Heartbeat, Hello, Phase, Welcome, fingerprint
from tfdqn.coordination.rpc import UNKNOWN_HOST, Caller, RefusedError, UnreachableError
from tfdqn.coordination.stall_detector import StallDetector
from tfdqn.errors import ConfigError, PeerLostError
from tfdqn.system.interval import IntervalTrigger, RunningTime

_REPLY_SECONDS = 5.0
_LAST_REPLY_SECONDS = 1.0
_FIRST_ANSWER_SECONDS = 2.0
_RETRY_SECONDS = 0.5
_MEETING_POLL_SECONDS = 0.02
_LAST_LOOK_SECONDS = 0.2
_CALLS_PER_SECOND = 500  # of one kind, that all actors together ask of the learner's process
_SAY_AGAIN_SECONDS = 30.0
_WHAT_TO_CHECK = f"check that {LEARNER} runs there, that this host reaches it, and that the run has not finished"


def seconds_between_calls(configured: float, config: Config) -> float:
    """The interval between a process's calls of one kind, longer if there are very many processes.

    It stays far below the silence that counts as death.
    """
    needed = min(config.acting.actors / _CALLS_PER_SECOND, config.health.dead_after_seconds / 4)
    return max(configured, needed)


class LearnerRestartedError(Exception):
    """The learner that this process took part with is gone, and another has taken its place."""


class Membership:
    """Made at the start of a process; sends heartbeats until it is closed, at the intervals of `config.health`."""

    def __init__(self, process_id: ProcessId, topology: Topology, config: Config, say: Callable[[str], None]):
        self.process_id = process_id
        self.work = StallDetector()  # a loop of the process's own records its progress there
        self.call = Caller(topology.learner)  # to the learner
        self._config_text, self._settings, self._say = dump(config), config.health, say
        self._fingerprint = fingerprint(self._config_text)
        self.life = uuid.uuid4().hex  # of this process: no two have the same
        self.joined = ""  # the learner's life that this process takes part in; empty: none yet
        self._lock = threading.Lock()
        self._state = STARTING
        self._heard_state = ""  # as the learner last heard it
        self._is_heard = False  # whether the last heartbeat was answered, by the learner that was joined
        self._is_refused = False  # whether one was refused since it joined: another learner has its place
        self._figures: Callable[[], dict] = dict
        self._base = self._sent = Counts()  # of the learner's life before; as last sent and heard
        self._answer: Answer | None = None
        self._known = (0, 0)  # environment steps of the job as last heard, and this process's own among them
        # Silence of the learner must not make this process's own heartbeat an old one.
        self._reply_seconds = min(_REPLY_SECONDS, self._settings.dead_after_seconds / 2)
        self._interval_seconds = seconds_between_calls(self._settings.beat_seconds, config)
        # Read with every heartbeat: while this process is stopped, it can't hear the learner.
        self._running = RunningTime(2 * (self._reply_seconds + self._interval_seconds))
        self._heard_seconds = self._running.read()
        self._closed, self._send_now = threading.Event(), threading.Event()
        self._failure: Exception | None = None
        self._file = HeartbeatFile(heartbeat_file(process_id), str(process_id), say)
        self._thread = threading.Thread(target=self._send_until_closed, name="heartbeat", daemon=True)
        self._thread.start()

    def join(self, interrupted: Callable[[], bool] = lambda: False) -> Welcome | None:
        """Waits for the learner; None if the user has asked to stop meanwhile.

        Raises PeerLostError if it does not answer within `health.patience_seconds`, ConfigError where it refuses.
        """
        state = self._state
        self.set_state(f"waiting for {LEARNER} at {self.call.address}")
        with self.work.suspended():
            self._is_refused = False
            welcome = self._welcome(interrupted)
            if welcome is None:
                return None
            with self._lock:
                if welcome.life != self.joined:
                    self.joined, self._base, self._answer = welcome.life, self._sent, None
                self._heard_seconds = self._running.read()
            self.set_state(state)
            self._send_now.set()
            self._wait_for_an_answer(interrupted)
            return welcome

    def _welcome(self, interrupted: Callable[[], bool]) -> Welcome | None:
        hello = Hello(process_id=self.process_id, config=self._config_text)
        began, line = time.monotonic(), IntervalTrigger(_SAY_AGAIN_SECONDS, is_due=True)
        what_to_check = ""  # at first the learner may be starting
        while not interrupted():
            try:
                return self.call("hello", hello, Welcome, _REPLY_SECONDS)
            except RefusedError as error:
                raise ConfigError(f"{LEARNER} refuses {self.process_id}: {error}") from None
            except UnreachableError as error:
                waited = time.monotonic() - began
                if waited > self._settings.patience_seconds:
                    raise PeerLostError(
                        f"{error}, for {waited:.0f} s now: {self.process_id} gives up; {_WHAT_TO_CHECK}"
                    ) from None
                if line.is_due():
                    hint = f": {UNKNOWN_HOST}" if UNKNOWN_HOST in str(error) else what_to_check
                    self._say(f"{self.process_id}: waiting for {LEARNER} at {self.call.address}{hint}")
                    line.done()
                    what_to_check = f"; {_WHAT_TO_CHECK}"
                self._closed.wait(_RETRY_SECONDS)
        return None

    def set_state(self, state: str) -> None:
        """Sets the state that the next heartbeats report."""
        self._state = state

    def send_heartbeat(self) -> None:
        """Has a heartbeat sent at once; its answer has the job's present phase."""
        self._send_now.set()

    def rendezvous(self) -> None:
        """Waits until the learner is ready for the rendezvous of lockstep processes, and knows that this one is.

        If it never is, a thread that watches `phase` ends the process.
        """
        while (answer := self._answer) is None or not answer.may_meet:
            self._closed.wait(_MEETING_POLL_SECONDS)
        self.set_state(MEETING)
        self._send_now.set()
        while self._heard_state != MEETING:
            self._closed.wait(_MEETING_POLL_SECONDS)

    def wait_while_heard(self, seconds: float) -> None:
        """Waits until the learner that this process has joined answers no more, or until the time is over."""
        deadline = time.monotonic() + seconds
        while self._is_heard and time.monotonic() < deadline:
            self._send_now.set()
            self._closed.wait(_LAST_LOOK_SECONDS)

    def report_with(self, figures: Callable[[], dict]) -> None:
        """Sets the source of further fields of each `Heartbeat`; its counts are since the process's start."""
        self._figures = figures

    @property
    def is_over(self) -> bool:
        """Whether the learner has said that the job is over."""
        return self._answer is not None and self._answer.phase == Phase.OVER

    @property
    def learner_has_begun(self) -> bool:
        """Whether the learner that was joined has said so, so that `env_steps` tells how far the job is."""
        return self.start is not None

    @property
    def start(self) -> str | UnsetType | None:
        """As `Answer.start`: equals `joined` if the learner had no checkpoint to begin with.

        None until the learner that was joined has said that it has begun: another's answer doesn't count.
        """
        answer = self._answer
        return answer.start if answer is not None and answer.life == self.joined and answer.has_begun else None

    @property
    def largest_priority(self) -> float:
        """The largest priority in replay so far, by the learner's last answer."""
        return 1.0 if self._answer is None else self._answer.largest_priority

    @property
    def silent_seconds(self) -> float:
        """How long ago the learner last answered; while this process was stopped, it could not."""
        return self._running.read() - self._heard_seconds

    def env_steps(self, own: int, alike: int = 1) -> int:
        """An estimate of the environment steps that the whole job has taken, of which `own` are this process's.

        Since the learner's last answer, `alike` processes are assumed to have taken as many as this one.
        """
        known, own_among_them = self._known
        return known + alike * (own - own_among_them)

    def phase(self) -> Phase:
        """The job's phase.

        Raises LearnerRestartedError, or PeerLostError if the learner has been silent beyond patience.
        """
        if self._failure is not None:
            raise RuntimeError("the heartbeat has failed") from self._failure
        answer = self._answer
        if (answer is not None and answer.life != self.joined) or (self.joined and self._is_refused):
            raise LearnerRestartedError(f"{self.process_id}: {LEARNER} has started again")
        if self.silent_seconds > self._settings.patience_seconds:
            raise PeerLostError(
                f"{LEARNER} at {self.call.address} has been silent for {self.silent_seconds:.0f} s: "
                f"{self.process_id} gives up"
            )
        return Phase.TRAINING if answer is None else answer.phase

    def phase_now(self, interrupted: Callable[[], bool] = lambda: False) -> Phase | None:
        """As `phase`, but joins a learner that has restarted; None if the user has asked to stop."""
        while not interrupted():
            try:
                return self.phase()
            except LearnerRestartedError as restarted:
                self._say(f"{restarted}: joining it")
                self.join(interrupted)
        return None

    def close(self) -> None:
        """Sends a last heartbeat."""
        self._closed.set()
        self._send_now.set()
        self._thread.join(_REPLY_SECONDS)
        self.call.close()
        self._file.remove()

    def _wait_for_an_answer(self, interrupted: Callable[[], bool]) -> None:
        """Waits shortly for an answer, so that a process that has joined knows the phase; it can do without."""
        deadline = time.monotonic() + _FIRST_ANSWER_SECONDS
        while self._answer is None and time.monotonic() < deadline and not interrupted():
            self._closed.wait(0.01)

    def _send_until_closed(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._closed.is_set()
            self._send_now.clear()
            began = time.monotonic()
            self.work.check()
            self.work.end_if_stuck(str(self.process_id), self._state, self._settings.stuck_after_seconds)
            try:
                self._send(_LAST_REPLY_SECONDS if is_last else self._reply_seconds)
            except Exception as error:  # `phase` raises it
                self._failure = error
                return
            if not self._closed.is_set():
                self._send_now.wait(max(began + self._interval_seconds - time.monotonic(), 0.05))

    def _send(self, timeout_seconds: float) -> None:
        figures, state = dict(self._figures()), self.work.described(self._state)
        counts: Counts = figures.pop("counts", Counts())
        self._file.write(state, figures.get("steps_per_second", 0.0))
        with self._lock:
            joined, base = self.joined, self._base
        heartbeat = Heartbeat(
            process_id=self.process_id,
            life=self.life,
            pid=os.getpid(),
            host=socket.gethostname(),
            joined=joined,
            state=state,
            counts=counts - base,
            config=self._fingerprint,
            **figures,
        )
        self._running.read()
        try:
            answer = self.call("beat", heartbeat, Answer, timeout_seconds)
        except UnreachableError:
            self._is_heard = False
            return
        except RefusedError:
            self._is_heard, self._is_refused = False, True
            return
        self._is_heard = answer.life == joined
        with self._lock:
            if joined == self.joined:
                if answer.life == joined:
                    self._sent = counts
                    if answer.has_begun:
                        self._known = (answer.env_steps, counts.env_steps)
                # After `_known`, which `learner_has_begun` says is this learner's.
                self._answer, self._heard_state, self._heard_seconds = answer, state, self._running.read()
