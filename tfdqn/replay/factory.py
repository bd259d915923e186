"""Replay: finished transitions in, samples out."""

from pathlib import Path

from tfdqn.config import Config
from tfdqn.replay.interfaces import Replay, Sample, Writer
from tfdqn.task_spec import TaskSpec

__all__ = ["Replay", "Sample", "Writer", "make_replay"]


def make_replay(config: Config, task_spec: TaskSpec, workspace: Path | None = None) -> Replay:
    """The replay that `config.replay` asks for. Raises ConfigError.

    `workspace` is an existing folder for a backend's own files while it lives; on the file system of the
    checkpoints, saving links files instead of copying them. None: the system's temporary folder.
    """
    if config.replay.backend == "in_graph":
        from tfdqn.replay.in_graph import InGraphReplay

        return InGraphReplay(config, task_spec)
    from tfdqn.replay.reverb.in_process import ReverbReplay  # the other backend needs no Reverb

    return ReverbReplay(config, task_spec, workspace)
