"""`Peers`: asks the processes of a cluster, all at once, whether they are alive; `PeerWait` limits the wait for them.

A process that is stopped or cut off keeps its connections; one that has ended refuses the next.
"""

import socket
import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from tfdqn.config import Health
from tfdqn.coordination.messages import Nothing
from tfdqn.coordination.rpc import Caller, RefusedError, UnreachableError
from tfdqn.system.addresses import host_and_port
from tfdqn.system.concurrent_calls import run_at_once
from tfdqn.system.interval import IntervalTrigger, RunningTime

_REPLY_SECONDS = 2.0
_POLL_SECONDS = 2.0 * _REPLY_SECONDS
_ASK_SECONDS = 2.0
_MOST_SECONDS_BETWEEN_READINGS = 10.0  # others may be asked in between
_START_SECONDS = 60.0  # in which a process may import TensorFlow and build, before anything is said of its silence


class _Peer:
    """One process. Any gRPC server at its address answers, at least that it has no such method."""

    def __init__(self, name: str, address: str):
        self.name = name
        self.answers = False  # the last question
        self.has_ended = False  # having answered before
        self._address, self._caller = address, Caller(address)
        self._was_heard = False
        self._heard_seconds = time.monotonic()

    @property
    def silent_seconds(self) -> float:
        return time.monotonic() - self._heard_seconds

    @property
    def in_words(self) -> str:
        if self.has_ended:
            return f"{self.name} at {self._address} has ended"
        if not self._was_heard:
            return f"{self.name} at {self._address} has not answered yet, after {self.silent_seconds:.0f} s"
        return f"{self.name} at {self._address} has been silent for {self.silent_seconds:.0f} s"

    def is_silent(self, seconds: float) -> bool:
        """Whether it has been silent for so long; before its first answer, also whether its start takes long."""
        return self.silent_seconds >= (seconds if self._was_heard else max(seconds, _START_SECONDS))

    def ask(self) -> bool:
        """Finds out whether it answers; returns True when that is known."""
        try:
            self._caller("lives", Nothing(), Nothing, _REPLY_SECONDS)
        except RefusedError:
            self.answers = self._was_heard = True
            self.has_ended = False
            self._heard_seconds = time.monotonic()
        except UnreachableError:
            self.answers = False
            self.has_ended = self._was_heard and _is_refused(self._address)
        return True


class Peers:
    """The processes of a cluster, which are polled. For use by one thread.

    Args:
      addresses: "host:port" by the process's name.
      may_end: whether processes may end, as long as one is left.
      on_end: told the name of a process that has ended, each time that this is found. Of one that has never answered
        this can't be found, unless `known_ended` has it.
      known_ended: the names of processes that are known to have ended.
    """

    def __init__(
        self,
        addresses: Mapping[str, str],
        *,
        may_end: bool = False,
        on_end: Callable[[str], None] = lambda _: None,
        known_ended: Callable[[], Collection[str]] = tuple,
    ):
        self._each = [_Peer(name, address) for name, address in addresses.items()]
        self._may_end, self._on_end, self._known_ended = may_end, on_end, known_ended

    def poll(self) -> bool:
        """Asks all at once; False if a needed one does not answer within seconds."""
        returned = run_at_once([peer.ask for peer in self._each], _POLL_SECONDS)
        known_ended = self._known_ended()
        for peer, has_returned in zip(self._each, returned, strict=True):
            if not has_returned:
                peer.answers = False
            if peer.name in known_ended:
                peer.answers, peer.has_ended = False, True
            if peer.has_ended:
                self._on_end(peer.name)
        return not self._missed()

    def silent(self, seconds: float = 0.0) -> list[str]:
        """The needed peers that didn't answer the last poll and have been silent for `seconds`, in words.

        Unless `seconds` is 0, peers that may still be starting are left out.
        """
        return [peer.in_words for peer in self._missed() if not seconds or peer.is_silent(seconds)]

    def _missed(self) -> list[_Peer]:
        does_without = self._may_end and any(peer.answers for peer in self._each)
        return [peer for peer in self._each if not peer.answers and not (does_without and peer.has_ended)]


class Pollable(Protocol):
    """Other processes, which may be silent."""

    def poll(self) -> bool:
        """Asks all; False if one does not answer within seconds."""

    def silent(self, seconds: float = 0.0) -> list[str]:
        """The peers that didn't answer the last poll and have been silent for `seconds`, in words."""


class PeerWait:
    """Peers that a process needs: it waits for them, but not beyond its patience. `say` must return at once.

    Time in which the process itself is stopped is no silence of theirs.
    """

    def __init__(
        self, others: Pollable, answer: str, health: Health, say: Callable[[str], None], said_after_seconds: float
    ):
        self._answer, self._said_after_seconds = answer, said_after_seconds
        self._others, self._health, self._say = others, health, say
        self._question = IntervalTrigger(_ASK_SECONDS, is_due=True)
        self._running = RunningTime(_MOST_SECONDS_BETWEEN_READINGS)
        self._heard_seconds = self._running.read()  # all of them
        self._have_answered = False  # all of them, once
        self.waits_for = ""  # in words

    def ask(self) -> str:
        """Asks them if that is due; returns those that were silent beyond patience, in words, or an empty text."""
        now = self._running.read()
        if not self._question.is_due():
            return ""
        self._question.done()
        if self._others.poll():
            self._heard_seconds = now
            waited, answer = self.waits_for, f"{self._answer} again" if self._have_answered else self._answer
            self.waits_for, self._have_answered = "", True
            if waited:
                self._say(answer)
        elif now - self._heard_seconds > self._health.patience_seconds:
            return "; ".join(self._others.silent())
        elif silent := self._others.silent(self._said_after_seconds):
            waited, self.waits_for = self.waits_for, f"waiting: {'; '.join(silent)}"
            if not waited:
                self._say(self.waits_for)
        return ""


def _is_refused(address: str) -> bool:
    """Whether the host at "host:port" says that no process is there."""
    try:
        socket.create_connection(host_and_port(address), _REPLY_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False
