"""Which process trains a run now, by the run's locks: on whatever host it is."""

from tfdqn.storage.locks import holder_of
from tfdqn.storage.owners import Owner
from tfdqn.storage.run_directory import RunDir


def trainer_of(run: RunDir) -> Owner | None:
    """A process that is known to train the run, or to supervise its job; None if there is none."""
    return next(filter(None, map(holder_of, (run.lock_file, run.supervisor_lock_file))), None)


def lone_trainer_of(run: RunDir) -> Owner | None:
    """The process of `tfdqn train` that is known to train the run; None if there is none.

    It holds both of the run's locks, whereas in a job the supervisor has one and the learner the other.
    """
    holder = holder_of(run.lock_file)
    return holder if holder == holder_of(run.supervisor_lock_file) else None


def wait_for(run: RunDir, what: str) -> str:
    """Who trains the run now and what to wait for, in words that follow a refusal; "" if nobody trains it."""
    trainer = trainer_of(run)
    return "" if trainer is None else f": {trainer} is training it; wait for its first {what}"
