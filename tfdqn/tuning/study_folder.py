"""`StudyFolder`: the paths in a study's folder, which holds its trials' runs and, by default, its journal.

No other file names these paths, but for two in `storage.run_folders`.
"""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import msgspec

from tfdqn.errors import RunDirError, UserError
from tfdqn.storage.atomic_files import is_partial, require_writable, write_atomically
from tfdqn.storage.locks import Attempt, FileLock, NoLocksError, exclusive, holder_of
from tfdqn.storage.owners import Owner
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_folders import STUDY_FILE, TRIALS
from tfdqn.system.shell_commands import as_argument, from_here, own_command
from tfdqn.system.utf8 import name_in_utf8


class StudyError(UserError):
    """A study that can't be opened, is not the one that was asked for, or has no result."""


class Identity(msgspec.Struct, frozen=True):
    """The identity of a folder's study."""

    id: str  # distinguishes trials whose runs are here from those of other hosts that share the database
    storage: str  # without its password; "": the journal here
    name: str


class Request(msgspec.Struct, frozen=True):
    """What `tfdqn tune` was last asked for in a folder."""

    config: str  # the file's absolute path
    space: str  # likewise
    overrides: tuple[str, ...]
    options: tuple[str, ...]  # but for --study-dir, since a folder may be renamed
    trials: int
    fresh_seeds: int

    def command(self, folder: Path) -> str:
        """The command that goes on with the study, which is now in `folder`."""
        files = (as_argument(from_here(Path(each))) for each in (self.config, self.space))
        return own_command(["tune", *files, *self.overrides, "--study-dir", str(folder), *self.options])


class StudyFolder:
    """The paths of a study; making one touches nothing on the disk."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.identity_file = self.path / STUDY_FILE
        self.journal = self.path / "study.journal"
        self.request_file = self.path / "request.json"
        self.lock_file = self.path / "lock"  # held for moments, while a trial is chosen
        self._locks = self.path / "locks"
        self.best_config_file = self.path / "best.toml"
        self.page = self.path / "study.html"

    @property
    def name(self) -> str:
        """The folder's own name, that of a link's target, in UTF-8."""
        return name_in_utf8(self.path.resolve().name)

    def trial(self, number: int) -> RunDir:
        return RunDir(self.path / TRIALS / f"{number:03}")

    def trial_lock_file(self, number: int) -> Path:
        """The lock that the process that runs the trial holds meanwhile. The run itself has another one."""
        return self._locks / f"{number:03}"

    def seeds_of_best(self, number: int) -> Path:
        """The folder of runs of the best trial's configuration with other seeds."""
        return self.path / "best" / f"trial-{number:03}"

    def settle(self, storage: str, name: str) -> Identity:
        """Makes the folder this study's, and returns its identity.

        A study in a journal keeps its name when the folder is renamed. Raises StudyError if the folder belongs to
        another study, or holds something else.
        """
        if self.path.is_dir() and not self.identity_file.exists():
            if RunDir(self.path).config_file.is_file():
                raise StudyError(f"{self.path} is a run directory, not a study's folder: choose another --study-dir")
            others = (each for each in self.path.iterdir() if each != self.lock_file)
            if strange := sorted(each.name for each in others if not is_partial(each, self.identity_file)):
                raise StudyError(
                    f"{self.path} holds other files, such as {strange[0]}, and no study: choose an empty or a new "
                    "--study-dir"
                )
        require_writable(self.path)
        with self.alone():
            if not self.identity_file.exists():
                write_atomically(
                    self.identity_file, msgspec.json.encode(Identity(id=uuid.uuid4().hex, storage=storage, name=name))
                )
        return self._checked(storage, name)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Waits until no other process of this study chooses a trial. Raises StudyError if the disk has no locks."""
        try:
            with exclusive(self.lock_file):
                yield
        except NoLocksError as error:
            raise self._unlockable(error) from None

    def note(self, request: Request) -> None:
        """Notes what is asked for. Raises RunDirError if it can't be written."""
        # By Python's module, which takes names of files that are not UTF-8.
        write_atomically(self.request_file, json.dumps(msgspec.to_builtins(request)).encode())

    def request(self) -> Request | None:
        """What was last asked for; None if that is not known, as in a folder of an earlier version."""
        try:
            return msgspec.convert(json.loads(self.request_file.read_bytes()), Request)
        except (OSError, ValueError, msgspec.ValidationError):
            return None

    def write_best(self, number: int, score: float | None, config: str) -> None:
        """Writes the configuration of the best trial. Raises RunDirError if that fails."""
        heading = f"{_best_heading(number)}, the best of {self.name}: mean return {score:,.2f}.\n"
        write_atomically(self.best_config_file, (heading + config).encode())

    def has_best(self, number: int) -> bool:
        """Whether the configuration that was written as the best is this trial's."""
        try:
            with self.best_config_file.open(encoding="utf-8", errors="replace") as file:
                return file.readline().startswith(f"{_best_heading(number)},")
        except OSError:
            return False

    @contextmanager
    def worked_on(self) -> Iterator[None]:
        """Shows others, until the block ends, that this process works on the study, besides any others that do.

        Raises StudyError if the disk has no locks.
        """
        numbers = count()
        try:
            while (lock := FileLock(self._locks / f"work-{next(numbers)}")).try_acquire() is not Attempt.ACQUIRED:
                lock.release()
        except NoLocksError as error:
            raise self._unlockable(error) from None
        try:
            yield
        finally:
            lock.release()

    def workers(self) -> list[Owner]:
        """The processes that are in `worked_on`."""
        return [owner for each in sorted(self._locks.glob("work-*")) if (owner := holder_of(each)) is not None]

    def identity(self) -> Identity:
        """The identity of the folder's study. Raises RunDirError if its file is damaged."""
        try:
            return msgspec.json.decode(self.identity_file.read_bytes(), type=Identity)
        except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
            raise RunDirError(f"{self.identity_file} is damaged: {error}") from None

    @property
    def has_checkpoint(self) -> bool:
        """Whether a trial whose run is here has a checkpoint."""
        return any(RunDir(each).has_checkpoint for each in (self.path / TRIALS).glob("[0-9]*"))

    @property
    def where_to_look(self) -> str:
        """Where the study's newest run and its page are, in words."""
        trials = sorted((self.path / TRIALS).glob("[0-9]*"))
        newest = f"its newest run is {trials[-1]}" if trials else "it has no trial yet"
        return f"{newest}; what it has come to is in {self.page}" if self.page.exists() else newest

    def _unlockable(self, error: NoLocksError) -> StudyError:
        return StudyError(f"{self.path} can't be locked: {error}: choose a --study-dir on another disk")

    def _checked(self, storage: str, name: str) -> Identity:
        own = self.identity()
        if own.storage != storage or (storage and own.name != name):
            before, now = (
                f'study "{study}" in {f"the database {where}" if where else "its journal"}'
                for where, study in ((own.storage, own.name), (storage, name))
            )
            raise StudyError(f"{self.path} belongs to {before}, not {now}: choose another --study-dir, or give its own")
        return own


def _best_heading(number: int) -> str:
    return f"# Trial {number}"


def is_study(path: Path | str) -> bool:
    """Whether `path` is a study's folder."""
    return StudyFolder(path).identity_file.is_file()
