"""Checkpoints: one manifest binds weights, optimizer, counters, generators and the replay's content.

A checkpoint is a directory (`checkpoints/000007/`) that is written under another name, synced to disk and then
renamed: it is either whole or not there. The manifest lists every file with its size and checksum, and ends with
its own checksum. The format does not depend on the strategy that trained the weights: it has plain arrays by name.
"""

import shutil
import time
import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec import UNSET, Struct, UnsetType

from tfdqn.errors import CheckpointError, first_line
from tfdqn.records import Counters
from tfdqn.storage.arrays import SavedArrays, load_arrays, save_arrays
from tfdqn.storage.atomic_files import is_full_disk, sync, sync_tree
from tfdqn.storage.checkpoint_names import checkpoints_in
from tfdqn.types import Arrays

BEGINS_ANEW = "no checkpoint yet: starting from the beginning"  # the message if a resumed run has none
_MANIFEST = "manifest.json"
_REPLAY = "replay"
_UNFINISHED = ".saving-"
_UNITS = ((86_400, "days"), (3_600, "h"), (60, "min"), (1, "s"))  # of an age, in seconds


class _File(Struct, frozen=True):
    bytes: int
    crc32: int


class _Manifest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    counters: Counters
    files: dict[str, _File]
    unix_seconds: int | UnsetType = UNSET  # when it was written; UNSET: an earlier version of tfdqn did not say it
    crc32: int = 0  # of this manifest with 0 in this field

    def signed(self) -> "_Manifest":
        """The same with its checksum."""
        unsigned = msgspec.structs.replace(self, crc32=0)
        return msgspec.structs.replace(self, crc32=zlib.crc32(msgspec.json.encode(unsigned)))


_manifests = msgspec.json.Decoder(_Manifest)


class Checkpoint:
    """A complete checkpoint. Raises CheckpointError if it is damaged.

    Of its files only those with the arrays of these `names` are checked, which will be read; None: all are.
    """

    def __init__(self, directory: Path, names: Collection[str] | None = None):
        self.directory = directory
        try:
            manifest = _manifests.decode((directory / _MANIFEST).read_bytes())
            if manifest != manifest.signed():
                raise CheckpointError(f"{directory}: {_MANIFEST} is damaged")
            for file, expected in manifest.files.items():
                is_read = names is None or file.removesuffix(".npz") in names
                if is_read and _fingerprint(directory / file) != expected:
                    raise CheckpointError(f"{directory}: {file} is damaged")
        except (OSError, ValueError, msgspec.MsgspecError) as error:  # ValueError: not UTF-8, or not a path
            raise CheckpointError(f"{directory}: unreadable ({error})") from error
        self.counters = manifest.counters
        self._unix_seconds = manifest.unix_seconds

    def arrays(self, name: str) -> SavedArrays:
        """The arrays that were saved under this name. Raises CheckpointError if there were none."""
        path = self.directory / f"{name}.npz"
        try:
            return SavedArrays(load_arrays(path), path)
        except FileNotFoundError:
            raise CheckpointError(f"{path}: there is no such file") from None

    @property
    def age_seconds(self) -> float | None:
        """Seconds since it was written, also of a copy; None if an earlier version of tfdqn wrote it, without the time.

        Negative if a clock was set back, or the clock of the host that wrote it is ahead of this one.
        """
        if self._unix_seconds is UNSET:
            return None
        age = time.time() - self._unix_seconds
        return age if age < -1 else max(age, 0.0)

    def where_it_resumes(self) -> str:
        """How far the run had come, and how old the checkpoint is, in words."""
        counters, age_seconds = self.counters, self.age_seconds
        place = f"resumed at {counters.env_steps:,} environment steps and {counters.train_steps:,} updates"
        if age_seconds is None:
            return place
        seconds = abs(age_seconds)
        size, unit = next((size, unit) for size, unit in _UNITS if seconds >= 2 * size or size == 1)
        age = f"{seconds / size:,.0f} {unit}"
        age = f"{age} old" if age_seconds >= 0 else f"dated {age} in the future"
        return f"{place} (checkpoint {age})"

    @property
    def replay(self) -> Path:
        """The directory that the replay wrote."""
        return self.directory / _REPLAY


