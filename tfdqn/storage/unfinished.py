"""Files and folders that a process writes under a name of its own before they get theirs, and what is left of them.

The name says which process writes, so that what a killed process left is recognised and removed. A lock would do as
well, but not every file system has locks.
"""

import os
import secrets
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from tfdqn.storage.owners import Owner, owner_of_mark, this_process

_PAUSE_SECONDS = 3600.0  # without a change, after which what a writer that can't be seen has left is given up


def unfinished_path(folder: Path, beginning: str, end: str = "") -> Path:
    """A new path in a folder for what this process, or a thread of it, writes."""
    return folder / f"{beginning}{this_process().mark}-{secrets.token_hex(4)}{end}"


def writer_of(path: Path, beginning: str, end: str = "") -> Owner | None:
    """The process for which `unfinished_path` has made the path with this beginning and end; None: it has not."""
    if not (path.name.startswith(beginning) and path.name.endswith(end)):
        return None
    return owner_of_mark(path.name.removeprefix(beginning).removesuffix(end).rpartition("-")[0])


def remove_abandoned(folder: Path, beginning: str, end: str = "", any_writer: bool = False) -> None:
    """Removes what has such a name in a folder, if its writer has ended or, if that can't be seen, paused for an hour.

    It can't of another host's or container's process, nor of one before this host's last boot; with `any_writer`, nor
    of one that the name doesn't tell, as those of an earlier version may not. Without, such a name may be anything's.
    """
    for left in folder.iterdir():
        if not (left.name.startswith(beginning) and left.name.endswith(end)):
            continue
        writer = writer_of(left, beginning, end)
        with suppress(OSError):  # another process has removed it, say
            if (writer is not None or any_writer) and _is_abandoned(left, writer):
                shutil.rmtree(left, ignore_errors=True) if left.is_dir() else left.unlink()


def _is_abandoned(unfinished: Path, writer: Owner | None) -> bool:
    is_running = None if writer is None else writer.is_running()
    if is_running is not None:
        return not is_running
    with tempfile.TemporaryFile(dir=unfinished.parent) as file:  # the file system's clock, not this host's
        now = os.fstat(file.fileno()).st_mtime
    written = (each.stat().st_mtime for each in [unfinished, *unfinished.rglob("*")])
    return now - max(written) > _PAUSE_SECONDS
