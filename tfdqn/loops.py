"""The ways to run a session: act and learn in turn, or at the same time, or learn while other processes act.

`alternate` takes every decision in one thread of control: with the graph's table, the same seed gives the same
weights bit for bit. `overlap` keeps two cores busy, and only the replay ratio orders its threads. Each calls
`Watch` (logging, checkpoints, progress) outside the inner loop, and returns why it ended.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Protocol

from tfdqn.scores import Evaluation
from tfdqn.session import Session
from tfdqn.threads import Gate, StillAtWorkError, Worker, raise_first_error, running

_POLL_SECONDS = 0.02
_PAUSE_SECONDS = 1.0  # for everybody to pause; else the loop asks how it stands, and tries again
_SAID_AFTER_SECONDS = 20.0  # that somebody doesn't; again and again
# A thread that comes back from TensorFlow waits this long for Python's lock; by default 5 ms, which is a
# third of the learner's whole call.
_GIL_SWITCH_SECONDS = 0.0005


class LearningSession(Protocol):
    """A session that learns from what others gather."""

    def learn(self) -> None:
        """Updates, where they are owed; returns within a fraction of a second where none are."""


class Watch(Protocol):
    """What looks at a session from outside while it runs."""

    def tick(self, paused: AbstractContextManager[None]) -> None:
        """Does what is due; inside `paused` nobody acts or learns."""

    def evaluated(self, evaluation: Evaluation) -> None:
        """Takes note of an evaluation."""

    def reason_to_stop(self) -> str | None:
        """Why the loop should end, or None."""


def alternate(session: Session, watch: Watch) -> str:
    """Learns whenever a call's updates are owed, else acts; evaluates between the two."""

    def tick() -> None:
        watch.tick(nullcontext())
        session.goes_on()

    while (reason := watch.reason_to_stop()) is None:
        if session.ratio.may_learn():
            session.learn()
        else:
            session.act()
        if session.evaluation_is_due():
            watch.evaluated(session.evaluate(on_step=tick))
        tick()
    return reason


def overlap(session: Session, watch: Watch) -> str:
    """Each actor acts, the learner learns and the evaluator evaluates in a thread of its own; this one watches."""

    def learn() -> None:
        if session.ratio.wait_to_learn(_POLL_SECONDS):
            session.learn()
        session.goes_on()

    def evaluate() -> None:
        if session.evaluation_is_due():
            watch.evaluated(session.evaluate())
        else:
            time.sleep(_POLL_SECONDS)

    if (reason := watch.reason_to_stop()) is not None:
        return reason  # before threads begin what must then be waited for
    gate = Gate()
    evaluator = Worker("evaluator", evaluate)
    actors = [
        Worker(f"actor {i}", partial(session.act, i, _POLL_SECONDS), gate) for i in range(len(session.actors))
    ]
    workers = [*actors, Worker("learner", learn, gate), evaluator]

    pausing = _Pausing(gate, workers, watch, session.put_off)

    with _eager_threads(), running(workers), session.evaluation_given_up_on_error():
        while (reason := watch.reason_to_stop()) is None:
            pausing.tick()
        evaluator.request_stop()
        while evaluator.is_alive():  # an evaluation may take minutes
            pausing.tick()
    return reason


def learn(session: LearningSession, watch: Watch, put_off: Callable[[], None]) -> str:
    """Others act and evaluate: the learner learns in a thread of its own, and this one watches.

    `put_off` is called where a checkpoint is due and the learner is held up, by a replay server that is away, say.
    """
    if (reason := watch.reason_to_stop()) is not None:
        return reason
    gate = Gate()
    learner = Worker("learner", session.learn, gate)

    pausing = _Pausing(gate, [learner], watch, put_off)
    with running([learner]):
        while (reason := watch.reason_to_stop()) is None:
            pausing.tick()
    return reason


class _Pausing:
    """A turn of the watching thread again and again, in which the workers pause for what needs it.

    Where one is held up, by a process that is silent, say, the loop is not: what is due is due again.

    Args:
      put_off: called where that lasts.
    """

    def __init__(self, gate: Gate, workers: Sequence[Worker], watch: Watch, put_off: Callable[[], None]):
        self._gate, self._workers, self._watch, self._put_off = gate, workers, watch, put_off
        self._since: float | None = None  # when it was first tried in vain

    def tick(self) -> None:
        raise_first_error(self._workers)
        try:
            self._watch.tick(self._paused())
        except StillAtWorkError:
            now = time.monotonic()
            if self._since is None:
                self._since = now
            elif now - self._since > _SAID_AFTER_SECONDS:
                self._put_off()
                self._since = now
        time.sleep(_POLL_SECONDS)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        with self._gate.closed(_PAUSE_SECONDS):
            self._since = None
            raise_first_error(self._workers)  # what a failed worker leaves must not be saved
            yield


@contextmanager
def _eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_GIL_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
