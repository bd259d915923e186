"""`Tracker`: receives a run's metrics during training; `ForwardingTracker`: passes them on."""

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tfdqn.records import Evaluation, Summary


class Point(NamedTuple):
    """A position on the curves of a run, whose usual x axis is environment steps."""

    env_steps: int
    train_steps: int
    seconds: float  # of training, all sessions of the run together


class TrackerError(Exception):
    """A tracker can't do its work; the message is one line."""


class Tracker:
    """Receives a run's metrics, about once a second. Subclasses override the methods that they need."""

    @property
    def takes_videos(self) -> bool:
        """Whether videos should be recorded for it."""
        return False

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        """Logs points of curves, by "group/name"."""

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        """Logs an evaluation, made after `seconds` of training. By default, its return and length as scalars."""
        scores = evaluation.scores
        values = {"evaluation/return": scores.mean_return, "evaluation/length": scores.mean_length}
        self.scalars(values, Point(evaluation.env_steps, evaluation.train_steps, seconds))

    def histogram(self, name: str, values: np.ndarray, at: Point) -> None:
        """Logs the distribution of values, float[N]."""

    def hyperparameters(self, values: Mapping[str, bool | int | float | str]) -> None:
        """Logs the configuration by dotted key, so that runs can be compared."""

    def text(self, name: str, markdown: str) -> None:
        """Logs a text in Markdown, such as the configuration."""

    def summary(self, summary: Summary, at: Point) -> None:
        """Logs the results of a finished run, and the paths of what it wrote. Not called if the run is interrupted."""

    def video(self, name: str, video: Path, at: Point) -> None:
        """Logs a video, an MP4 file. Only called if `takes_videos`."""

    def rewind(self, env_steps: int) -> None:
        """Discards points after `env_steps`, from which the run goes on: they will be logged again."""

    def close(self) -> None:
        """Writes everything that is buffered, and ends the tracker."""


class ForwardingTracker(Tracker):
    """A tracker that passes each call on through one method, `tell`."""

    @abstractmethod
    def tell(self, method: str, *arguments: Any) -> None:
        """Passes a call on. `method` is the name of one of `Tracker`'s methods."""

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

    def video(self, name: str, video: Path, at: Point) -> None:
        self.tell("video", name, video, at)

    def rewind(self, env_steps: int) -> None:
        self.tell("rewind", env_steps)

    def close(self) -> None:
        self.tell("close")


def final_scores(summary: Summary) -> dict[str, float]:
    """Returns of the best policy, by which tracking systems compare runs; empty without an evaluator.

    By name: of its evaluation during training, and of the final one.
    """
    scores = {"final/best_return": summary.best_return}
    if summary.final is not None:
        final = summary.final
        scores |= {"final/return": final.mean_return, "final/ci_low": final.ci_low, "final/ci_high": final.ci_high}
    return {name: value for name, value in scores.items() if value is not None}
