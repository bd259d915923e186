"""What a session and its monitor know of the run's parts, wherever these are: in this process, or in others.

`training.local_parts` and `training.remote_parts` have the two implementations of `Parts`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tfdqn.coordination.weights import WeightsBoard
from tfdqn.replay.interfaces import SampledReplay
from tfdqn.replay.replay_ratio import Balance
from tfdqn.storage.checkpoints import Checkpoint
from tfdqn.task_spec import TaskSpec


class ActingProgress(Protocol):
    """Figures of all actors of a run."""

    @property
    def episodes(self) -> int:
        """Episodes finished since the run began."""

    @property
    def recent_return(self) -> float | None:
        """Mean return of the recent episodes, exploration included; None before the first has finished."""

    @property
    def recent_length(self) -> float | None:
        """Mean length of the recent episodes in environment steps, likewise."""

    @property
    def weights_version(self) -> int:
        """The train step of the oldest weights that an actor acts with."""


class EvaluationProgress(Protocol):
    """Figures of all evaluations since the run began."""

    @property
    def best_return(self) -> float | None:
        """Mean greedy return of the best evaluation; None before the first."""

    @property
    def evaluations_without_best(self) -> int:
        """How many evaluations there were since the best one."""


class Ratio(Protocol):
    """Decides how many updates are owed for the transitions in replay."""

    @property
    def transitions(self) -> int:
        """Transitions written to replay since the run began."""

    def updates_owed(self) -> int:
        """Updates that are due but not yet made, as far as this process knows."""

    def may_learn(self) -> bool:
        """Whether enough updates are owed for a call of the learner."""

    def wait_to_learn(self, timeout_seconds: float) -> bool:
        """Waits until enough updates are owed for a call of the learner; returns False after the timeout."""

    def acting_is_done(self) -> bool:
        """Whether all environment steps have been taken, and the updates that they owe are known."""

    def learned(self, train_steps: int) -> None:
        """Counts updates as made."""

    def balance(self) -> Balance:
        """The state that a checkpoint keeps."""


class Parts(Protocol):
    """Everything in a session but the learner; made from the checkpoint that the run resumes from."""

    @property
    def task_spec(self) -> TaskSpec: ...
    @property
    def board(self) -> WeightsBoard: ...
    @property
    def actors(self) -> ActingProgress: ...
    @property
    def evaluations(self) -> EvaluationProgress: ...
    @property
    def replay(self) -> SampledReplay: ...
    @property
    def ratio(self) -> Ratio: ...

    @property
    def env_steps(self) -> int:
        """Steps taken by all actors since the run began. The transitions that they wrote are counted first."""

    @property
    def environment_restarts(self) -> int:
        """How often environments were restarted since the run began, including those of evaluations."""

    def own_counters(self) -> dict[str, Any]:
        """The fields of `Counters` that only these parts know."""

    def resume(self, saved: Checkpoint | None) -> str:
        """Restores actors and replay, after weights are published; returns a sentence on what wasn't; "": all was."""

    def state(self) -> dict[str, Mapping[str, np.ndarray]]:
        """The state of "actor", "writer" and "replay" for a checkpoint, as far as they are in this process."""

    def save_replay(self, directory: Path) -> None:
        """Writes the content of replay. Raises CheckpointError."""

    def held_up_by(self) -> str:
        """What may delay a checkpoint, for a message."""

    def close(self) -> None:
        """Closes servers and environments, each one even if closing another fails."""
