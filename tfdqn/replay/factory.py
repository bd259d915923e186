"""The backends of replay, by `replay.backend`."""

from collections.abc import Callable
from pathlib import Path

from tfdqn.config import PQN, Config
from tfdqn.replay.interfaces import Replay
from tfdqn.replay.rollout import Rollout
from tfdqn.task_spec import TaskSpec


def make_replay(config: Config, task_spec: TaskSpec, workspace: Path | None = None) -> Replay:
    """The replay that `config.replay` asks for, or a rollout, for a loss that learns from those. Raises ConfigError.

    `workspace` is an existing folder for a backend's own files while it lives; on the file system of the
    checkpoints, saving links files instead of copying them. None: the system's temporary folder.
    """
    if isinstance(config.agent, PQN):
        return Rollout(config, task_spec)
    return _BACKENDS[config.replay.backend](config, task_spec, workspace)


def _in_graph(config: Config, task_spec: TaskSpec, _: Path | None) -> Replay:
    from tfdqn.replay.in_graph import InGraphReplay

    return InGraphReplay(config, task_spec)


def _reverb(config: Config, task_spec: TaskSpec, workspace: Path | None) -> Replay:
    from tfdqn.replay.reverb.in_process import ReverbReplay  # the other backend needs no Reverb

    return ReverbReplay(config, task_spec, workspace)


_BACKENDS: dict[str, Callable[[Config, TaskSpec, Path | None], Replay]] = {"in_graph": _in_graph, "reverb": _reverb}
