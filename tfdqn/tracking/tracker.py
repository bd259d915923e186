"""`Tracker`: receives a run's metrics during training; `BackgroundTracker`: passes them on to one in a thread."""

from abc import abstractmethod
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from queue import Full, Queue
from threading import Event, Thread
from typing import Any, NamedTuple

import numpy as np

from tfdqn.errors import of_type, one_line
from tfdqn.records import EpisodeScores, Evaluation, Summary
from tfdqn.storage.run_records import EvaluationLine

_MAX_QUEUED_CALLS = 1_000  # with one point of the curves per second, a quarter of an hour
_DROPPED_SECONDS = 1.0  # how long the thread of a dropped tracker is waited for, which may hang for ever
_START_SECONDS = 10.0  # how long the video of a finished run waits for the tracker to start


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

    def start(self) -> None:
        """Called first, in the tracker's own thread: it may wait, for a server say."""

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        """Logs points of curves, by "group/name"."""

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        """Logs an evaluation, made after `seconds` of training. By default, its points as scalars."""
        self.scalars(*points_of(evaluation, seconds))

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

    def kill(self) -> None:
        """Called instead if it is dropped, perhaps while another of its methods hangs in another thread.

        Returns at once; what is buffered is lost.
        """


def points_of(evaluation: Evaluation, seconds: float) -> tuple[dict[str, float], Point]:
    """The points of an evaluation's curves by "group/name", and where they are."""
    return curves_of(evaluation.scores), Point(evaluation.env_steps, evaluation.train_steps, seconds)


def curves_of(scores: EpisodeScores | EvaluationLine) -> dict[str, float]:
    """An evaluation's points by "group/name"; without what is not known."""
    values = {"return": scores.mean_return, "std_return": scores.std_return, "length": scores.mean_length}
    return {f"evaluation/{name}": value for name, value in values.items() if value is not None}


def _passed_on(method: str) -> Callable[..., None]:
    """A method of `ForwardingTracker`, with the arguments of `Tracker`'s own."""
    return lambda self, *arguments: self.tell(method, *arguments)


class ForwardingTracker(Tracker):
    """A tracker that passes each call on through one method, `tell`."""

    @abstractmethod
    def tell(self, method: str, *arguments: Any) -> None:
        """Passes a call on. `method` is the name of one of `Tracker`'s methods."""

    scalars = _passed_on("scalars")
    evaluation = _passed_on("evaluation")
    histogram = _passed_on("histogram")
    hyperparameters = _passed_on("hyperparameters")
    text = _passed_on("text")
    summary = _passed_on("summary")
    video = _passed_on("video")
    rewind = _passed_on("rewind")
    close = _passed_on("close")


class BackgroundTracker(ForwardingTracker):
    """Makes a tracker in a thread, and passes calls on to it in order.

    A tracker that raises, falls far behind or doesn't close in time is dropped and killed, with one warning by `say`.
    `make` may wait, for a server say; it returns None if no tracker is wanted.
    """

    def __init__(self, name: str, make: Callable[[], Tracker | None], say: Callable[[str], None]):
        self._name, self._make, self._say = name, make, say
        self._calls: Queue[tuple[str, tuple[Any, ...]]] = Queue(_MAX_QUEUED_CALLS)
        self._tracker: Tracker | None = None
        self._takes_videos = False
        self._is_made = Event()
        self._is_over = False  # closed or dropped
        self._thread = Thread(target=self._run, name=f"tracker {name}", daemon=True)
        self._thread.start()

    def tell(self, method: str, *arguments: Any) -> None:
        """Queues a call for the thread; returns at once."""
        if self._is_over:
            return
        try:
            self._calls.put_nowait((method, arguments))
        except Full:
            self._drop(f"is {_MAX_QUEUED_CALLS:,} calls behind")

    @property
    def takes_videos(self) -> bool:
        self._is_made.wait(_START_SECONDS)
        return self._takes_videos and not self._is_over

    def wait_until_closed(self, seconds: float) -> None:
        """Waits until all queued calls are done, `close` last; drops the tracker if that takes longer."""
        self._thread.join(min(seconds, _DROPPED_SECONDS) if self._is_over else seconds)
        if not self._is_over:
            self._drop("has not come to an end in time")

    def _run(self) -> None:
        try:
            tracker = self._make()
            if not isinstance(tracker, Tracker | None):
                raise TrackerError(f"its function returned a value {of_type(tracker)}; expected a Tracker or None")
            self._tracker = tracker
            if tracker is not None and not self._is_over:  # read after `_tracker` is set, which `_drop` reads
                tracker.start()
            self._takes_videos = tracker is not None and bool(tracker.takes_videos)
            self._is_made.set()
            self._is_over = self._is_over or tracker is None
            while tracker is not None and not self._is_over:
                method, arguments = self._calls.get()  # needs no timeout: the thread is a daemon
                getattr(tracker, method)(*arguments)
                self._is_over = self._is_over or method == "close"
        except BaseException as error:  # even SystemExit must end only the tracker
            self._drop(f"failed: {error if isinstance(error, TrackerError) else one_line(error)}")
        finally:
            self._is_made.set()

    def _drop(self, why: str) -> None:
        if not self._is_over:
            self._is_over = True
            with suppress(Exception):  # of the user's own tracker
                if self._tracker is not None:
                    self._tracker.kill()
            self._say(f"warning: the tracker {self._name} {why}; it is told nothing more")


def final_scores(summary: Summary) -> dict[str, float]:
    """Returns of the best policy, by which tracking systems compare runs; empty without an evaluator.

    By name: of its evaluation during training, and of the final one.
    """
    scores = {"final/best_return": summary.best_return}
    if summary.final is not None:
        final = summary.final
        scores |= {"final/return": final.mean_return, "final/ci_low": final.ci_low, "final/ci_high": final.ci_high}
    return {name: value for name, value in scores.items() if value is not None}
