"""UTF-8 whatever the locale is: in it TensorFlow and Reverb spell paths, so Python must, too.

Where the locale has another encoding, Python would take the same path for another file than they do, or could not say
it to them at all.
"""

import codecs
import io
import locale
import os
import sys
from contextlib import suppress
from pathlib import Path

from tfdqn.errors import RunDirError

_MOST_PATH_BYTES = 4096 - 200  # what a system takes, less the longest path of a file in a run


def begin_in_utf8() -> None:
    """Returns at once where Python's file names are UTF-8; else the process begins again, as `python -X utf8` does."""
    if sys.getfilesystemencoding() == "utf-8":
        return
    os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def show_any_text() -> None:
    """Lets stdout and stderr show what their encoding lacks as escapes, instead of raising.

    A terminal is shown its own encoding; C and POSIX locales, which name none but ASCII, count as UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue  # a caller of the function has put it there
        with suppress(ValueError, LookupError):  # it is closed, or the encoding is unknown
            is_shown = stream.isatty() and not os.environ.get("PYTHONIOENCODING")
            stream.reconfigure(encoding=_of_terminal() if is_shown else None, errors="backslashreplace")


def require_libraries_can_take(path: Path) -> None:
    """Raises RunDirError for a path that is not UTF-8, or is too long for the files below it."""
    shown = str(path).encode(errors="backslashreplace").decode()
    try:
        spelled = str(path).encode()
    except UnicodeEncodeError:
        raise RunDirError(f"{shown} is not UTF-8, as TensorFlow needs paths to be: choose another name") from None
    if os.fsencode(path) != spelled:
        encoding = sys.getfilesystemencoding()
        raise RunDirError(f"{shown}: Python's file names are {encoding} here, TensorFlow's UTF-8: set PYTHONUTF8=1")
    if "\0" in shown:
        raise RunDirError(f"{shown!r}: a path has no null characters")
    if len(os.fsencode(path.absolute())) > _MOST_PATH_BYTES:
        raise RunDirError(f"{shown}: a path may have {_MOST_PATH_BYTES:,} bytes at most: choose a shorter one")


def _of_terminal() -> str | None:
    """The locale's encoding; None: as it is."""
    encoding = locale.getencoding()
    with suppress(LookupError):
        return None if codecs.lookup(encoding).name == "ascii" else encoding
    return None
