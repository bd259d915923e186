"""Folders of runs: `SeedsFolder`, whose runs differ only in their seed; and where a search keeps its trials' runs."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from tfdqn.config import Config
from tfdqn.errors import RunDirError, why_no_directory
from tfdqn.storage.locks import locked
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import why_failed

STUDY_FILE = "study.json"  # in a study's folder, by which that is known
TRIALS = "trials"  # in it: the folder of the trials' runs
_RUN = re.compile(r"seed-(0|[1-9]\d*)")


class SeedsFolder:
    """The paths of a folder of seeds, with their joint summary; making one touches nothing on the disk."""

    def __init__(self, path: Path | str):
        self.path = Path(path)
        self.summary_file = self.path / "seeds.json"
        self.learning_curve = self.path / "learning_curve.png"
        self.lock_file = self.path / "lock"
        self.native_log = self.path / "native.log"  # of seeds in one process: what C++ libraries print

    def run(self, seed: int) -> RunDir:
        return RunDir(self.path / f"seed-{seed}")

    def seeds(self) -> list[int]:
        """The seeds whose runs have begun, in order."""
        return [seed for seed in self._numbers() if self.run(seed).config_file.is_file()]

    @property
    def has_checkpoint(self) -> bool:
        """Whether a seed's run has a checkpoint."""
        return any(self.run(seed).has_checkpoint for seed in self.seeds())

    def failures(self) -> dict[int, str]:
        """Why seeds have failed that no process has trained since, by seed; also before their runs had begun."""
        found = {seed: why_failed(self.run(seed).end_file) for seed in self._numbers()}
        return {seed: why for seed, why in found.items() if why}

    def _numbers(self) -> list[int]:
        """The seeds that have a directory, in order."""
        found = [_RUN.fullmatch(each.name) for each in self.path.iterdir()] if self.path.is_dir() else []
        return sorted(int(each[1]) for each in found if each is not None)

    @contextmanager
    def claim(self, config: Config, seeds: Iterable[int]) -> Iterator[None]:
        """Claims the folder for this process until the block ends.

        Raises RunDirError if it is not a folder of seeds, if it is in use, or if a run in it belongs to another
        configuration or is being trained; nothing in it has changed then.
        """
        self._refuse_what_is_not_one()
        if self.lock_file.exists():  # before the locks of its runs, which are those of processes that it has started
            with locked(self.lock_file, self.path):
                pass
        for seed in sorted({*seeds, *self.seeds()}):
            self.run(seed).refuse_early(replace(config, seed=seed))
        with locked(self.lock_file, self.path):
            yield

    def _refuse_what_is_not_one(self) -> None:
        if RunDir(self.path).config_file.is_file():
            raise RunDirError(
                f"{self.path} is a run directory, not a folder of seeds: choose another folder (--run-dir)"
            )
        if os.path.lexists(self.path) and (why := why_no_directory(self.path)):
            raise RunDirError(f"{self.path} {why}: choose another folder (--run-dir)")
        ours = {self.summary_file, self.learning_curve, self.lock_file, self.native_log}
        paths = [each for each in self.path.iterdir() if each not in ours] if self.path.exists() else []
        others = sorted(each.name for each in paths if not _RUN.fullmatch(each.name))
        if others and len(others) == len(paths):
            raise RunDirError(
                f"{self.path} holds other files, such as {others[0]}, and no run of a seed (seed-1 or the like is "
                "missing): choose an empty or a new folder (--run-dir)"
            )


def is_seeds_folder(path: Path | str) -> bool:
    """Whether `path` is a folder in which seeds were to be trained, even if no run of theirs had begun."""
    if not Path(path).is_dir() or RunDir(path).config_file.exists():
        return False
    folder = SeedsFolder(path)
    return bool(folder.seeds() or folder.failures()) or folder.summary_file.is_file()


def is_trial(run: Path) -> bool:
    """Whether a run is a trial of a search, which may have been chosen among others for its score."""
    folder = Path(os.path.abspath(run)).parent
    return folder.name == TRIALS and (folder.parent / STUDY_FILE).is_file()
