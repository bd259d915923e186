"""`make_replay`: makes the replay backend that `replay.backend` names."""

from pathlib import Path

from tfdqn.config import PQN, Config
from tfdqn.replay.interfaces import Replay
from tfdqn.replay.rollout import Rollout
from tfdqn.task_spec import TaskSpec


def make_replay(config: Config, task_spec: TaskSpec, workspace: Path | None = None) -> Replay:
    """Makes the replay that `config.replay` describes, or a `Rollout` for PQN, which learns from rollouts.

    `workspace` is an existing folder for the backend's working files; None: the system's temporary folder. If it is on
    the checkpoints' file system, saving hard-links files instead of copying them. Raises ConfigError if the backend
    can't store this task as configured.
    """
    if isinstance(config.agent, PQN):
        return Rollout(config, task_spec)
    if config.replay.backend == "in_graph":
        from tfdqn.replay.in_graph import InGraphReplay

        return InGraphReplay(config, task_spec)
    from tfdqn.replay.reverb.in_process import ReverbReplay  # late: the other backend doesn't need Reverb

    return ReverbReplay(config, task_spec, workspace)
