"""The entry point of the command line: collects the verbs, and turns errors into one line on stderr and a status.

Each verb is a thin layer, in `runs`, `serving`, `tune`, `reports`, `tasks`, `jobs` or `processes`, over the function
that does the work. Nothing heavy is imported before a verb needs it: `tfdqn --help` does not import TensorFlow.
"""

import errno
import os
import re
import shutil
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from tfdqn.cli.arguments import installed_version, say_on_stderr, unused_links_removed
from tfdqn.cli.jobs import jobs
from tfdqn.cli.processes import processes
from tfdqn.cli.reports import reports
from tfdqn.cli.runs import runs
from tfdqn.cli.serving import serving
from tfdqn.cli.tasks import tasks
from tfdqn.cli.tune import verbs as tune
from tfdqn.coordination.heartbeat_files import heartbeat_of_command
from tfdqn.errors import FAILED_STATUS, RESTART_STATUS, PeerLostError, ProcessFailedError, UserError
from tfdqn.storage.atomic_files import is_full_disk
from tfdqn.system.incomplete_tensorflow import why_no_tensorflow
from tfdqn.system.output import logged_lines
from tfdqn.system.shell_commands import own_command
from tfdqn.system.utf8 import show_any_text

# Errors that mean that a path given by the user can't be used.
_PATH_ERRORS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ENOTDIR, errno.EISDIR, errno.ELOOP)

app = typer.Typer(
    name="tfdqn",
    context_settings={"help_option_names": ["-h", "--help"]},  # of every verb
    add_completion=False,
    # Rich would double the time that --help takes.
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


about = typer.Typer()


@about.command()
def version() -> None:
    """Print the version of tfdqn."""
    typer.echo(installed_version())


for verbs in (runs, tune, reports, serving, jobs, processes, tasks, about):  # in the order of the help
    app.add_typer(verbs)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status. An error that the user can fix is one line on stderr.

    `tfdqn run` ends the process by `os._exit` instead of returning: at interpreter shutdown Reverb and TensorFlow would
    wait for peers that may be gone.
    """
    show_any_text()
    given = sys.argv[1:] if arguments is None else arguments
    arguments = [_with_home(each) for each in given] or ["--help"]
    if arguments[0] == "health":  # reads the heartbeats of other processes, and gives none of its own
        return _status_of(arguments)
    if arguments[0] != "run":
        with heartbeat_of_command(arguments[0], say_on_stderr):
            return _status_of(arguments)
    try:
        status = _status_of(arguments)
    except Exception:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _with_home(argument: str) -> str:
    """The argument, with the home directory for a "~" that shells leave: in quotes, `--run-dir=~/x` and `-o~/x`."""
    option, value = re.fullmatch(r"(--[^=]*=|-[a-zA-Z](?=~)|)(.*)", argument, re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{option}{os.path.expanduser(value)}"


def _status_of(arguments: Sequence[str]) -> int:
    """Runs a command; returns its exit status. Prints one line on stderr for an error that the user can fix."""
    try:
        _require_none_empty(arguments)
        width = min(max(shutil.get_terminal_size().columns, 46), 80) - 2  # of help; Typer's own is at least 50
        with unused_links_removed(), logged_lines():
            return app(args=arguments, prog_name="tfdqn", standalone_mode=False, terminal_width=width) or 0
    except UserError as error:
        return _fail(str(error), error)
    except PeerLostError as error:
        _fail(str(error))
        return RESTART_STATUS
    except ProcessFailedError as error:
        _fail(str(error))
        return FAILED_STATUS
    except OSError as error:
        if is_full_disk(error):
            return _fail(f"the disk is full: make room ({error})", error)
        if error.errno not in _PATH_ERRORS:
            raise
        return _fail(f"{error.filename or 'a file'} can't be read or written: {error.strerror}", error)
    except typer.TyperException as error:
        return _fail(f"{_misuse(error)} (see `{_help_on(error, arguments)}`)")
    except Exception as error:
        if why := why_no_tensorflow(error):
            return _fail(why)
        raise


def _require_none_empty(arguments: Sequence[str]) -> None:
    """Raises TyperException for an empty argument: as a path it would be the current directory."""
    for before, argument in zip(("tfdqn", *arguments), arguments, strict=False):
        if not argument or re.fullmatch("--[^=]*=", argument):
            named = argument or f'{before} ""'
            raise typer.TyperException(f"{named}: an argument must not be empty")


def _misuse(error: typer.TyperException) -> str:
    """What is wrong with the command line. Where a number was expected, the range that is allowed."""
    hint = _as_override(error) or _of_another_verb(error) or _as_option(error)
    problem = error.format_message().rstrip(".") + hint
    value, not_a, kind = problem.partition(" is not a valid ")
    words = {"int": "a whole number", "float": "a number"}.get(kind.removesuffix(" range"))
    if not not_a or words is None:
        return problem
    allowed = getattr(getattr(error, "param", None), "type", None)
    bounds = {"at least": getattr(allowed, "min", None), "at most": getattr(allowed, "max", None)}
    limits = [f" {word} {bound}" for word, bound in bounds.items() if bound is not None]
    return f"{value} must be {words}{' and'.join(limits)}"


def _as_override(error: typer.TyperException) -> str:
    """Words that say how the key is given that was taken for an option, as in --seed or --n-step; "" if none was."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    if context is None or option is None or all(each.name != "overrides" for each in context.command.params):
        return ""
    from tfdqn.config.schema import keys  # late: few commands need it

    name = option.lstrip("-").replace("-", "_")
    meant = [name] if name in keys() else [each for each in keys() if each.endswith(f".{name}")]
    return f"; a key is given without dashes, as {meant[0]}=VALUE" if len(meant) == 1 else ""


def _of_another_verb(error: typer.TyperException) -> str:
    """Words that say which verbs have the option that this one lacks; "" if none has, or more than three."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", None)
    if option is None or context is None or context.parent is None:
        return ""
    verbs = [
        f"`tfdqn {verb}`"
        for verb, command in context.parent.command.commands.items()
        if any(option in each.opts and not getattr(each, "hidden", False) for each in command.params)
    ]
    return f"; {' and '.join(verbs)} {'has' if len(verbs) == 1 else 'have'} it" if 0 < len(verbs) <= 3 else ""


def _as_option(error: typer.TyperException) -> str:
    """Words that say with which option of the verb a superfluous argument is given; "" if there is none."""
    context, problem = getattr(error, "ctx", None), error.format_message()
    if context is None or not problem.startswith("Got unexpected extra argument"):
        return ""
    options = {option for each in context.command.params for option in each.opts}
    if "--set" in options and "=" in problem:
        return "; a key of the task is given as --set task.KEY=VALUE"
    return "; further runs of a side are given as --and-a RUN or --and-b RUN" if "--and-a" in options else ""


def _help_on(error: typer.TyperException, arguments: Sequence[str]) -> str:
    """The command that says how the verb is called that was misused, or, of no known verb, which there are."""
    context = getattr(error, "ctx", None)
    if context is None:  # as when an option lacks its value; then the verb is known
        verb = [each for each in arguments[:1] if each and not each.startswith("-")]
    else:
        verb = context.command_path.split()[1:]
    return own_command([*verb, "--help"])


def _fail(problem: str, error: Exception | None = None) -> int:
    """Prints what is wrong on stderr, then the notes of the error on stdout; returns the exit status."""
    for line in getattr(error, "shown", [problem]):
        say_on_stderr(f"tfdqn: {' '.join(line.split())}")
    for note in getattr(error, "__notes__", ()):
        typer.echo(note)
    return 2
