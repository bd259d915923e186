"""What a run reports and keeps when a failure ends it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tfdqn.errors import ClusterError, FaultyTaskError, NotFiniteError, OwnCodeError, UserCodeError
from tfdqn.storage.run_directory import RunDir


@contextmanager
def tracebacks_are_kept(run: RunDir) -> Iterator[None]:
    """Writes the tracebacks of the user's code to the run's log, where its author can read them."""
    try:
        yield
    except UserCodeError as error:
        if not error.traceback:
            raise
        run.keep_traceback(error.traceback)
        raise type(error)(f"{error}; its traceback is in {run.native_log}") from error


@contextmanager
def failures_say_what_is_saved(run: RunDir) -> Iterator[None]:
    """Adds to an error that ends training whether there is a checkpoint to resume from."""
    try:
        yield
    except FaultyTaskError:
        raise  # what came before is saved, and that is said
    except (ClusterError, NotFiniteError, OwnCodeError) as error:
        saved = "the last checkpoint is intact" if run.has_checkpoint else "nothing was saved yet"
        raise type(error)(f"{error}; {saved}") from error
