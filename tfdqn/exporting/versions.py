"""A folder of numbered versions of a policy: 1, 2, …, each of which appears, and goes, as a whole.

A version is written under another name in the same folder, synced, and renamed to its number. That name says which
process writes there, so what a killed one left is found and removed without a lock, which not every disk has.
"""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tfdqn.errors import UserError
from tfdqn.storage.atomic_files import sync, sync_tree
from tfdqn.storage.owners import owner_of_mark, this_process
from tfdqn.system.shell_commands import own_command
from tfdqn.system.utf8 import path_for_libraries

MODEL_FILE = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"  # the SavedModel's function by which a policy is served
EXTRA = "assets.extra"  # where TensorFlow Serving passes over files that are not its own
TASK_SPEC_FILE = "task_spec.json"
CARD_FILE = "export.json"
_UNFINISHED = ".export-"
_ABANDONED_SECONDS = 3600.0  # without a change, where its writer can't be seen from here


def versions(directory: Path) -> list[int]:
    """The versions in a folder, oldest first."""
    if not directory.is_dir():
        return []
    return sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())


def exports_folder(path: Path) -> Path:
    """The folder of versions at `path`, or in the run that lies there. Raises UserError if there is none."""
    path = path_for_libraries(path)
    if has_model(path):
        raise UserError(f"{path} is one version; give the folder of versions, {path.parent}")
    folder = path / "exports" if (path / "exports").is_dir() else path
    if not any(folder.glob(f"*/{MODEL_FILE}")):
        raise UserError(f"{path}: {_why_none(path)}")
    return folder


def _why_none(path: Path) -> str:
    """Of versions there."""
    if not path.is_dir():
        return "there is no such directory"
    if inside := sorted(path.glob(f"*/exports/*/{MODEL_FILE}")):
        return f"no exported version here, but in runs that it holds, such as {inside[0].parents[2]}"
    return f"no exported version here; `{own_command(['export', 'RUN'])}` writes one"


def has_model(version: Path) -> bool:
    """Whether a SavedModel is there."""
    return (version / MODEL_FILE).is_file()


def require_free(directory: Path) -> None:
    """Raises UserError if something lies at `directory` that is not an empty folder."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory}: something is there already; give a new or an empty folder")


@contextmanager
def unfinished_version(directory: Path) -> Iterator[Path]:
    """The path at which to write a version; what lies there when the block ends, unpublished, is removed."""
    directory.mkdir(parents=True, exist_ok=True)
    for left in directory.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if _is_abandoned(left):
                shutil.rmtree(left, ignore_errors=True)
    unfinished = _unfinished_name(directory)
    try:
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def publish(unfinished: Path) -> Path:
    """Syncs a version and gives it the next free number, which another process may take first; its new path."""
    sync_tree(unfinished)
    directory = unfinished.parent
    while True:
        final = directory / str(max(versions(directory), default=0) + 1)
        try:
            unfinished.rename(final)
        except OSError:
            if not final.exists():
                raise
            continue
        sync(directory)
        return final


def remove_version(directory: Path, version: int) -> None:
    """Deletes a version. It loses its number first, so that it is never seen in part."""
    removed = _unfinished_name(directory)
    (directory / str(version)).rename(removed)
    shutil.rmtree(removed, ignore_errors=True)


def _unfinished_name(directory: Path) -> Path:
    return directory / f"{_UNFINISHED}{this_process().mark}-{secrets.token_hex(4)}"


def _is_abandoned(unfinished: Path) -> bool:
    """Whether its writer has ended, or has written nothing for long."""
    writer = owner_of_mark(unfinished.name.removeprefix(_UNFINISHED).rpartition("-")[0])
    is_running = None if writer is None else writer.is_running()
    if is_running is not None:
        return not is_running
    with tempfile.TemporaryFile(dir=unfinished.parent) as file:  # the disk's clock may not be this host's
        now = os.fstat(file.fileno()).st_mtime
    written = (each.stat().st_mtime for each in [unfinished, *unfinished.rglob("*")])
    return now - max(written) > _ABANDONED_SECONDS
