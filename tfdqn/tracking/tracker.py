"""`Tracker`: takes a run's figures while it lasts; `ForwardingTracker`: has others take them."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfdqn.records import Evaluation, Summary


class Point(NamedTuple):
    """Where figures stand on a curve: environment steps are its usual axis."""

    env_steps: int
    train_steps: int
    seconds: float  # of training, all sessions of the run together


class TrackerError(Exception):
    """What keeps a tracker from its work, in one line."""


class Tracker:
    """Takes what a run says of itself, every second or so. A method that a subclass has no use for does nothing."""

    @property
    def takes_videos(self) -> bool:
        """Whether films are made for it."""
        return False

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

    def summary(self, summary: Summary, at: Point) -> None:
        """What the run came to, and the paths of what it left; not where it was interrupted."""

    def video(self, name: str, film: Path, at: Point) -> None:
        """An MP4 file; called where `takes_videos`."""

    def close(self) -> None:
        """Writes what it still holds."""


class ForwardingTracker(Tracker):
    """Hands each call on."""

    @abstractmethod
    def tell(self, method: str, *arguments: Any) -> None:
        """Has those behind it called: `method` is one of `Tracker`'s."""

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        self.tell("scalars", values, at)

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        self.tell("evaluation", evaluation, seconds)

    def histogram(self, name: str, values: np.ndarray, at: Point) -> None:
        self.tell("histogram", name, values, at)

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        self.tell("hyperparameters", values)

    def text(self, name: str, markdown: str) -> None:
        self.tell("text", name, markdown)

    def summary(self, summary: Summary, at: Point) -> None:
        self.tell("summary", summary, at)

    def video(self, name: str, film: Path, at: Point) -> None:
        self.tell("video", name, film, at)

    def close(self) -> None:
        self.tell("close")
