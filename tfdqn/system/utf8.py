"""UTF-8 whatever the locale is: in it TensorFlow and Reverb spell paths, so Python must, too.

Where the locale has another encoding, Python would take the same path for another file than they do, or could not say
it to them at all.
"""

import codecs
import io
import locale
import os
import sys
from collections.abc import Callable
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


def path_for_libraries(path: Path) -> Path:
    """The path, or the same by the links of `link_in_utf8`.

    Raises RunDirError for a path that is not UTF-8 and has no link, or is too long for the files below it.
    """
    if "\0" in str(path):
        raise RunDirError(f"{str(path)!r}: a path has no null characters")
    links = _links(path)
    if not all(_is_same(link, folder) for folder, link in links.items()):
        raise RunDirError(f"{_shown(path)} is not UTF-8, as TensorFlow needs paths to be: choose another name")
    linked = _by_links(path)
    if os.fsencode(linked) != str(linked).encode():
        encoding = sys.getfilesystemencoding()
        raise RunDirError(f"{linked}: Python's file names are {encoding} here, TensorFlow's UTF-8: set PYTHONUTF8=1")
    if len(os.fsencode(linked.absolute())) > _MOST_PATH_BYTES:
        raise RunDirError(f"{linked}: a path may have {_MOST_PATH_BYTES:,} bytes at most: choose a shorter one")
    return linked


def link_in_utf8(path: Path, say: Callable[[str], None]) -> None:
    """Makes a directory whose path is not UTF-8, and beside it a link whose name is: caf%E9, where E9 is the byte.

    Raises RunDirError where something else has the link's name.

    Args:
      path: of the directory; nothing is made where it is UTF-8.
      say: shows one line, where a link is made.
    """
    missing = {folder: link for folder, link in _links(path).items() if not _is_same(link, folder)}
    if not missing:
        return
    path.mkdir(parents=True, exist_ok=True)
    for folder, link in missing.items():
        with suppress(FileExistsError):
            link.symlink_to(folder.name)
        if not _is_same(link, folder):
            raise RunDirError(f"{_shown(link)} is in the way of a link to {_shown(folder)}: choose another name")
    say(f"{_shown(path)} is not UTF-8, as TensorFlow needs paths to be: {_by_links(path)}, a link to it, is used")


def _links(path: Path) -> dict[Path, Path]:
    """For each folder of the path whose name is not UTF-8: the link beside it that is, or would be."""
    named = {folder: folder.with_name(_link_name(folder.name)) for folder in (path, *path.parents) if folder.name}
    return {folder: link for folder, link in named.items() if link != folder}


def _by_links(path: Path) -> Path:
    return Path(*map(_link_name, path.parts))


def _link_name(name: str) -> str:
    """A name whose bytes that are not UTF-8 are spelled as in a URL."""
    return "".join(f"%{ord(each) - 0xDC00:02X}" if "\udc80" <= each <= "\udcff" else each for each in name)


def _is_same(link: Path, folder: Path) -> bool:
    with suppress(OSError):
        return link.samefile(folder)
    return False


def _shown(path: Path) -> str:
    return str(path).encode(errors="backslashreplace").decode()


def _of_terminal() -> str | None:
    """The locale's encoding; None: as it is."""
    encoding = locale.getencoding()
    with suppress(LookupError):
        return None if codecs.lookup(encoding).name == "ascii" else encoding
    return None
