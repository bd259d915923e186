"""Which trackers a process of a run has, and what they do when a run begins or is resumed."""

from tfdqn.config import Config, toml
from tfdqn.storage.json_lines import put_aside
from tfdqn.storage.run_directory import EVALUATOR_LOGS, RunDir
from tfdqn.tracking import json_lines, tensorboard
from tfdqn.tracking.tracker import MakeTracker, Part, Trackers

# The run's own files: an error in one of them (a full disk, say) ends training.
_OWN: tuple[MakeTracker, ...] = (json_lines.make, tensorboard.make)


def make_trackers(config: Config, run: RunDir, part: Part) -> Trackers:
    """Every tracker that the configuration asks for, told of the configuration by the learner's.

    Args:
      config: of the run.
      run: its directory; cut back to where it is resumed (`rewind`).
      part: which process has them.
    """
    trackers = Trackers([tracker for make in _OWN if (tracker := make(config, run, part)) is not None])
    if part == "learner":
        trackers.text("configuration", "```toml\n" + toml.dump(config) + "```")
        flat = {key: value for key, value in toml.flat(config).items() if value is not None}
        trackers.hyperparameters(
            {k: v if isinstance(v, bool | int | float | str) else str(v) for k, v in flat.items()}
        )
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
    tensorboard.purge(run.logs, env_steps)
    if evaluated_env_steps is not None:
        tensorboard.purge(run.logs / EVALUATOR_LOGS, evaluated_env_steps)
        files[run.evaluations_file] = evaluated_env_steps
    return put_aside(files)
