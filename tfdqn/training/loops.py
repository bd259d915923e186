"""The ways to run a session: act and learn in turn, or at the same time, or learn while other processes act.

`alternate` does everything in one thread: with the graph's table, or with rollouts instead of replay, the same seed
gives the same weights, bit for bit. `overlap` and `learn` keep every core busy, and only the replay ratio
synchronises their threads. Each calls the monitor (logging, checkpoints, progress) outside the inner loop, and returns
the reason why it ended.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Self

from tfdqn.training.local_parts import LocalParts
from tfdqn.training.monitor import FIRST_UPDATES, TrainingMonitor
from tfdqn.training.pausable_threads import Gate, PausableThread, StillBusyError, raise_first_error, running
from tfdqn.training.session import AnySession, Session

_POLL_SECONDS = 0.02
_PAUSE_SECONDS = 0.1  # for all threads to pause; if they don't, the loop does its other work and tries again
_PUT_OFF_SECONDS = 20.0  # after which they continue if one hasn't paused; doubled each time
# How long a thread that returns from TensorFlow waits for Python's lock; the default is 5 ms, a third of the learner's
# whole call.
_GIL_SWITCH_SECONDS = 0.0005


def alternate(session: Session[LocalParts], monitor: TrainingMonitor) -> str:
    """Learns whenever enough updates are owed for a call, otherwise acts; evaluates in between."""
    parts = session.parts

    def tick() -> None:
        monitor.tick(nullcontext())
        session.record_progress("updates")

    def evaluate_if_due() -> None:
        if parts.evaluation_is_due():
            monitor.evaluated(parts.evaluate(on_step=tick))

    if monitor.reason_to_stop() is None:
        evaluate_if_due()  # now, of these weights, if the checkpoint was made while it was under way
    while (reason := monitor.reason_to_stop()) is None:
        if session.parts.ratio.may_learn():
            if session.learner.metrics is None and not session.must_be_saved:
                monitor.show(FIRST_UPDATES)  # shown now, since this thread makes the updates
            session.learn()
        else:
            parts.act()
        evaluate_if_due()
        tick()
    return reason


def overlap(session: Session[LocalParts], monitor: TrainingMonitor) -> str:
    """Runs each actor, the learner and the evaluator in a thread of its own, and watches them in this one."""
    parts = session.parts

    def act(actor: int) -> None:
        parts.act(actor, _POLL_SECONDS)
        session.record_progress(f"actor {actor}")

    def evaluate() -> None:
        if parts.evaluation_is_due():
            monitor.evaluated(parts.evaluate(on_step=partial(session.record_progress, "evaluation")))
        else:
            time.sleep(_POLL_SECONDS)
        session.record_progress("evaluation")

    if (reason := monitor.reason_to_stop()) is not None:
        return reason  # before threads begin what must then be waited for
    gate = Gate()
    evaluator = PausableThread("evaluator", evaluate)
    actors = [PausableThread(f"actor {i}", partial(act, i), gate) for i in range(len(parts.actors))]
    threads = [*actors, _learner(session, gate), evaluator]
    pauses = _Pauses(gate, threads, monitor, session.put_off)
    with _eager_threads(), running(threads), parts.evaluation_given_up_on_error(), pauses:
        while (reason := monitor.reason_to_stop()) is None:
            pauses.tick()
        evaluator.request_stop()
        while evaluator.is_alive():  # an evaluation may take minutes
            pauses.tick()
    return reason


def learn(session: AnySession, monitor: TrainingMonitor) -> str:
    """Runs the learner in a thread of its own, and watches it in this one; other processes act and evaluate."""
    if (reason := monitor.reason_to_stop()) is not None:
        return reason
    gate = Gate()
    learner = _learner(session, gate)
    pauses = _Pauses(gate, [learner], monitor, session.put_off)
    with running([learner]), pauses:
        while (reason := monitor.reason_to_stop()) is None:
            pauses.tick()
    return reason


class _Pauses:
    """Gives the watching thread its regular turn, and pauses the threads when the turn needs that.

    While one thread finishes a long unit of work, the other threads wait for it, but the watching thread does not. A
    thread that is held up, for example by a silent process, may need the others' work: so after a while they go on,
    and `put_off` is called instead of what was due. No thread is held back after the block.
    """

    def __init__(
        self, gate: Gate, threads: Sequence[PausableThread], monitor: TrainingMonitor, put_off: Callable[[], None]
    ):
        self._gate, self._threads, self._monitor, self._put_off = gate, threads, monitor, put_off
        self._since: float | None = None  # that the gate has been closed
        self._put_off_seconds = _PUT_OFF_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.open()

    def tick(self) -> None:
        raise_first_error(self._threads)
        try:
            self._monitor.tick(self._paused())
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
            raise_first_error(self._threads)  # what a failed thread leaves must not be saved
            yield


def _learner(session: AnySession, gate: Gate) -> PausableThread:
    return PausableThread("learner", lambda: session.learn(_POLL_SECONDS), gate)


@contextmanager
def _eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_GIL_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
