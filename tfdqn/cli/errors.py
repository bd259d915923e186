"""What an error of a command becomes: one line on stderr, and an exit status."""

import errno
from collections.abc import Callable

import typer

from tfdqn.errors import FAILED_STATUS, RESTART_STATUS, PeerLostError, ProcessFailedError, UserError
from tfdqn.storage.run_directory import is_full_disk

# What the system says of a path that a user has given.
_OF_PATHS = (
    errno.EACCES,
    errno.EPERM,
    errno.EROFS,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.ELOOP,
)


def status_of(command: Callable[[], int]) -> int:
    """The exit status of a command; what it raises by a mistake that a user can mend is one line on stderr."""
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
        return _fail(f"{error.format_message().rstrip('.')} (`tfdqn --help` says what there is)")


def _fail(problem: str) -> int:
    typer.echo(f"tfdqn: {' '.join(problem.split())}", err=True)
    return 2
