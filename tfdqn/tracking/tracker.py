"""`Tracker`: where a run's figures go while it lasts; `Trackers`: all of a process's trackers as one."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from tfdqn.config import Config
from tfdqn.records import Evaluation
from tfdqn.storage.run_directory import RunDir

Part = Literal["learner", "evaluator"]  # the processes that track; a run in one process is a learner


class Point(NamedTuple):
    """Where figures stand on a curve: environment steps are its usual axis."""

    env_steps: int
    train_steps: int
    seconds: float  # of training, all sessions of the run together


class Tracker:
    """Takes what a run says of itself. Each method does nothing until a subclass needs it.

    Calls may come from several threads, and follow one another by seconds.
    """

    takes_videos = False  # whether films are made for it

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        """Points of curves, by "group/name"."""

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        """An evaluation that ended after so many seconds of training; two points of curves, where no more is wanted."""
        scores = evaluation.scores
        values = {"evaluation/return": scores.mean_return, "evaluation/length": scores.mean_length}
        self.scalars(values, Point(evaluation.env_steps, evaluation.train_steps, seconds))

    def histogram(self, name: str, values: np.ndarray, at: Point) -> None:
        """The distribution of values [N]."""

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        """The configuration, by dotted key: what runs are compared by."""

    def text(self, name: str, markdown: str) -> None:
        """Something to read, such as the configuration."""

    def video(self, name: str, film: Path, at: Point) -> None:
        """An MP4 file; called where `takes_videos`."""

    def close(self) -> None:
        """Writes what it still holds."""


MakeTracker = Callable[[Config, RunDir, Part], Tracker | None]


class Trackers(Tracker):
    """Several as one."""

    def __init__(self, trackers: Sequence[Tracker]):
        self._trackers = trackers

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        self._each(lambda tracker: tracker.scalars(values, at))

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        self._each(lambda tracker: tracker.evaluation(evaluation, seconds))

    def histogram(self, name: str, values: np.ndarray, at: Point) -> None:
        self._each(lambda tracker: tracker.histogram(name, values, at))

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        self._each(lambda tracker: tracker.hyperparameters(values))

    def text(self, name: str, markdown: str) -> None:
        self._each(lambda tracker: tracker.text(name, markdown))

    def close(self) -> None:
        self._each(lambda tracker: tracker.close())

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for tracker in self._trackers:
            call(tracker)
