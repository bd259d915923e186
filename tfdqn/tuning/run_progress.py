"""`ProgressReader`: reads the progress of another process's run from the files in its directory."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfdqn.storage.json_lines import read_last_line
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine, read_evaluations


class RunProgress(NamedTuple):
    """The progress of a run."""

    env_steps: int
    train_steps: int
    seconds: float  # of training, all sessions together
    env_steps_per_second: float
    episode_return: float | None  # mean of the recent episodes, exploration included
    evaluations: Sequence[EvaluationLine]  # greedy episodes, oldest first

    @property
    def best_return(self) -> float | None:
        returns = [each.mean_return for each in self.evaluations if each.mean_return is not None]
        return max(returns, default=None)


class ProgressReader:
    """Reads the progress repeatedly, but only the parts of files that have changed."""

    def __init__(self, run: RunDir):
        self._files = run.metrics_file, run.evaluations_file
        self._read_bytes = (-1, -1)
        self._progress: RunProgress

    def read(self) -> RunProgress:
        metrics, evaluations = self._files
        now = file_bytes(metrics), file_bytes(evaluations)
        if now != self._read_bytes:
            self._progress, self._read_bytes = _read(metrics, evaluations), now
        return self._progress


def _read(metrics: Path, evaluations: Path) -> RunProgress:
    newest = read_last_line(metrics) or {}
    return RunProgress(
        env_steps=newest.get("env_steps") or 0,
        train_steps=newest.get("train_steps") or 0,
        seconds=newest.get("seconds") or 0.0,
        env_steps_per_second=newest.get("env_steps_per_second") or 0.0,
        episode_return=newest.get("episode_return"),
        evaluations=read_evaluations(evaluations),
    )


def file_bytes(file: Path) -> int:
    """A file's size; 0 if there is no such file."""
    return file.stat().st_size if file.exists() else 0
