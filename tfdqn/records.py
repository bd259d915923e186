"""`Progress`: how a run stands, in the figures that a person watches."""

from typing import NamedTuple


class Progress(NamedTuple):
    """How a run stands: what a progress bar shows."""

    env_steps: int
    total_env_steps: int
    train_steps: int
    seconds: float
    env_steps_per_second: float
    updates_per_second: float
    episode_return: float | None  # mean of the recent episodes, exploration included
    loss: float | None
    best_return: float | None  # greedy, as evaluated
    phase: str
