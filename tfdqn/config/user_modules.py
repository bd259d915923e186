"""Imports the user's own modules, named in a configuration as "my_package.my_module:name", and reports their errors."""

import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import FrameType

from tfdqn.errors import OwnCodeError, UserError, one_line

_packages: set[str] = set()  # top-level packages of the user's modules that were imported


def import_user_module(name: str, wanted_by: str, error: type[UserError]) -> None:
    """Imports a user's module, which registers its names, from the current directory or the installed packages.

    Args:
      name: dotted.
      wanted_by: the key and value that name the module; error messages begin with it.
      error: the type that is raised, with one line, if there is no such module or importing it fails.
    """
    if name.startswith("."):  # Python would take it for a relative import
        raise error(f'{wanted_by}: there is no module "{name}"{_as_a_module(name)}')
    if os.getcwd() not in sys.path:  # a console script, unlike `python -m`, doesn't search it
        sys.path.insert(0, os.getcwd())
    try:
        _packages.add(name.partition(".")[0])
        importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name is not None and f"{name}.".startswith(f"{missing.name}."):
            raise error(
                f'{wanted_by}: there is no module "{missing.name}" in {os.getcwd()} or among the installed ones'
                f"{_as_a_module(name)}"
            ) from missing
        raise error(f'{wanted_by}: {name} needs "{missing.name}", which is not installed') from missing
    except Exception as failure:
        frame = _own_frame(failure)
        where = f" at {_place(*frame)}" if frame else ""
        raise error(f"{wanted_by}: importing {name} failed{where}: {one_line(failure)}") from failure


def _as_a_module(name: str) -> str:
    """What to write instead of a file's path, such as "my_envs/maze.py"; empty if it is none in this directory."""
    dotted = name.removeprefix("./").removesuffix(".py").replace("/", ".")
    return "" if dotted == name or dotted.startswith(".") else f'; as a module it is "{dotted}"'


@contextmanager
def own_failures_are_one_line() -> Iterator[None]:
    """Turns an error that comes from a user's module into an OwnCodeError that names its function and line.

    Other errors are raised unchanged, and so are those of a callback for progress that the caller gave to training.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if (own := _own_frame(error)) is None:
            raise
        details = "".join(traceback.format_exception(error))
        line = f"{own[0].f_code.co_qualname} failed at {_place(*own)}: {one_line(error)}"
        raise OwnCodeError(line, details) from error


def _own_frame(error: Exception) -> tuple[FrameType, int] | None:
    """The innermost frame of a user's module in an error's traceback, and its line; None if there is none."""
    frames = list(traceback.walk_tb(error.__traceback__))
    entered = [outer for (outer, _), (inner, _) in pairwise(frames) if _is_own(inner) and not _is_own(outer)]
    if not entered or _module(entered[0]).startswith("tfdqn.training."):
        return None
    return next(each for each in reversed(frames) if _is_own(each[0]))


def _place(frame: FrameType, line: int) -> str:
    return f"{frame.f_code.co_filename}:{line}"


def _is_own(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] in _packages


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
