"""The ways to run a session: act and learn in turn, or at the same time, or learn while other processes act.

`alternate` does everything in one thread: with the graph's table, or with rollouts instead of replay, the same seed
gives the same weights, bit for bit. `overlap` and `learn` keep every core busy, and only the replay ratio
synchronises their threads. Each calls the monitor (logging, checkpoints, progress) outside the inner loop, and returns
the reason why it ended.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Self

from tfdqn.system.signals import Interruption
from tfdqn.training.local_parts import LocalParts
from tfdqn.training.monitor import FIRST_UPDATES, TrainingMonitor
from tfdqn.training.session import AnySession, Session

_POLL_SECONDS = 0.02
_PAUSE_SECONDS = 0.1  # for all workers to pause; else the loop looks at the run in between, and tries again
_PUT_OFF_SECONDS = 20.0  # after which they go on where one has not paused; each time twice as long
_JOIN_SECONDS = 900.0  # a unit of work may be thousands of slow updates
# A thread that comes back from TensorFlow waits this long for Python's lock; by default 5 ms, which is a
# third of the learner's whole call.
_GIL_SWITCH_SECONDS = 0.0005


def alternate(session: Session[LocalParts], monitor: TrainingMonitor) -> str:
    """Learns whenever a call's updates are owed, otherwise acts; evaluates in between."""
    parts = session.parts

    def tick() -> None:
        monitor.tick(nullcontext())
        session.record_progress("updates")

    while (reason := monitor.reason_to_stop()) is None:
        if session.ratio.may_learn():
            if session.learner.metrics is None and not session.must_be_saved:
                monitor.show(FIRST_UPDATES)  # nothing more can be, until they are made
            session.learn()
        else:
            parts.act()
        if parts.evaluation_is_due():
            monitor.evaluated(parts.evaluate(on_step=tick))
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
    evaluator = Worker("evaluator", evaluate)
    actors = [Worker(f"actor {i}", partial(act, i), gate) for i in range(len(parts.actors))]
    workers = [*actors, _learner(session, gate), evaluator]
    pauses = _Pauses(gate, workers, monitor, session.put_off)
    with _eager_threads(), running(workers), parts.evaluation_given_up_on_error(), pauses:
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


class StillBusyError(RuntimeError):
    """A worker's unit of work did not end within the time that it is waited for."""


class Gate:
    """A gate that workers pass between units of work; while it is closed they wait there."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._closed = False
        self._at_work = 0

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Runs a worker's unit of work as the block, as soon as the gate is open."""
        with self._changed:
            self._changed.wait_for(lambda: not self._closed)  # no limit: what has closed it opens it again
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    @contextmanager
    def closed(self, timeout_seconds: float) -> Iterator[None]:
        """Keeps all workers waiting while the block runs, then opens the gate.

        Raises StillBusyError if a worker does not arrive in time. The gate then stays closed until `open`: if the
        workers that have arrived went on before the next try, those with long units might never all wait at once.
        """
        with self._changed:
            self._closed = True
            if not self._changed.wait_for(lambda: self._at_work == 0, timeout_seconds):
                raise StillBusyError
        try:
            yield
        finally:
            self.open()

    def open(self) -> None:
        """Lets the waiting workers go on."""
        with self._changed:
            self._closed = False
            self._changed.notify_all()


class Worker(threading.Thread):
    """Repeats a unit of work until it is told to stop, or fails.

    Args:
      name: of the thread.
      work: does one unit; returns within a fraction of a second if there is nothing to do.
      gate: passed before every unit; None: the worker is never paused.
    """

    def __init__(self, name: str, work: Callable[[], None], gate: Gate | None = None):
        super().__init__(name=name, daemon=True)
        self._work = work
        self._gate = gate
        self._stop_requested = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        while not self._stop_requested.is_set() and self.error is None:
            with self._gate.passed() if self._gate is not None else nullcontext():
                try:
                    self._work()
                except BaseException as error:
                    self.error = error

    def request_stop(self) -> None:
        """Has the worker stop after its present unit of work."""
        self._stop_requested.set()


@contextmanager
def running(workers: Sequence[Worker]) -> Iterator[None]:
    """Runs the workers while the block runs, then stops them, even if the block raises.

    Raises the error that ended a worker, or StillBusyError if one does not end because its unit of work hangs.
    """
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        for worker in workers:
            worker.request_stop()
        for worker in workers:
            worker.join(_JOIN_SECONDS)
        _raise_first_error(workers)
    stuck = [worker.name for worker in workers if worker.is_alive()]
    if stuck:
        raise StillBusyError(f"{', '.join(stuck)}: still at work {_JOIN_SECONDS:g} s after being told to stop")


class _Pauses:
    """Gives the watching thread its regular turn, and pauses the workers when the turn needs that.

    While one worker finishes a long unit of work, the other workers wait for it, but the watching thread does not. A
    worker that is held up, for example by a silent process, may need the others' work: so after a while they go on,
    and what was due is put off. No worker is held back after the block.

    Args:
      put_off: called when something due is put off.
    """

    def __init__(self, gate: Gate, workers: Sequence[Worker], monitor: TrainingMonitor, put_off: Callable[[], None]):
        self._gate, self._workers, self._monitor, self._put_off = gate, workers, monitor, put_off
        self._since: float | None = None  # that the gate has been closed
        self._put_off_seconds = _PUT_OFF_SECONDS

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._gate.open()

    def tick(self) -> None:
        _raise_first_error(self._workers)
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
            _raise_first_error(self._workers)  # what a failed worker leaves must not be saved
            yield


def _learner(session: AnySession, gate: Gate) -> Worker:
    return Worker("learner", lambda: session.learn(_POLL_SECONDS), gate)


def _raise_first_error(workers: Sequence[Worker]) -> None:
    """Raises the error that ended a worker in the caller's thread; a failure takes precedence over an Interruption."""
    errors = [worker.error for worker in workers if worker.error is not None]
    for error in sorted(errors, key=lambda error: isinstance(error, Interruption)):
        raise error


@contextmanager
def _eager_threads() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(_GIL_SWITCH_SECONDS)
    try:
        yield
    finally:
        sys.setswitchinterval(before)
