"""Environments that fail are made anew: `GuardedEnv` tells of a failure, `Restarts` counts how many are allowed."""

import contextlib
import logging
import multiprocessing
import threading
import traceback
from collections.abc import Callable
from typing import Any

import gymnasium

from tfdqn.errors import EnvironmentFailedError, UserError, one_line
from tfdqn.randomness import derived_seed

log = logging.getLogger(__name__)

# In `info`, where an environment has failed: what it said, on one line, and the traceback. CheckedEnv lets nothing of
# an environment's own through under these names.
FAILURE, TRACEBACK = "tfdqn.failure", "tfdqn.traceback"


class Restarts:
    """Shared by all tasks of a process, whose threads may fail at the same time.

    Args:
      most: `task.restarts`.
      say: shows one line to the user.
      keep: takes a failure's traceback.
    """

    def __init__(
        self,
        most: int = 0,
        say: Callable[[str], None] = log.warning,
        keep: Callable[[str], None] = lambda traceback: None,
    ):
        self.count = 0
        self._most, self._say, self._keep = most, say, keep
        self._lock = threading.Lock()

    def use(self, failure: EnvironmentFailedError) -> None:
        """Counts one more, and says so; raises the failure where there are none left."""
        with self._lock:
            if self.count >= self._most:
                raise failure
            self.count += 1
            count = self.count
        self._say(f"warning: {failure}: it is restarted ({count} of task.restarts = {self._most})")
        self._keep(failure.traceback)


class GuardedEnv(gymnasium.Wrapper):
    """Steps and resets one environment, which may raise whatever it likes, or call `sys.exit`.

    A call that fails gives the last observation, reward 0, and the failure in `info`, so that the batch's other
    environments go on. The next call then makes the environment anew and begins an episode.
    What breaks tfdqn's contract with environments (a UserError) is raised.

    Args:
      make: makes the environment, its frames stacked.
    """

    def __init__(self, make: Callable[[], gymnasium.Env]):
        super().__init__(make())
        self._make = make
        self._is_broken = False
        self._lives, self._seed = 0, 0
        self._last: Any = None  # observation
        # A worker's SIGINT is ignored: a KeyboardInterrupt there is the environment's own.
        in_worker = multiprocessing.parent_process() is not None
        self._failures = (Exception, SystemExit, *((KeyboardInterrupt,) if in_worker else ()))

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        if seed is not None:
            self._seed = seed
        try:
            if self._is_broken:
                seed = self._begin_anew()
            self._last, info = self.env.reset(seed=seed, options=options)
        except UserError:
            raise
        except self._failures as error:
            return self._after(error)
        return self._last, info

    def step(self, action: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        if self._is_broken:
            observation, info = self.reset()
            return observation, 0.0, False, False, info
        try:
            answer = self.env.step(action)
        except UserError:
            raise
        except self._failures as error:
            observation, info = self._after(error)
            return observation, 0.0, False, False, info
        self._last = answer[0]
        return answer

    def close(self) -> None:
        """Ends the environment; nothing depends on how well that goes any more."""
        with contextlib.suppress(*self._failures):
            self.env.close()

    def _begin_anew(self) -> int:
        """Makes the environment; returns the seed of its first episode, which is not one that it may have failed by."""
        self.close()
        self.env = self._make()
        self._is_broken = False
        self._lives += 1
        return derived_seed(self._seed, "environment made anew", self._lives)

    def _after(self, error: BaseException) -> tuple[Any, dict[str, Any]]:
        self._is_broken = True
        if self._last is None:  # it has never begun: any observation of the space, which is not used
            self._last = self.observation_space.sample()
        return self._last, {FAILURE: one_line(error), TRACEBACK: "".join(traceback.format_exception(error))}
