"""`ObservedRun`: one of many runs that are trained at once; its progress is read from the files in its directory."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tfdqn.config import Config, toml
from tfdqn.errors import CheckpointError, RunDirError
from tfdqn.records import Counters, Summary
from tfdqn.storage.atomic_files import write_atomically
from tfdqn.storage.best_policy import best_return
from tfdqn.storage.completion import finished_summary, newest_checkpoint
from tfdqn.storage.failures import keep_failure_of_child, keep_interruption
from tfdqn.storage.run_directory import RunDir
from tfdqn.storage.run_records import EvaluationLine, Outcome, ProgressLine, read_evaluations, read_progress


class RunProgress(NamedTuple):
    """The progress of a run."""

    env_steps: int
    train_steps: int
    seconds: float  # of training, all sessions together
    env_steps_per_second: float
    episode_return: float | None  # mean of the recent episodes, exploration included
    evaluations: Sequence[EvaluationLine]  # greedy episodes, oldest first
    best_return: float | None


class ObservedRun(ABC):
    """A run and its progress.

    Args:
      name: the name that users see, such as "seed 3".
      config: the whole configuration.
      run: its directory; a run that exists there is resumed.

    Attributes:
      outcome: how the run ended; None if it hasn't begun, or is in training.
      is_saved: whether the run saved everything when it ended.
      why: why the run failed, in one line.
      could_not_start: whether it failed because this host could not start it.
    """

    def __init__(self, name: str, config: Config, run: RunDir):
        self.name, self.config, self.run = name, config, run
        self.outcome: Outcome | None = None
        self.is_saved = False
        self.why = ""
        self.could_not_start = False
        self._metrics_before: int | None = None
        self._log_start_bytes = 0  # the size of its process's log before that was started
        self._progress: RunProgress
        self._read_of: tuple[int, int, int | None] | None = None  # what tells whether files have changed since
        self._summary: Summary | None = None  # of a run that has finished

    @property
    @abstractmethod
    def has_begun(self) -> bool:
        """Whether the run was started."""

    @property
    @abstractmethod
    def is_asked_to_end(self) -> bool:
        """Whether the run was asked to save and end."""

    @property
    def is_alive(self) -> bool:
        """Whether the run was started and hasn't ended."""
        return self.has_begun and self.outcome is None

    @property
    def state(self) -> str:
        """The run's state in a word, such as "learning" or "finished"."""
        if self.outcome is not None:
            return self.outcome
        if not self.has_begun:
            return "waiting"
        if self.is_asked_to_end:
            return "stopping"
        return "starting" if _written_ns(self.run.metrics_file) == self._metrics_before else "learning"

    def summary(self) -> Summary | None:
        """The run's summary; None if it hasn't finished with this configuration."""
        return summary_of(self.run, self.config)

    def progress(self) -> RunProgress:
        """The run's present progress."""
        run, end = self.run, self._summary
        now = file_bytes(run.metrics_file), file_bytes(run.evaluations_file), _written_ns(run.checkpoints)
        if now != self._read_of:
            self._progress, self._read_of = progress_of(run), now
        if end is None:
            return self._progress
        return self._progress._replace(env_steps=end.env_steps, train_steps=end.train_steps, seconds=end.seconds)

    def take_as_finished(self) -> bool:
        """Marks the run as finished if it was before, so that it needn't be started; returns whether it was."""
        self._summary = self.summary()
        if self._summary is None:
            return False
        self.outcome, self.is_saved = Outcome.FINISHED, True
        return True

    def keep_failure(self) -> None:
        """Notes in the run's directory why it failed, as `storage.failures.keep_failure_of_child`."""
        keep_failure_of_child(self.run, self.why, self.is_saved)

    def keep_interruption(self) -> None:
        """Notes in the run's directory which signal has stopped it: its process was only sent SIGTERM for it."""
        if self.is_saved:  # else there is more to say, such as what held it up
            keep_interruption(self.run, is_saved=True)

    def _begins(self) -> None:
        """Called before the run is started: metrics that are written from now on show that it is being trained."""
        self._metrics_before = _written_ns(self.run.metrics_file)

    def _prepare(self) -> bool:
        """Writes the files that a process needs to train the run; if that is impossible, the run has failed."""
        self._begins()
        self._log_start_bytes = file_bytes(self.run.child_log)
        try:
            self.run.end_file.unlink(missing_ok=True)  # first: else it would say why the run has failed now
            write_atomically(self.run.child_config_file, toml.dump(self.config).encode())
        except (OSError, RunDirError) as error:
            self.fail_to_start(error)
        return self.outcome is None

    def fail_to_start(self, error: Exception) -> None:
        """Marks the run as failed, because it can't be started."""
        self.outcome, self.why, self.could_not_start = Outcome.FAILED, f"can't be started: {error}", True


def progress_of(run: RunDir) -> RunProgress:
    """The run's progress by its last report or its newest checkpoint, whichever is further."""
    newest, checkpoint = read_progress(run.metrics_file) or ProgressLine(), newest_checkpoint(run)
    saved = Counters() if checkpoint is None else checkpoint.counters
    evaluations = read_evaluations(run.evaluations_file)
    return RunProgress(
        env_steps=max(newest.env_steps, saved.env_steps),
        train_steps=max(newest.train_steps, saved.train_steps),
        seconds=max(newest.seconds, saved.seconds),
        env_steps_per_second=newest.env_steps_per_second,
        episode_return=newest.episode_return,
        evaluations=evaluations,
        best_return=best_return(run, evaluations),
    )


def _written_ns(path: Path) -> int | None:
    """When a file, or the list of a folder's files, was last written, in ns; None if there is none."""
    try:
        return path.stat().st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return None


def summary_of(run: RunDir, config: Config) -> Summary | None:
    """A run's summary; None if it hasn't finished with this configuration, or is damaged, which it reports itself."""
    try:
        return finished_summary(run, config, has_evaluator=True)
    except CheckpointError:
        return None


def file_bytes(file: Path) -> int:
    """A file's size; 0 if there is no such file."""
    try:
        return file.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return 0
