"""`ObservedRun`: one of many runs that are trained at once, observed through its directory."""

from abc import ABC, abstractmethod
from enum import StrEnum

from tfdqn.config import Config
from tfdqn.errors import CheckpointError
from tfdqn.records import Summary
from tfdqn.storage.run_directory import RunDir
from tfdqn.training.stopping import finished_summary
from tfdqn.tuning.run_progress import ProgressReader, RunProgress


class Outcome(StrEnum):
    """How a run ended."""

    FINISHED = "finished"
    STOPPED = "stopped"  # on request; it can be resumed
    FAILED = "failed"


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
        return "starting" if self._written_ns() == self._metrics_before else "learning"

    def summary(self) -> Summary | None:
        """The run's summary; None if it hasn't finished with this configuration."""
        try:
            return finished_summary(self.run, self.config, has_evaluator=True)
        except CheckpointError:
            return None  # the run itself will report the damage

    def progress(self) -> RunProgress:
        """The run's present progress."""
        now, end = self._reader.read(), self._summary
        if end is None:
            return now
        return now._replace(env_steps=end.env_steps, train_steps=end.train_steps, seconds=end.seconds)

    def take_as_finished(self) -> bool:
        """Marks the run as finished if it was before, so that it needn't be started; returns whether it was."""
        self._summary = self.summary()
        if self._summary is None:
            return False
        self.outcome, self.is_saved = Outcome.FINISHED, True
        return True

    def _begins(self) -> None:
        """Called before the run is started: metrics that are written from now on show that it is being trained."""
        self._metrics_before = self._written_ns()

    def _written_ns(self) -> int | None:
        """When the run's metrics were last written, in ns; None if there are none."""
        file = self.run.metrics_file
        return file.stat().st_mtime_ns if file.exists() else None
