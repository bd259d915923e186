"""How a run that was ended before its time goes on: the command that resumes it, at the end of what is printed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tfdqn.errors import ClusterError, FaultyTaskError, NotFiniteError, RunDirError, UserCodeError
from tfdqn.storage.atomic_files import is_by_full_disk
from tfdqn.storage.run_directory import RunDir
from tfdqn.system.signals import last_words


def to_go_on(run: RunDir, again: str) -> str:
    """The command `again`, and whether it resumes the run or begins it again."""
    return f"To {'resume' if run.has_checkpoint else 'begin again'}:\n{again}"


@contextmanager
def resumption_is_said(how: Callable[[], str]) -> Iterator[None]:
    """Whatever ends training in the block says how it goes on: a failure in a note, a second Ctrl-C at once.

    An error that the same command would meet again, such as a directory in use, has no note.

    Args:
      how: returns what is said, by what has been saved until then.
    """
    with last_words(how):
        try:
            yield
        except (FaultyTaskError, ClusterError, UserCodeError, NotFiniteError) as error:
            error.add_note(how())
            raise
        except RunDirError as error:
            if is_by_full_disk(error):
                error.add_note(how())
            raise