class CheckpointManager:
    """The checkpoints of one run, of which the newest `keep` are kept, besides any that was found damaged."""

    def __init__(self, directory: Path, keep: int = 2):
        self._directory = directory
        self._keep = keep
        self._damaged: set[Path] = set()

    def save(self, counters: Counters, arrays: Mapping[str, Arrays], save_replay: Callable[[Path], None]) -> Path:
        """Writes a new checkpoint, then removes the oldest beyond `keep`.

        Args:
          counters: how far the run has come.
          arrays: file name (without suffix) → arrays by name.
          save_replay: writes the replay's content into the directory that it is given.

        Raises CheckpointError if it can't be written (a full disk, say); earlier ones stay as they are.
        """
        saved = checkpoints_in(self._directory)
        name = f"{int(saved[-1].name if saved else 0) + 1:06d}"
        unfinished = self._directory / (_UNFINISHED + name)
        try:
            for left in self._directory.glob(_UNFINISHED + "*"):
                shutil.rmtree(left, ignore_errors=True)
            (unfinished / _REPLAY).mkdir(parents=True)
            for file_name, content in arrays.items():
                save_arrays(unfinished / f"{file_name}.npz", content)
            save_replay(unfinished / _REPLAY)
            files = {
                str(path.relative_to(unfinished)): _fingerprint(path)
                for path in sorted(unfinished.rglob("*"))
                if path.is_file()
            }
            manifest = _Manifest(counters=counters, files=files, unix_seconds=int(time.time())).signed()
            (unfinished / _MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1))
            sync_tree(unfinished)
            unfinished.rename(self._directory / name)
            sync(self._directory)
        except (OSError, RuntimeError, CheckpointError) as error:
            array_bytes = sum(array.nbytes for each in arrays.values() for array in each.values())
            failure = self._failure(error, saved, max(array_bytes, _bytes_in(unfinished)))
            shutil.rmtree(unfinished, ignore_errors=True)
            raise CheckpointError(failure) from error
        self._prune()
        return self._directory / name

    def latest(
        self, on_damage: Callable[[str], None] = lambda message: None, names: Collection[str] | None = None
    ) -> Checkpoint | None:
        """The newest whole checkpoint; None if the run has none yet.

        A damaged one is reported to `on_damage`, and the one before it is used. `names` as in `Checkpoint`. Raises
        CheckpointError if there are checkpoints and all of them are damaged.
        """
        saved = checkpoints_in(self._directory)
        while saved:
            for path in reversed(saved):
                try:
                    return Checkpoint(path, names)
                except CheckpointError as error:
                    if path.exists():  # else the process that trains the run has removed it, and has saved another
                        self._damaged.add(path)
                        on_damage(str(error))
            before, saved = saved, checkpoints_in(self._directory)
            if saved == before:
                raise CheckpointError(
                    f"{self._directory}: every checkpoint is damaged; restore one from a backup, "
                    "or train into another run directory (--run-dir, run_dir in Python)"
                )
        return None

    def _prune(self) -> None:
        """Removes the oldest checkpoints. They are renamed first, so that none is ever incomplete under its own name.

        One that can't be removed stays until the next time, since the save itself has succeeded.
        """
        with suppress(CheckpointError):
            intact = [path for path in checkpoints_in(self._directory) if path not in self._damaged]
            for path in intact[: -self._keep]:
                doomed = path.with_name(f"{_UNFINISHED}{path.name}-old")
                with suppress(OSError):
                    path.rename(doomed)
                    shutil.rmtree(doomed, ignore_errors=True)

    def _failure(self, error: Exception, saved: Sequence[Path], least_bytes: int) -> str:
        kept = f"the last one, {saved[-1].name}, is intact" if saved else "there is no earlier one"
        full = f"the disk is full: make room; the checkpoint needs at least {least_bytes / 1e6:,.1f} MB"
        why = full if is_full_disk(error) else first_line(error)
        return f"{self._directory}: the checkpoint could not be written: {why}; {kept}"


def _bytes_in(directory: Path) -> int:
    """The size of the files below a directory, as far as they can be read; 0 if there is none."""
    size = 0
    with suppress(OSError):
        for path in directory.rglob("*"):
            size += path.stat().st_size if path.is_file() else 0
    return size


def _fingerprint(path: Path) -> _File:
    checksum, size = 0, 0
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            checksum, size = zlib.crc32(chunk, checksum), size + len(chunk)
    return _File(bytes=size, crc32=checksum)
