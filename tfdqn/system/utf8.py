"""UTF-8 in every locale: TensorFlow and Reverb encode paths in UTF-8, so Python must do so too.

If the locale had another encoding, Python and these libraries would take the same path for different files, or Python
could not pass it to them at all.
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

_ESCAPED = "tfdqn.escaped"  # a way to encode what an encoding lacks
_MAX_PATH_BYTES = 4096 - 200  # Linux's limit, less the longest path of a file in a run


def begin_in_utf8() -> None:
    """Restarts the process with `python -X utf8`, unless Python's file names are in UTF-8 already."""
    if sys.getfilesystemencoding() == "utf-8":
        return
    os.environ["PYTHONUTF8"] = "1"  # for the processes that this one starts
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def show_any_text() -> None:
    """Makes stdout and stderr escape characters that their encoding lacks, instead of raising an error.

    A terminal gets its locale's encoding; the C and POSIX locales, whose encoding is ASCII, count as UTF-8.
    """
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue  # replaced by the caller
        with suppress(ValueError, LookupError):  # it is closed, or the encoding is unknown
            is_shown = stream.isatty() and not os.environ.get("PYTHONIOENCODING")
            stream.reconfigure(encoding=_of_terminal() if is_shown else None, errors=_ESCAPED)


def shown(text: object) -> str:
    """The text with escapes for bytes that are not UTF-8, as in the name of a file: caf\\xe9 for caf\\udce9."""
    return str(text).encode(errors=_ESCAPED).decode()


def path_for_libraries(path: Path) -> Path:
    """The path, with the links of `link_in_utf8` in place of names that are not UTF-8.

    Raises RunDirError for a path that is not UTF-8 and has no link, or is too long for the files below it.
    """
    if "\0" in str(path):
        raise RunDirError(f"{str(path)!r}: a path has no null characters")
    links = _links(path)
    if not all(_is_same(link, folder) for folder, link in links.items()):
        raise RunDirError(f"{shown(path)} is not UTF-8, as TensorFlow needs paths to be: choose another name")
    linked = _by_links(path)
    if os.fsencode(linked) != str(linked).encode():
        encoding = sys.getfilesystemencoding()
        raise RunDirError(f"{linked}: Python's file names are {encoding} here, TensorFlow's UTF-8: set PYTHONUTF8=1")
    if len(os.fsencode(linked.absolute())) > _MAX_PATH_BYTES:
        raise RunDirError(f"{linked}: a path may have {_MAX_PATH_BYTES:,} bytes at most: choose a shorter one")
    return linked


def link_in_utf8(path: Path, say: Callable[[str], None]) -> Callable[[], None]:
    """Makes a directory whose name is not UTF-8, and a link beside it whose name is, such as caf%E9 for the byte E9.

    Nothing is made for a path that is UTF-8. Returns a function that removes what was made, if the directory is still
    empty. Raises RunDirError if something else has the link's name, and then leaves nothing that it has made.
    """
    missing = {folder: link for folder, link in _links(path).items() if not _is_same(link, folder)}
    if not missing:
        return lambda: None
    folders = [each for each in (path, *path.parents) if not os.path.lexists(each)]
    links: list[Path] = []

    def remove_unused() -> None:
        with suppress(OSError):
            if any(path.iterdir()):
                return
        for link in links:
            link.unlink(missing_ok=True)
        with suppress(OSError):  # a folder has something in it by now
            for folder in folders:
                folder.rmdir()

    path.mkdir(parents=True, exist_ok=True)
    for folder, link in missing.items():
        with suppress(FileExistsError):
            link.symlink_to(folder.name)
            links.append(link)
        if not _is_same(link, folder):
            remove_unused()
            raise RunDirError(f"{shown(link)} is in the way of a link to {shown(folder)}: choose another name")
    say(f"{shown(path)} is not UTF-8, as TensorFlow needs paths to be: {_by_links(path)}, a link to it, is used")
    return remove_unused


def name_in_utf8(name: str) -> str:
    """The name of a file with bytes that are not UTF-8 percent-encoded, as in a URL."""
    return "".join(f"%{ord(each) - 0xDC00:02X}" if "\udc80" <= each <= "\udcff" else each for each in name)


def _links(path: Path) -> dict[Path, Path]:
    """Folders of the path whose names are not UTF-8 → the links beside them, which may not exist yet."""
    named = {folder: folder.with_name(name_in_utf8(folder.name)) for folder in (path, *path.parents) if folder.name}
    return {folder: link for folder, link in named.items() if link != folder}


def _by_links(path: Path) -> Path:
    return Path(*map(name_in_utf8, path.parts))


def _is_same(link: Path, folder: Path) -> bool:
    with suppress(OSError):
        return link.samefile(folder)
    return False


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """The escapes of characters that can't be encoded, for `codecs.register_error`."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    known = (f"\\x{ord(each) - 0xDC00:02x}" if "\udc80" <= each <= "\udcff" else each for each in text)
    return "".join(known).encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error(_ESCAPED, _escaped)


def _of_terminal() -> str | None:
    """The encoding of the terminal's locale; None: leave it as it is."""
    encoding = locale.getencoding()
    with suppress(LookupError):
        return None if codecs.lookup(encoding).name == "ascii" else encoding
    return None
