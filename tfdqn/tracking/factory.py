"""Which trackers a process of a run has, all of them as one; and what they do where a run is resumed."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from tfdqn.config import Config, toml
from tfdqn.storage.json_lines import put_aside
from tfdqn.storage.run_directory import EVALUATOR_LOGS, RunDir
from tfdqn.tracking.background import BackgroundTracker
from tfdqn.tracking.json_lines import JsonLines
from tfdqn.tracking.tensorboard import TensorBoard, purge
from tfdqn.tracking.tracker import ForwardingTracker, Tracker

Part = Literal["learner", "evaluator"]  # the processes that track; a run in one process is a learner
MakeTracker = Callable[[Config, RunDir, Part], Tracker | None]  # None: the configuration asks for none

# Those of other systems, by name. What befalls them does not concern training: each has a thread of its own.
TRACKERS: dict[str, MakeTracker] = {}


def register_tracker(name: str, make: MakeTracker) -> None:
    """Has every run of this process make a tracker, from now on; for use outside the package."""
    TRACKERS[name] = make


class Trackers(ForwardingTracker):
    """All trackers of a process as one."""

    def __init__(self, trackers: Sequence[Tracker]):
        self._trackers = trackers

    @property
    def takes_videos(self) -> bool:
        return any(tracker.takes_videos for tracker in self._trackers)

    def tell(self, call: Callable[[Tracker], None]) -> None:
        for tracker in self._trackers:
            call(tracker)


def make_trackers(config: Config, run: RunDir, part: Part, say: Callable[[str], None]) -> Trackers:
    """Every tracker that the configuration asks for; the learner's are told of the configuration.

    Args:
      config: of the run.
      run: its directory, cut back to where it is resumed (`rewind`).
      part: which process has them.
      say: shows one line to the user: of a tracker of another system that was dropped.
    """
    # What writes the run's files is called at once, and an error of its own (a full disk, say) is the run's.
    made: list[Tracker] = [JsonLines(run)]
    if part == "learner":
        run.metrics_file.touch()  # it tells that the run has come to training
        run.evaluations_file.touch()
    if config.logging.tensorboard:  # which follows one file in each directory
        made.append(TensorBoard(run.logs if part == "learner" else run.logs / EVALUATOR_LOGS))
    for name, make in TRACKERS.items():
        made.append(BackgroundTracker(name, partial(make, config, run, part), say))
    trackers = Trackers(made)
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
