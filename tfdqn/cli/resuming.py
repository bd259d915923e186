"""How a run goes on that was ended before its time, or has finished: the command, at the end of what is printed."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import typer

from tfdqn.config import Config
from tfdqn.coordination.sudden_end import told_of_sudden_end
from tfdqn.errors import ClusterError, FaultyTaskError, OwnCodeError, RefusedProcessError, RunDirError, UserCodeError
from tfdqn.records import Counters, Summary
from tfdqn.storage.atomic_files import is_by_full_disk
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_folders import SeedsFolder
from tfdqn.system.signals import last_words


def to_go_on(run: RunDir | SeedsFolder, again: str) -> str:
    """The command `again`, and whether it resumes the run, or the seeds, or begins again."""
    return f"To {'resume' if run.has_checkpoint else 'begin again'}:\n{again}"


def overrides_beyond(overrides: Sequence[str], summary: Summary, config: Config, run: RunDir) -> list[str]:
    """The overrides that train a finished run further: the given ones, with the condition that ended it lifted."""
    from tfdqn.storage.checkpoints import CheckpointManager
    from tfdqn.storage.completion import overrides_to_go_on

    newest = CheckpointManager(run.checkpoints).latest(names=())
    lifted = overrides_to_go_on(summary, config.stop, Counters() if newest is None else newest.counters)
    keys = {each.partition("=")[0] for each in lifted}
    return [*(each for each in overrides if each.partition("=")[0].strip() not in keys), *lifted]


@contextmanager
def resumption_is_said(again: str, how: Callable[[], str]) -> Iterator[None]:
    """A failure, a full disk, a watchdog or a second Ctrl-C that ends training in the block says how training goes on.

    An error has a note that says so, unless the same command would meet the error again, as with a directory in use or
    a learning rate that is too high. If the user must first correct something, in code or for a process of the run, the
    note says that, too.

    Args:
      again: the command that resumes what the block does, or begins it again: what a second Ctrl-C says, for which
        nothing may be read.
      how: returns what else is said, by what has been saved until then; "": nothing.
    """

    def note(error: Exception, first: str = "") -> None:
        if said := how():
            error.add_note(first + said)

    def tell(line: str) -> None:
        if said := how():
            typer.echo(said)

    with last_words(f"To go on:\n{again}"), told_of_sudden_end(tell):
        try:
            yield
        except (RefusedProcessError, OwnCodeError) as error:
            note(error, "Correct that first. ")
            raise
        except (FaultyTaskError, ClusterError, UserCodeError) as error:
            note(error)
            raise
        except (RunDirError, OSError) as error:
            if is_by_full_disk(error):
                note(error)
            raise
