"""A folder of numbered versions of a policy, 1, 2, …, each of which is published and removed as a whole.

A version is written under a temporary name in the same folder (`storage.unfinished`), synced, and renamed to its
number.
"""

import json
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tfdqn.config.nearby_runs import CONFIG_FILE, run_above, surrounding_run, why_no_folder
from tfdqn.errors import UserError
from tfdqn.storage.atomic_files import require_writable, sync, sync_tree
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.trainer import wait_for
from tfdqn.storage.unfinished import remove_abandoned, unfinished_path
from tfdqn.system.shell_commands import own_command
from tfdqn.system.utf8 import path_for_libraries

MODEL_FILE = "saved_model.pb"
DEFAULT_SIGNATURE = "serving_default"  # the SavedModel's function by which a policy is served
EXTRA = "assets.extra"  # a SavedModel's folder for files that TensorFlow itself does not read
TASK_SPEC_FILE = "task_spec.json"
CARD_FILE = "export.json"
MODEL_CARD_FILE = "model_card.json"
CARD_NUMBER = "version"  # the key of a card with the version's number
_NUMBER = re.compile("0|[1-9][0-9]*")
_UNFINISHED = ".export-"


def versions(directory: Path) -> list[int]:
    """The numbers of the versions in a folder, ascending; [] if there is no such folder.

    A version is a folder whose name is its number as it is written: 7, not 007.
    """
    if not directory.is_dir():
        return []
    return sorted(int(each.name) for each in directory.iterdir() if _NUMBER.fullmatch(each.name) and each.is_dir())


def complete_versions(directory: Path) -> list[int]:
    """The numbers of the versions that have their graph, ascending; [] if the folder has been removed."""
    try:
        return [each for each in versions(directory) if has_model(directory / str(each))]
    except OSError:
        return []


def next_version(directory: Path) -> int:
    """The next free number: above that of every entry, since a file of that name would be in a version's way."""
    if not directory.is_dir():
        return 1
    return 1 + max((int(each.name) for each in directory.iterdir() if each.name.isdecimal()), default=0)


def exports_folder(path: Path) -> Path:
    """The folder of versions at `path`: `path/exports` of a run, else `path`. Raises UserError if it has no version."""
    path = path_for_libraries(path)
    if has_model(path):
        raise UserError(f"{path} is one version; give the folder of versions, {path.parent}")
    folder = path / "exports" if (path / "exports").is_dir() else path
    if not complete_versions(folder):
        raise UserError(f"{path} {_why_none(path)}")
    return folder


def _why_none(path: Path) -> str:
    """Why no version was found at `path`, and what to do, in words that follow it."""
    if why := why_no_folder(path):
        return why
    if inside := sorted(path.glob(f"*/exports/*/{MODEL_FILE}")):
        return f"has no exported version, but a run in it has: {inside[0].parents[2]}"
    run = path if (path / CONFIG_FILE).is_file() else surrounding_run(path)
    return f"has no exported version{run_above(path)}{how_to_export(run)}"


def how_to_export(path: Path | None) -> str:
    """The command that exports the run at `path`, or makes that possible; None: there is no run."""
    if path is None:
        return f"; `{own_command(['export', 'RUN'])}` writes one"
    run = RunDir(path)
    if run.best_weights.exists():
        return f"; `{own_command(['export', str(path)])}` writes one"
    if run.has_checkpoint:
        return f"; `{own_command(['export', str(path), '--checkpoint', 'latest'])}` writes one"
    if wait := wait_for(run, "evaluation"):
        return f", and no policy yet to export{wait}, then `{own_command(['export', str(path)])}` writes one"
    return f", and no policy yet to export; `{own_command(['train', str(run.config_file)])}` trains it"


def has_model(version: Path) -> bool:
    """Whether the folder of a version has a SavedModel."""
    return (version / MODEL_FILE).is_file()


def network_section(version: Path) -> Any:
    """The section `network` of the run that a version is of, unchecked; None if its model card doesn't say."""
    try:
        return json.loads((version / MODEL_CARD_FILE).read_bytes())["configuration"]["network"]
    except (OSError, ValueError, LookupError, TypeError):
        return None


def require_free(directory: Path) -> None:
    """Raises UserError if `directory` exists and is not an empty folder, or can't be made. Makes its parent."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory}: already exists and is not an empty folder; give a new or an empty one")
    require_writable(directory.parent, directory)


@contextmanager
def unfinished_version(directory: Path) -> Iterator[Path]:
    """A new folder in `directory` for a version's files; if it was not published when the block ends, it is removed.

    `directory` is made if there is none, and what killed processes left in it is removed first. Raises OSError if
    nothing can be written there.
    """
    directory.mkdir(parents=True, exist_ok=True)
    remove_abandoned(directory, _UNFINISHED, any_writer=True)
    unfinished = unfinished_path(directory, _UNFINISHED)
    try:
        unfinished.mkdir()
        yield unfinished
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def publish(unfinished: Path) -> Path:
    """Syncs an unfinished version to disk and renames it to the next free number; returns its new path."""
    directory = unfinished.parent
    while True:
        number = next_version(directory)
        final = directory / str(number)
        write_number(unfinished, number)
        sync_tree(unfinished)
        try:
            unfinished.rename(final)
        except OSError:
            if not final.exists():
                raise
            continue  # another process took the number first
        sync(directory)
        return final


def write_number(version: Path, number: int) -> None:
    """Adds its number to a version's card, if it has one: a copy of the version has another number than its card."""
    file = version / EXTRA / CARD_FILE
    if file.exists():
        card = json.loads(file.read_bytes()) | {CARD_NUMBER: number}
        file.write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def remove_version(directory: Path, version: int) -> None:
    """Deletes a version: it is renamed first, so that nobody sees a part of it under its number."""
    removed = unfinished_path(directory, _UNFINISHED)
    (directory / str(version)).rename(removed)
    shutil.rmtree(removed, ignore_errors=True)
