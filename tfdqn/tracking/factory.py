"""`make_trackers`: makes the trackers of a process, combined into one; `rewind`: prepares them for a resumed run."""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

from tfdqn.config import Config, toml
from tfdqn.config.own_code import require_function, require_instance
from tfdqn.records import Evaluation, Summary
from tfdqn.storage.json_lines import append_line, put_aside
from tfdqn.storage.run_directory import EVALUATOR_LOGS, RunDir
from tfdqn.storage.run_records import append_evaluation
from tfdqn.tracking.systems import wanted_systems
from tfdqn.tracking.tensorboard import EvaluationsBoard, TensorBoard, purge
from tfdqn.tracking.tracker import BackgroundTracker, ForwardingTracker, Point, Tracker
from tfdqn.tracking.tracker_process import TrackerProcess

_STOPPED_SECONDS = 10.0  # how long a run that the user has stopped waits for its trackers
_FINISHED_SECONDS = 30.0  # how long a finished run waits for them: a video and a model are sent
Part = Literal["learner", "evaluator"]  # the processes that track; a run in one process is a learner
MakeTracker = Callable[[Config, RunDir, Part], Tracker | None]  # None: the configuration asks for none

# Trackers registered from outside the package, by name. Each runs in a thread of its own: its failures are harmless.
TRACKERS: dict[str, MakeTracker] = {}


def register_tracker(name: str, make: MakeTracker) -> None:
    """Registers a tracker of your own, which every run in this process makes from now on.

    `make` makes it, in a thread of its own, or returns None if the configuration asks for none; `name` is for messages.

    Raises OwnCodeError for a name that is no text, and for anything but such a function.
    """
    require_instance(name, str, "register_tracker: the name")
    require_function(make, f'register_tracker("{name}")', "config", "run", "part")
    TRACKERS[name] = make


class JsonLines(Tracker):
    """A tracker that appends to a run's JSON lines. Each line is in the file when the call returns."""

    def __init__(self, run: RunDir):
        self._run = run

    def scalars(self, values: Mapping[str, float], at: Point) -> None:
        named = {name.split("/")[-1]: value for name, value in values.items()}
        point = at._replace(seconds=round(at.seconds, 3))._asdict()
        append_line(self._run.metrics_file, {**point, "unix_seconds": int(time.time()), **named})

    def evaluation(self, evaluation: Evaluation, seconds: float) -> None:
        append_evaluation(self._run.evaluations_file, evaluation, seconds)


class Trackers(ForwardingTracker):
    """All trackers of a process as one.

    Those in `own` write the run's own files: they are called at once, and their errors (a full disk) are raised.
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
        """Closes all trackers, and waits up to 10 s for those in the background, or 30 s if the run has finished."""
        super().close()
        latest = time.monotonic() + self._patience_seconds
        for tracker in self._background:
            tracker.wait_until_closed(max(0.0, latest - time.monotonic()))


def make_trackers(config: Config, run: RunDir, part: Part, say: Callable[[str], None]) -> Trackers:
    """Makes all trackers that the configuration asks for, after `rewind`. The learner's are given the configuration.

    `say` is told in one line of a tracker that was dropped.
    """
    own: list[Tracker] = [JsonLines(run)]
    if config.logging.tensorboard:
        own.append(EvaluationsBoard(run.logs / EVALUATOR_LOGS))
        own += [TensorBoard(run.logs)] if part == "learner" else []
    background = [BackgroundTracker(name, partial(make, config, run, part), say) for name, make in TRACKERS.items()]
    if part == "evaluator":
        return Trackers(own, background)
    run.metrics_file.touch()  # shows others that training has begun
    run.evaluations_file.touch()
    for name in wanted_systems(config.tracking):  # which also get the evaluations that a separate evaluator writes
        background.append(BackgroundTracker(name, partial(TrackerProcess, name, config.tracking, run, say), say))
    trackers = Trackers(own, background)
    trackers.text("configuration", "```toml\n" + toml.dump(config) + "```")
    flat = {key: value for key, value in toml.flat(config).items() if value is not None}
    trackers.hyperparameters({k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat.items()})
    return trackers


def rewind(run: RunDir, env_steps: int, kept_env_steps: int | None) -> str:
    """Moves aside what was logged after the checkpoint from which a run is resumed: it will be logged again.

    Args:
      run: its directory.
      env_steps: environment steps of the checkpoint; -1 if the run starts over.
      kept_env_steps: as of `Evaluations`: later evaluations are moved. None: leave the evaluations to the evaluator's
        process, which has made them.

    Returns what was moved, in words.
    """
    files = {run.metrics_file: env_steps}
    purge(run.logs, env_steps)
    if kept_env_steps is not None:
        purge(run.logs / EVALUATOR_LOGS, kept_env_steps)
        files[run.evaluations_file] = kept_env_steps
    return put_aside(files)
