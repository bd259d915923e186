"""The command line: its verbs, and what an error becomes: one line on stderr, and an exit status.

A verb is a thin layer over the function that does the work, in `runs`, `serving`, `reports`, `tasks` or `jobs`. Nothing
heavy is imported before a verb needs it: `tfdqn --help` knows no TensorFlow.
"""

import errno
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from tfdqn.cli.arguments import installed_version
from tfdqn.cli.jobs import jobs
from tfdqn.cli.reports import reports
from tfdqn.cli.runs import runs
from tfdqn.cli.serving import serving
from tfdqn.cli.tasks import tasks
from tfdqn.cli.tune import verbs as tune
from tfdqn.coordination.heartbeat_files import heartbeat_of_command
from tfdqn.errors import FAILED_STATUS, RESTART_STATUS, PeerLostError, ProcessFailedError, UserError
from tfdqn.storage.disk_full import is_full_disk
from tfdqn.system.shell_commands import own_command
from tfdqn.system.utf8 import show_any_text

# What the system says of a path that a user has given.
_OF_PATHS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)

app = typer.Typer(
    name="tfdqn",
    help="Train deep Q-networks in parallel with TensorFlow.",
    add_completion=False,
    # Rich help would double the time that --help takes.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(installed_version())
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version of tfdqn.")
    ] = False,
) -> None:
    """Train deep Q-networks in parallel with TensorFlow."""


for verbs in (runs, serving, tune, reports, tasks, jobs):
    app.add_typer(verbs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status. Errors that a user can mend are one line on stderr.

    `tfdqn run` ends the process instead: what Reverb and TensorFlow would do at Python's own end waits for peers that
    may be gone.
    """
    show_any_text()
    arguments = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]

    def command() -> int:
        return app(args=arguments, prog_name="tfdqn", standalone_mode=False) or 0

    if arguments[0] == "health":  # it asks after the heartbeats of others
        return _status_of(command)
    if arguments[0] != "run":
        with heartbeat_of_command(arguments[0], lambda line: typer.echo(line, err=True)):
            return _status_of(command)
    try:
        status = _status_of(command)
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _status_of(command: Callable[[], int]) -> int:
    """A command's exit status; one line on stderr for what a user can mend."""
    try:
        return command()
    except UserError as error:
        status = _fail(str(error))
        for note in getattr(error, "__notes__", ()):
            typer.echo(note)
        return status
    except PeerLostError as error:
        _fail(str(error))
        return RESTART_STATUS
    except ProcessFailedError as error:
        _fail(str(error))
        return FAILED_STATUS
    except OSError as error:
        if is_full_disk(error):
            return _fail(f"the disk is full ({error})")
        if error.errno not in _OF_PATHS:
            raise
        return _fail(f"{error.filename or 'a file'} can't be read or written: {error.strerror}")
    except typer.TyperException as error:
        return _fail(f"{_misuse(error)} (see `{own_command(['--help'])}`)")


def _misuse(error: typer.TyperException) -> str:
    """What is wrong with a command line; of something that is no number, what it should be."""
    problem = error.format_message().rstrip(".")
    value, not_a, kind = problem.partition(" is not a valid ")
    words = {"int": "a whole number", "float": "a number"}.get(kind.removesuffix(" range"))
    if not not_a or words is None:
        return problem
    allowed = getattr(getattr(error, "param", None), "type", None)
    bounds = {"at least": getattr(allowed, "min", None), "at most": getattr(allowed, "max", None)}
    limits = [f" {word} {bound}" for word, bound in bounds.items() if bound is not None]
    return f"{value} must be {words}{' and'.join(limits)}"


def _fail(problem: str) -> int:
    typer.echo(f"tfdqn: {' '.join(problem.split())}", err=True)
    return 2
