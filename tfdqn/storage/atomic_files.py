"""Files that survive a crash of the machine: each is complete and on the disk, or is not there."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, TypeVar

import msgspec

from tfdqn.errors import RunDirError
from tfdqn.storage.unfinished import remove_abandoned, unfinished_path, writer_of

_MAX_NAME_BYTES = 100  # of a file's name that begin its partial file's, which mustn't become too long
_SMALL_BYTES = 65_536
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)  # EDQUOT: none of the user's share
_END = ".partial"
Decoded = TypeVar("Decoded")


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Yields a new file to write, which replaces `path` if the block succeeds; otherwise the old file stays."""
    remove_abandoned(path.parent, _beginning(path), _END)
    partial = unfinished_path(path.parent, _beginning(path), _END)  # another may write the same file at the same time
    try:
        with partial.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):
            partial.unlink()


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file that gets its name only when it is complete and on the disk; makes its directory.

    Raises RunDirError if it can't be written (a full disk, say); the file that was there before then stays.
    """
    if path.exists() and not path.is_file():
        kind = "a directory" if path.is_dir() else "a device or a pipe, which a file would replace"
        raise RunDirError(f"{path} couldn't be written: it is {kind}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write(data)
    except OSError as error:
        raise RunDirError(f"{path} couldn't be written: {why_not(path.parent, error)}") from None


def read_decoded(path: Path, decode: Callable[[bytes], Decoded]) -> Decoded | None:
    """A file's content, decoded by msgspec; None if there is none that can be read and decoded."""
    try:
        return decode(path.read_bytes())
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError):
        return None


def require_writable(directory: Path, to_make: Path | None = None) -> None:
    """Makes the directory if need be. Raises RunDirError if this process can't write to it.

    `to_make` is what is to be made in it, which the error names instead: in a relative path the directory may be ".".
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise RunDirError(f"{to_make or directory} can't be created or written: {why_not(directory, error)}") from None


def why_not(directory: Path, error: OSError) -> str:
    """Why nothing could be written to a directory: what is in the way of making it, or the system's own word."""
    for each in (directory, *directory.parents):
        if os.path.lexists(each) and not os.path.isdir(each):
            return f"{each} is not a directory"
    return f"{error.strerror}: make room" if is_full_disk(error) else str(error.strerror)


def is_full_disk(error: BaseException) -> bool:
    """Whether an error, Python's or a C++ library's, says that there is no room left."""
    number = error.errno if isinstance(error, OSError) else None
    return number in _NO_ROOM or _names_no_room(str(error))


def says_full_disk(words: str) -> bool:
    """Whether words in which a process has told of its end say that there was no room left."""
    return "the disk is full" in words or _names_no_room(words)


def _names_no_room(words: str) -> bool:
    """Whether words have the operating system's own for an error that means that there is no room."""
    return any(os.strerror(each) in words for each in _NO_ROOM)


def has_room(directory: Path) -> bool:
    """Whether there is still room for a small file in a directory."""
    try:
        with TemporaryFile(dir=directory) as file:
            file.write(bytes(_SMALL_BYTES))
            file.flush()
            os.fsync(file.fileno())  # some network disks refuse only here
    except OSError as error:
        return not is_full_disk(error)
    return True


def is_by_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised for, says that there is no room left."""
    while error is not None and not is_full_disk(error):
        error = error.__cause__ or error.__context__
    return error is not None


def is_partial(path: Path, of: Path) -> bool:
    """Whether `path` is an unfinished version of the file `of`, from a writer that is running or was killed."""
    return writer_of(path, _beginning(of), _END) is not None


def _beginning(path: Path) -> str:
    return f".{os.fsencode(path.name)[:_MAX_NAME_BYTES].decode(errors='ignore')}."


def sync_tree(directory: Path) -> None:
    """Flushes a directory and everything below it to the disk."""
    for path in [*directory.rglob("*"), directory]:
        sync(path)


def sync(path: Path) -> None:
    """Flushes a file's content, or the names in a directory, to the disk.

    Some file systems, such as VirtualBox's shared folders, refuse it for directories: there it does nothing.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL or not path.is_dir():
            raise
    finally:
        os.close(descriptor)
