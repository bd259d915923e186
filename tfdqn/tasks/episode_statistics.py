"""`EpisodeStatistics`: returns and lengths of the episodes that finish in a batch of environments."""

from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from tfdqn.types import Step

RECENT_EPISODES = 100  # over which the means are


class FinishedEpisodes(NamedTuple):
    """The N episodes that one step finished."""

    environments: np.ndarray  # int64[N]
    returns: np.ndarray  # float64[N]
    lengths: np.ndarray  # int64[N], environment steps


class EpisodeStatistics:
    """Returns and lengths of the episodes that finish in a batch of E environments.

    They are those of the task itself, even if adapters change the rewards or episodes that are learned from.
    """

    def __init__(self, num_envs: int):
        self._running_return = np.zeros(num_envs)
        self._running_length = np.zeros(num_envs, np.int64)
        self._recent: deque[tuple[float, int]] = deque(maxlen=RECENT_EPISODES)
        self.episodes = 0

    def add(self, step: Step) -> FinishedEpisodes | None:
        """Counts one step of all environments; returns the episodes that it finished, or None if there are none."""
        self._running_return += step.score
        self._running_length += 1
        if step.is_reset.any():  # a new episode; the last one may have been abandoned
            self._running_return[step.is_reset] = 0
            self._running_length[step.is_reset] = 0
        done = step.ended
        if not done.any():
            return None
        finished = FinishedEpisodes(done.nonzero()[0], self._running_return[done], self._running_length[done])
        self._recent.extend(zip(finished.returns.tolist(), finished.lengths.tolist(), strict=True))
        self.episodes += len(finished.environments)
        self._running_return[done] = 0
        self._running_length[done] = 0
        return finished

    @property
    def recent_return(self) -> float | None:
        """The mean return of the most recent episodes; None before the first has finished."""
        recent = tuple(self._recent)  # an atomic copy, since an actor's thread may add to it meanwhile
        return float(np.mean([total for total, _ in recent])) if recent else None

    @property
    def recent_length(self) -> float | None:
        """The mean length of the most recent episodes, in environment steps; None before the first has finished."""
        recent = tuple(self._recent)
        return float(np.mean([length for _, length in recent])) if recent else None

    def share_recent(self, other: "EpisodeStatistics") -> None:
        """Shares the recent episodes with `other`, so that both count into the same means."""
        self._recent = other._recent

    def drop_unfinished(self) -> None:
        """Drops the running episodes, after the task has started new ones."""
        self._running_return[:] = 0
        self._running_length[:] = 0

    def state(self) -> dict[str, np.ndarray]:
        recent = np.array(self._recent, np.float64).reshape(-1, 2)
        return {
            "running_return": self._running_return.copy(),
            "running_length": self._running_length.copy(),
            "recent": recent,
            "episodes": np.array(self.episodes),
        }

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        self._running_return[:] = arrays["running_return"]
        self._running_length[:] = arrays["running_length"]
        self._recent.clear()
        self._recent.extend((float(total), int(length)) for total, length in arrays["recent"])
        self.episodes = int(arrays["episodes"])
