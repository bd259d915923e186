"""`failure_line`: describes an exception of an environment in one line, with the place in its code that raised it."""

import sysconfig
import traceback
from collections.abc import Iterator
from types import FrameType

from tfdqn.errors import one_line

# What calls environments: no environment's code, though gymnasium has environments of its own.
_CALLERS = ("tfdqn", "gymnasium")
_INSTALLED = tuple({f"{sysconfig.get_path(name)}/" for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def failure_line(error: BaseException) -> str:
    """Such as "Maze.step failed at /home/me/maze.py:33: ValueError: no way"; without a place if there is none.

    The place is the innermost line of code that is not installed, which is most often the user's; else that of the
    environment's installed package.
    """
    for cause in _causes(error):
        if found := _innermost(cause):
            frame, line = found
            code, module = frame.f_code, str(frame.f_globals.get("__name__", ""))
            name = module if code.co_qualname == "<module>" else code.co_qualname
            return f"{name} failed at {_file(frame)}:{line}: {one_line(error)}"
    return one_line(error)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """The error, and what it was raised from: gymnasium raises some errors of constructors again as its own."""
    cause: BaseException | None = error
    seen: set[int] = set()
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        yield cause
        cause = cause.__cause__ or cause.__context__


def _innermost(error: BaseException) -> tuple[FrameType, int] | None:
    """The innermost frame of the environment in the error's traceback, and its line; None if there is none."""
    frames = list(traceback.walk_tb(error.__traceback__))
    if not frames or _package(frames[0][0]) not in _CALLERS:  # it comes from outside: no environment's
        return None
    written = [each for each in frames if _package(each[0]) not in _CALLERS and not _is_of_python(_file(each[0]))]
    if own := [each for each in written if not _file(each[0]).startswith(_INSTALLED)]:
        return own[-1]
    return next((each for each in reversed(written) if _package(each[0]) == _package(written[0][0])), None)


def _is_of_python(file: str) -> bool:
    """Whether a file is of Python's own library, or no file at all."""
    is_package = any(f"/{folder}/" in file for folder in ("site-packages", "dist-packages"))
    return not file.startswith("/") or (file.startswith(_INSTALLED) and not is_package)


def _file(frame: FrameType) -> str:
    return frame.f_code.co_filename


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]
