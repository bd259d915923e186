"""`ObservedRun`: a run as one of many that are trained at once, by what its directory says of it."""

from abc import ABC, abstractmethod
from enum import StrEnum

from tfdqn.config import Config
from tfdqn.errors import CheckpointError
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.stopping import finished_summary
from tfdqn.tuning.run_progress import ProgressReader, RunProgress


class Outcome(StrEnum):
    """How a run came to its end."""

    FINISHED = "finished"
    STOPPED = "stopped"  # it was asked to, and can be resumed
    FAILED = "failed"


class ObservedRun(ABC):
    """One run.

    Args:
      name: for people: "seed 3".
      config: the whole configuration.
      run: its directory; resumed if it was begun.

    Attributes:
      outcome: how it ended; None: it has not begun, or is under way.
      is_saved: whether it ended as it should, with all that it had learned on the disk.
      why: of a failure, in one line.
    """

    def __init__(self, name: str, config: Config, run: RunDir):
        self.name, self.config, self.run = name, config, run
        self.outcome: Outcome | None = None
        self.is_saved = False
        self.why = ""
        self._metrics_before: int | None = None
        self._reader = ProgressReader(run)
        self._summary: Summary | None = None  # of a run that has finished

    @property
    @abstractmethod
    def has_begun(self) -> bool:
        """Whether it was started."""

    @property
    @abstractmethod
    def is_asked_to_end(self) -> bool:
        """Whether it was asked to save and end."""

    @property
    def is_alive(self) -> bool:
        return self.has_begun and self.outcome is None

    @property
    def state(self) -> str:
        """What it is doing, in a word."""
        if self.outcome is not None:
            return self.outcome
        if not self.has_begun:
            return "waiting"
        if self.is_asked_to_end:
            return "stopping"
        return "starting" if self._written_ns() == self._metrics_before else "learning"

    def summary(self) -> Summary | None:
        """What it came to, where it has finished under this configuration; else None."""
        try:
            return finished_summary(self.run, self.config, has_evaluator=True)
        except CheckpointError:
            return None  # the run itself will say what is damaged

    def progress(self) -> RunProgress:
        """How it stands now."""
        now, end = self._reader.read(), self._summary
        if end is None:
            return now
        return now._replace(env_steps=end.env_steps, train_steps=end.train_steps, seconds=end.seconds)

    def take_as_finished(self) -> bool:
        """Whether it has finished before: then there is nothing to start, and its outcome says so."""
        self._summary = self.summary()
        if self._summary is None:
            return False
        self.outcome, self.is_saved = Outcome.FINISHED, True
        return True

    def _begins(self) -> None:
        """Called before it is started: what it writes from now on tells that it has come to training."""
        self._metrics_before = self._written_ns()

    def _written_ns(self) -> int | None:
        """When its curves were written last."""
        file = self.run.metrics_file
        return file.stat().st_mtime_ns if file.exists() else None
