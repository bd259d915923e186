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
from typing import Protocol, Self

from tfdqn.records import Evaluation
from tfdqn.training.session import Session
from tfdqn.training.threads import Gate, StillBusyError, Worker, raise_first_error, running

_POLL_SECONDS = 0.02
_PAUSE_SECONDS = 0.1  # for all workers to pause; else the loop looks at the run in between, and tries again
_PUT_OFF_SECONDS = 20.0  # after which they go on where one has not paused; each time twice as long
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
        session.record_progress()

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

    def act(actor: int) -> None:
        session.act(actor, _POLL_SECONDS)
        session.record_progress(f"actor {actor}")

    def learn() -> None:
        if session.ratio.wait_to_learn(_POLL_SECONDS):
            session.learn()
        session.record_progress()

    def evaluate() -> None:
        if session.evaluation_is_due():
            watch.evaluated(session.evaluate(on_step=partial(session.record_progress, "evaluation")))
        else:
            time.sleep(_POLL_SECONDS)
        session.record_progress("evaluation")

    if (reason := watch.reason_to_stop()) is not None:
        return reason  # before threads begin what must then be waited for
    gate = Gate()
    evaluator = Worker("evaluator", evaluate)
    actors = [Worker(f"actor {i}", partial(act, i), gate) for i in range(len(session.actors))]
    workers = [*actors, Worker("learner", learn, gate), evaluator]

    pausing = _Pausing(gate, workers, watch, session.put_off)

    with _eager_threads(), running(workers), session.evaluation_given_up_on_error(), pausing:
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
    with running([learner]), pausing:
        while (reason := watch.reason_to_stop()) is None:
            pausing.tick()
    return reason


class _Pausing:
    """A turn of the watching thread again and again, in which the workers pause for what needs it.

    The others wait for one that is in the midst of a long unit of work, the loop does not. One that is held up, by a
    process that is silent, say, may need what they do: so they go on after a while, and what is due is put off. While
    its block runs; after it no worker is held back.

    Args:
      put_off: called where it is.
    """

    def __init__(self, gate: Gate, workers: Sequence[Worker], watch: Watch, put_off: Callable[[], None]):
        self._gate, self._workers, self._watch, self._put_off = gate, workers, watch, put_off
        self._since: float | None = None  # that the gate has been closed
        self._put_off_seconds = _PUT_OFF_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.open()

    def tick(self) -> None:
        raise_first_error(self._workers)
        try:
            self._watch.tick(self._paused())
        except StillBusyError:
            if self._since is not None and time.monotonic() - self._since > self._put_off_seconds:
                self._put_off()
                self._put_off_seconds *= 2
                self._since = None
                self._gate.open()
        time.sleep(_POLL_SECONDS)

    @contextmanager
    def _paused(self) -> Iterator[None]:
        self._since = self._since or time.monotonic()
        with self._gate.closed(_PAUSE_SECONDS):
            self._since, self._put_off_seconds = None, _PUT_OFF_SECONDS
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
