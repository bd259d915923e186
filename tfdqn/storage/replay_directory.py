"""`ShardDir`: a replay server's directory, with its transitions and what it needs to restart on its own."""

import os
import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from tfdqn.config import Config, toml
from tfdqn.errors import ConfigError, RunDirError, listed
from tfdqn.storage.atomic_files import read_decoded, why_not, write_atomically
from tfdqn.storage.locks import FileLock, locked
from tfdqn.task_spec import TaskSpec

_WHOLE = "DONE"  # the file that marks a complete checkpoint of Reverb's
_FILES = ("chunks.tfrecord", "items.tfrecord", "tables.tfrecord")


class ShardDir:
    """The paths of a replay server; making one touches nothing on the disk."""

    def __init__(self, path: Path):
        self.path = path
        self.checkpoints = path / "checkpoints"  # Reverb's: the newest, and one that is being written
        self.damaged = path / "damaged"
        self.config_file = path / "config.toml"
        self.task_file = path / "task.json"
        self.native_log = path / "reverb.log"
        self.lock_file = path / "lock"

    def claim(self) -> AbstractContextManager[FileLock]:
        """Claims the directory for this process until the block ends. Raises RunDirError if another server uses it."""
        return locked(self.lock_file, self.path)

    def open(self, config: Config) -> list[str]:
        """Prepares the directory for this configuration; returns a line for each damaged checkpoint.

        Damaged checkpoints are moved aside. One that a killed process was writing is removed, because Reverb would take
        it for a complete one when it deletes the older ones. Raises ConfigError if the transitions are those of another
        configuration, RunDirError if the directory can't be written.
        """
        try:
            self.checkpoints.mkdir(parents=True, exist_ok=True)
            damage = self._tidy()
            self.refuse_another(config)
            if self._differences(config):
                self.task_file.unlink(missing_ok=True)  # it may be another task's
            write_atomically(self.config_file, toml.dump(config).encode())
        except OSError as error:
            raise RunDirError(f"{self.path} can't be created or written: {why_not(self.path, error)}") from None
        return damage

    def checkpoint(self) -> Path | None:
        """The newest complete checkpoint; None if there is none."""
        whole = [each.parent for each in self.checkpoints.glob(f"*/{_WHOLE}")]
        return max((each for each in whole if not _lacking(each)), default=None)

    def refuse_another(self, config: Config) -> None:
        """Raises ConfigError if it has a checkpoint with transitions of another configuration; changes nothing."""
        if self.checkpoint() is not None and (forbidden := self._differences(config)):
            raise ConfigError(
                f"{self.path} holds transitions of another configuration: {listed(forbidden)}; choose another run "
                f"directory (--run-dir, run_dir in Python), or remove {self.path.parent} to begin without them"
            )

    def put_aside(self, checkpoint: Path) -> Path:
        """Moves a checkpoint that can't be restored out of Reverb's sight; returns its new path."""
        self.damaged.mkdir(exist_ok=True)
        return checkpoint.replace(self.damaged / checkpoint.name)

    def task_spec(self) -> TaskSpec | None:
        """The specification that `write_task_spec` wrote; None if there is none that can be read."""
        return read_decoded(self.task_file, TaskSpec.from_json)

    def write_task_spec(self, task_spec: TaskSpec) -> None:
        """Writes the specification, for the next start. Raises RunDirError."""
        write_atomically(self.task_file, task_spec.to_json())

    def _tidy(self) -> list[str]:
        damage = []
        for each in sorted(self.checkpoints.iterdir()):
            if not (each / _WHOLE).exists():
                shutil.rmtree(each)
            elif lacking := _lacking(each):
                # Reverb would restore a table without anything in it.
                damage.append(f"{self.put_aside(each)} lacks {' and '.join(lacking)}")
        return damage

    def _differences(self, config: Config) -> list[str]:
        """A line for each key in which its configuration, if it has one, is another whose transitions can't be used."""
        if not self.config_file.exists():
            return []
        text = toml.content(self.config_file, is_complete=True)
        return toml.differences(toml.parse(text, origin=str(self.config_file), unused={}), config, "replay")


def _lacking(checkpoint: Path) -> list[str]:
    """The files that a checkpoint lacks, or that are empty."""
    files = [checkpoint / name for name in _FILES]
    return [file.name for file in files if not file.exists() or os.path.getsize(file) == 0]
