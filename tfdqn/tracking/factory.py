"""Which trackers a process of a run has, all of them as one; and what they do where a run is resumed."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

from tfdqn.config import Config, toml
from tfdqn.records import Summary
from tfdqn.storage.json_lines import put_aside
from tfdqn.storage.run_directory import EVALUATOR_LOGS, RunDir
from tfdqn.tracking.background import BackgroundTracker
from tfdqn.tracking.json_lines import JsonLines
from tfdqn.tracking.systems import wanted_systems
from tfdqn.tracking.tensorboard import TensorBoard, purge
from tfdqn.tracking.tracker import ForwardingTracker, Point, Tracker
from tfdqn.tracking.tracker_process import TrackerProcess

_STOPPED_SECONDS = 10.0  # that a run which the user has stopped waits for its trackers at its end
_FINISHED_SECONDS = 30.0  # that one waits which has finished: a film and a model are sent
Part = Literal["learner", "evaluator"]  # the processes that track; a run in one process is a learner
MakeTracker = Callable[[Config, RunDir, Part], Tracker | None]  # None: the configuration asks for none

# Those from outside the package, by name. What befalls them does not concern training: each has a thread of its own.
TRACKERS: dict[str, MakeTracker] = {}


def register_tracker(name: str, make: MakeTracker) -> None:
    """Has every run of this process make a tracker, from now on; for use outside the package."""
    TRACKERS[name] = make


class Trackers(ForwardingTracker):
    """All trackers of a process as one.

    Args:
      own: write the run's own files, and are called at once. An error of theirs (a full disk, say) is the run's.
      background: others.
    """

    def __init__(self, own: Sequence[Tracker], background: Sequence[BackgroundTracker]):
        self._own, self._background = own, background
        self._patience_seconds = _STOPPED_SECONDS

    @property
    def takes_videos(self) -> bool:
        return any(tracker.takes_videos for tracker in (*self._own, *self._background))

    def tell(self, method: str, *arguments: Any) -> None:
        for tracker in (*self._own, *self._background):
            getattr(tracker, method)(*arguments)

    def summary(self, summary: Summary, at: Point) -> None:
        self._patience_seconds = _FINISHED_SECONDS
        super().summary(summary, at)

    def close(self) -> None:
        """Waits, for a while, until all have done what they were told."""
        super().close()
        latest = time.monotonic() + self._patience_seconds
        for tracker in self._background:
            tracker.wait_until_closed(max(0.0, latest - time.monotonic()))


def make_trackers(config: Config, run: RunDir, part: Part, say: Callable[[str], None]) -> Trackers:
    """Every tracker that the configuration asks for; the learner's are told of the configuration.

    Args:
      config: of the run.
      run: its directory, cut back to where it is resumed (`rewind`).
      part: which process has them.
      say: shows one line to the user: of a tracker of another system that was dropped.
    """
    own: list[Tracker] = [JsonLines(run)]
    if part == "learner":
        run.metrics_file.touch()  # it tells that the run has come to training
        run.evaluations_file.touch()
    if config.logging.tensorboard:  # which follows one file in each directory
        own.append(TensorBoard(run.logs if part == "learner" else run.logs / EVALUATOR_LOGS))
    background = [BackgroundTracker(name, partial(make, config, run, part), say) for name, make in TRACKERS.items()]
    if part == "learner":  # which reads what the evaluator writes
        for name in wanted_systems(config.tracking):
            background.append(BackgroundTracker(name, partial(TrackerProcess, name, config.tracking, run, say), say))
    trackers = Trackers(own, background)
    if part == "learner":
        trackers.text("configuration", "```toml\n" + toml.dump(config) + "```")
        flat = {key: value for key, value in toml.flat(config).items() if value is not None}
        trackers.hyperparameters({k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat.items()})
    return trackers


def rewind(run: RunDir, env_steps: int, evaluated_env_steps: int | None) -> str:
    """Puts aside what was written after the checkpoint that a run is resumed from: it is soon written again.

    Args:
      run: its directory.
      env_steps: of the checkpoint; -1 where the run begins anew.
      evaluated_env_steps: up to which the session will not evaluate again. None: an evaluator in a process of its own
        does, which does not go back with the learner; what that has evaluated stands.

    Returns what was moved, in words.
    """
    files = {run.metrics_file: env_steps}
    purge(run.logs, env_steps)
    if evaluated_env_steps is not None:
        purge(run.logs / EVALUATOR_LOGS, evaluated_env_steps)
        files[run.evaluations_file] = evaluated_env_steps
    return put_aside(files)
