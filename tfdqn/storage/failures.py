"""What a run says and keeps of the failure that ends it."""

from collections.abc import Iterator
from contextlib import contextmanager

from tfdqn.errors import ClusterError, FaultyTaskError, NotFiniteError, OwnCodeError, UserCodeError
from tfdqn.storage.run_directory import RunDir


@contextmanager
def tracebacks_are_kept(run: RunDir) -> Iterator[None]:
    """Those of what the user's code has raised, in the run's log: its author needs them."""
    try:
        yield
    except UserCodeError as error:
        if not error.traceback:
            raise
        run.keep_traceback(error.traceback)
        raise type(error)(f"{error}; its traceback is in {run.native_log}") from error


@contextmanager
def failures_say_what_is_saved(run: RunDir) -> Iterator[None]:
    """What ends the block's training says whether there is a checkpoint to go on from."""
    try:
        yield
    except FaultyTaskError:
        raise  # what came before is saved, and that is said
    except (ClusterError, NotFiniteError, OwnCodeError) as error:
        saved = "the last checkpoint is intact" if run.has_checkpoint else "nothing was saved yet"
        raise type(error)(f"{error}; {saved}") from error
