"""The ways to run a session: act and learn in turn, or at the same time, or learn while other processes act.

`alternate` takes every decision in one thread of control: with the graph's table, the same seed gives the same
weights bit for bit. `overlap` keeps two cores busy, and only the replay ratio orders its threads. Each calls
`Watch` (logging, checkpoints, progress) outside the inner loop, and returns why it ended.
"""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Protocol

from tfdqn.scores import Evaluation
from tfdqn.session import Session
from tfdqn.threads import Gate, StillAtWorkError, Worker, raise_first_error, running

_POLL_SECONDS = 0.02
_PATIENCE_SECONDS = 20.0  # for a call's updates to end, where they wait for other processes
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
    while (reason := watch.reason_to_stop()) is None:
        if session.ratio.may_learn():
            session.learn()
        else:
            session.act()
        if session.evaluation_is_due():
            watch.evaluated(session.evaluate(on_step=lambda: watch.tick(nullcontext())))
        watch.tick(nullcontext())
    return reason


def overlap(session: Session, watch: Watch) -> str:
    """Each actor acts, the learner learns and the evaluator evaluates in a thread of its own; this one watches."""

    def learn() -> None:
        if session.ratio.wait_to_learn(_POLL_SECONDS):
            session.learn()

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

    @contextmanager
    def paused() -> Iterator[None]:
        with gate.closed():
            raise_first_error(workers)  # what a failed worker leaves must not be saved
            yield

    with _eager_threads(), running(workers), session.evaluation_given_up_on_error():
        while (reason := watch.reason_to_stop()) is None:
            raise_first_error(workers)
            watch.tick(paused())
            time.sleep(_POLL_SECONDS)
        evaluator.request_stop()
        while evaluator.is_alive():  # an evaluation may take minutes
            watch.tick(paused())
            time.sleep(_POLL_SECONDS)
    return reason


def learn(session: LearningSession, watch: Watch, put_off: Callable[[], None]) -> str:
    """Others act and evaluate: the learner learns in a thread of its own, and this one watches.

    `put_off` is called where a checkpoint is due and the learner is held up, by a replay server that is away, say.
    """
    if (reason := watch.reason_to_stop()) is not None:
        return reason
    gate = Gate()
    learner = Worker("learner", session.learn, gate)

    @contextmanager
    def paused() -> Iterator[None]:
        with gate.closed(_PATIENCE_SECONDS):
            raise_first_error([learner])
            yield

    with running([learner]):
        while (reason := watch.reason_to_stop()) is None:
            raise_first_error([learner])
            try:
                watch.tick(paused())
            except StillAtWorkError:
                put_off()
            time.sleep(_POLL_SECONDS)
    return reason


@contextmanager
def _eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_GIL_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
